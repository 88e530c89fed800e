"""From features to energies."""
