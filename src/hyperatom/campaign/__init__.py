"""A whole run: learn, freeze, produce; its directory and its certificate."""
