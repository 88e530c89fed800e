"""A fitted correction on top of a potential that is given.

E = E_baseline + E_correction,    sigma_E = sigma_correction
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.potentials.combined_potentials import total, with_species
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.fitted import FittedPotential

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CorrectedPotential(FittedPotential):
    """The sum; its parameters are those of the baseline and of the correction."""

    correction: FittedPotential = field(kw_only=True)

    def save(self, path: Path) -> None:
        """Write the correction, atomically: the baseline has files of its own."""
        self.correction.save(path)


def corrected(
    baseline: CompiledPotential, correction: FittedPotential, model: CompiledModel | None = None
) -> CorrectedPotential:
    """The sum of both; `model` is that of another sum of the same two, compiled already.

    Raises `InputError` for a species that the baseline does not know.
    """
    both = total([with_species(baseline, correction.species), correction])

    def errors(
        potential: FittedPotential, configuration: Configuration, waypoints: Array, cells: Array
    ) -> Array:
        own = replace(correction, parameters=potential.parameters[1])
        return own.errors(configuration, waypoints, cells)

    return CorrectedPotential(
        model or both.model.in_precision(correction.model.precision),
        both.parameters,
        both.name,
        family=correction.family,
        settings=correction.settings,
        knowledge=correction.knowledge,
        known_errors=None if correction.known_errors is None else errors,
        provenance=correction.provenance,
        correction=correction,
    )
