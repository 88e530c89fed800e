"""A guide that few atoms of one species need, and that compiles fast."""

SMALL_GUIDE = {
    "cutoff": 4,
    "radial_functions": 5,
    "power_channels": 2,
    "power_degree": 1,
    "bispectrum_channels": 0,
    "bispectrum_degree": 0,
}
