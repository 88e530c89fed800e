"""What a learned potential sees of an atom's surroundings."""
