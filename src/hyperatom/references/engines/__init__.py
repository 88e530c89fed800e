"""One file per engine: a tuple `PRESETS`, and where ASE does not suffice how to make it.

A file states which energy it returns, when it has converged, where its electrons start, what stays
fixed when atoms and cell change, what it needs installed and whom to cite. Nothing heavy is
imported at the top of these files: the engine's own process imports it inside its `make`.
"""
