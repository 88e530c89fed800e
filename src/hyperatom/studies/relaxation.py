"""To the minimum of the energy below a configuration, in its cell or with it.

A reference that misses the volume by a per cent has a measured cell under gigapascals of pressure:
what is sampled there is the crystal under that pressure.
"""

from collections.abc import Callable
from typing import Any, Protocol

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.studies.settings import RelaxationSettings


class Surface(Protocol):
    """Whatever gives an energy with its slopes: a reference, or a potential."""

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Energy and forces, and stress where a cell is to be relaxed."""
        ...


def relax(
    configuration: Configuration,
    surface: Surface,
    wanted: RelaxationSettings,
    watch: Callable[[int, float], bool],
) -> Configuration | None:
    """The minimum by quasi-Newton steps (BFGS) of positions, or of positions and cell.

    `watch` is told the step and the largest force (eV/Å; of the cell too, which is deformed as in
    Tadmor et al., Phys. Rev. B 59, 235 (1999)), and answers whether to go on: else None. The same
    answers of `surface` make the same path, so that one which remembers goes on where it stopped.

    Raises `InputError` where no minimum is reached in the steps that are allowed, or where the cell
    is to be relaxed without a stress.
    """
    import numpy as np
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    from hyperatom.interchange.ase_atoms import from_ase, to_ase
    from hyperatom.interchange.ase_calculator import PotentialCalculator

    if wanted.what == "cell" and surface.evaluate(configuration).stress is None:
        raise InputError(
            "No stress is given, without which a cell cannot be relaxed.",
            "Relax the positions ('relax: {what: positions}'), or choose an engine with stress.",
        )
    atoms = to_ase(configuration)
    atoms.calc = PotentialCalculator(surface)
    moved: Any = FrechetCellFilter(atoms) if wanted.what == "cell" else atoms  # type: ignore[no-untyped-call]
    steps = BFGS(moved, logfile=None).irun(wanted.force, wanted.steps)  # type: ignore[no-untyped-call]
    force = np.inf
    for step, reached in enumerate(steps):
        force = float(np.linalg.norm(moved.get_forces(), axis=1).max())
        if not watch(step, force):
            return None
        if reached:
            return from_ase(atoms)
    raise InputError(
        f"No minimum after {wanted.steps} steps: the largest force is {force:.3g} eV/Å.",
        f"Allow more steps ('relax.steps'), or more force than {wanted.force:g} ('relax.force').",
    )
