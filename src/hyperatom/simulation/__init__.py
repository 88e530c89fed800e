"""Production dynamics on a potential: trajectories in time, from settings to files."""
