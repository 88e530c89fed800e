"""One file per family of learned potentials: settings, fit, assembly, in a tuple `FAMILIES`.

Nothing heavy is imported at the top of these files: input files are checked without JAX.
"""
