"""Cells and neighbour lists."""
