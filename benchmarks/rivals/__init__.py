"""Other programs that fit potentials: each a file with `fit` and `evaluate`, run in its own Python.

    python -m rivals.run NAME FOLDER SECONDS

in FOLDER reads `train.xyz`, `validation.xyz` and `test.xyz`, fits within SECONDS, and writes
`predicted.npz`: energies (n_frames,) in eV, forces (n_components,) in eV/Å, of all frames of the
test one after the other, and microseconds per atom of a call on one core.
"""
