"""The error that members of a committee predict together: how far they spread.

    sigma^2 = c_1^2 sum_m (E_m - mean)^2 / (M - 1) + c_2^2 n_atoms s^2

s is the error per sqrt(atom) of the training energies, and c_k make sigma right for the frames that
were held out (`predicted_errors`). The spread as a measure of error is that of Behler, J. Phys.
Condens. Matter 26, 183001 (2014). A committee's parameters have a key `members`, a tree of arrays
with an axis of members in front; what else is there is common to all.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.potentials.family import LabelledFrame
from hyperatom.potentials.fitted import FittedPotential
from hyperatom.potentials.frame_errors import atoms_in
from hyperatom.potentials.many_configurations import evaluate_many
from hyperatom.potentials.predicted_errors import deviation, inflations_of, parts_of

Array = NDArray[np.float64]


def stacked(trees: Sequence[Any]) -> Any:
    """One tree with members in front; raises `ValueError` where their shapes differ."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


def member_of(members: Any, number: int) -> Any:
    """The tree of one member."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[number], members)


def number_of(members: Any) -> int:
    """How many members there are."""
    return len(jax.tree.leaves(members)[0])


def spread_knowledge(
    committee: FittedPotential,
    wrong: Array,
    training: Sequence[LabelledFrame],
    wrong_apart: Array,
    validation: Sequence[LabelledFrame],
) -> dict[str, Any]:
    """s in eV/sqrt(atom), `noise`, and c, `inflation`, of errors of energies (n_frames,) in eV."""
    noise = np.sqrt(np.mean(wrong**2 / atoms_in(training)))
    inflations = np.ones(2)
    if number_of(committee.parameters["members"]) > 1 and validation:
        variance = _variance(committee, [frame.configuration for frame in validation])
        inflations = inflations_of(wrong_apart, parts_of(variance, noise**2 * atoms_in(validation)))
    return {"noise": np.float64(noise), "inflation": inflations}


def spread_errors(
    potential: FittedPotential, configuration: Configuration, waypoints: Array, cells: Array
) -> Array:
    """sigma of the equation above at each waypoint, eV, (n_points,)."""
    places = [
        configuration.with_cell(positions, cell)
        for positions, cell in zip(waypoints, cells, strict=True)
    ]
    knowledge = potential.knowledge
    noise = float(knowledge["noise"]) ** 2 * configuration.n_atoms
    variance = _variance(potential, places)
    return deviation(knowledge["inflation"], parts_of(variance, noise))


def _variance(potential: FittedPotential, places: Sequence[Configuration]) -> Array:
    """Of the total energy among the members, eV^2, (n_places,)."""
    members = potential.parameters["members"]
    found = []
    for number in range(number_of(members)):
        alone = jax.tree.map(lambda leaf: np.asarray(leaf)[None], member_of(members, number))
        one = replace(potential, parameters={**potential.parameters, "members": alone})
        found.append([evaluation.energy for evaluation in evaluate_many(one, places)])
    return np.asarray(np.var(found, axis=0, ddof=1))
