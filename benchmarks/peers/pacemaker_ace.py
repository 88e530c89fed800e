"""pacemaker's own evaluator of the atomic cluster expansion, through its ASE calculator."""

import tempfile
from pathlib import Path
from typing import Any

from peers.session import CalculatorSession

FIGURE = "ace_over_pacemaker"
WANTED = 2.0
TITLE = "pacemaker (recursive evaluator), a made-up silicon of 323 functions, two densities"
REQUIREMENTS = ("python-ace==0.4.0rc1", "numpy<2.4")

FILE = Path(tempfile.gettempdir()) / "hyperatom_pacemaker_silicon.yace"
SETTINGS = {
    "deltaSplineBins": 0.001,
    "elements": ["Si"],
    "embeddings": {
        "ALL": {
            "npot": "FinnisSinclairShiftedScaled",
            "fs_parameters": [1, 1, 1, 0.5],
            "ndensity": 2,
        }
    },
    "bonds": {"ALL": {"radbase": "ChebExpCos", "radparameters": [5.25], "rcut": 5.0, "dcut": 0.01}},
    "functions": {
        "number_of_functions_per_element": 328,
        "ALL": {"nradmax_by_orders": [15, 5, 4, 3, 1], "lmax_by_orders": [0, 4, 3, 2, 1]},
    },
}
"""Sizes that pacemaker's own documentation gives as an example, for one element."""


def crystal(n_atoms: int) -> Any:
    """Silicon at 5.431 Å."""
    from ase.build import bulk

    repeat = round((n_atoms / 8) ** (1.0 / 3.0))
    return bulk("Si", "diamond", a=5.431, cubic=True).repeat(repeat)


def make() -> None:
    """Write the file with pacemaker: its basis, and coefficients that are equal in every run.

    No fit, since what a function costs does not depend on its coefficient: a soft repulsion of
    pairs, so that the crystal neither collapses nor boils, and small random numbers.
    """
    import numpy as np
    from pyace import ACEBBasisSet, create_multispecies_basis_config

    basis = create_multispecies_basis_config(SETTINGS)
    rng = np.random.default_rng(0)
    blocks = basis.funcspecs_blocks
    for block in blocks:
        functions = list(block.funcspecs)
        for function in functions:
            scale = 0.001 * 0.3 ** (len(function.ns) - 1)
            function.coeffs = (scale * rng.normal(size=2)).tolist()
            if list(function.ns) == [2]:
                function.coeffs = [2.0, 0.0]
        block.funcspecs = functions
    basis.funcspecs_blocks = blocks
    ACEBBasisSet(basis).to_ACECTildeBasisSet().save_yaml(str(FILE))


def ours(data: Path) -> Any:  # noqa: ARG001 (all peers have this signature)
    """The file read by hyperatom, after `theirs` has made it."""
    from hyperatom.interchange.ace import read_ace

    return read_ace(FILE)


def theirs(data: Path, atoms: Any) -> CalculatorSession:  # noqa: ARG001 (as above)
    """The file made and read by pacemaker, with the faster of its two evaluators.

    Its calculator finds neighbours anew at every step.
    """
    from pyace import PyACECalculator

    make()
    calculator = PyACECalculator(str(FILE), recursive_evaluator=True, recursive=True)
    return CalculatorSession(calculator, atoms)
