"""First principles: engines, and the store of everything they have said."""
