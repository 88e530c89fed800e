"""Evaluates many configurations of all sizes with few compilations.

`CompiledPotential.evaluate` compiles for each number of atoms, which pays for a simulation and not
for a data set. Here atoms of all configurations pass through one compiled block of atoms.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.evaluation import VOIGT, Evaluation
from hyperatom.geometry.neighbours import Neighbours, SlotsExceededError, find_neighbours
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.local_energy import AtomicEnergy

BLOCK = 24
"""Atoms in a block."""

FEW = 50
"""For so many configurations it does not pay to compile more than once."""

SLOTS = 8
"""Numbers of neighbour slots are multiples of this."""

Array = NDArray[np.float64]


def evaluate_many(
    potential: CompiledPotential,
    configurations: Sequence[Configuration],
    watch: Callable[[int], None] = lambda count: None,  # noqa: ARG005
) -> list[Evaluation]:
    """Energy, forces and stress of each configuration, without predicted errors.

    `watch` is told how many are done. Raises `InputError` for species that are not known.
    """
    found: list[Evaluation] = []
    if not configurations:
        return found
    model = potential.model
    if model.long_range is not None or model.atomic_energy is None:
        for count, configuration in enumerate(configurations, 1):
            found.append(potential.evaluate(configuration))
            watch(count)
        return found
    for count, (configuration, species, neighbours) in enumerate(
        with_neighbours(model, configurations), 1
    ):
        vectors = displacements_of(neighbours, configuration.positions)
        energy, slopes = 0.0, np.zeros_like(vectors)
        for start in range(0, configuration.n_atoms, BLOCK):
            n = min(BLOCK, configuration.n_atoms - start)
            block = filled_up(vectors[:, start : start + n], BLOCK, model.cutoff)
            central = np.zeros(BLOCK, dtype=np.int32)
            central[:n] = species[start : start + n]
            with jax.enable_x64(True):
                slope, energies = _compiled(
                    model.atomic_energy, potential.parameters, block, central, neighbours.slots
                )
            energy += float(np.asarray(energies)[:n].sum())
            slopes[:, start : start + n] = np.asarray(slope)[:, :n]
        returned = slopes.reshape(3, -1)[:, neighbours.reverse]
        forces = (slopes - returned).sum(axis=2).T
        stress = None
        if configuration.periodic.all():
            virial = np.einsum("aij,bij->ab", vectors, slopes)
            stress = (0.5 * (virial + virial.T))[VOIGT] / configuration.volume
        found.append(Evaluation(energy, forces, stress, origin=potential.name))
        watch(count)
    return found


def slot_levels(needed: Array) -> list[tuple[int, ...]]:
    """Numbers of slots that suffice for half, for nine tenths and for all configurations.

    `needed` (n_configurations, n_species); of few configurations for all of them only. Multiples of
    `SLOTS`, so that another set of alike configurations has the same.
    """
    parts = (0.5, 0.9, 1.0) if len(needed) > FEW else (1.0,)
    levels = {
        tuple(
            -(-int(n) // SLOTS) * SLOTS for n in np.quantile(needed, part, axis=0, method="higher")
        )
        for part in parts
    }
    return sorted(levels, key=sum)


def with_neighbours(
    model: CompiledModel, configurations: Sequence[Configuration]
) -> Iterator[tuple[Configuration, NDArray[np.int64], Neighbours]]:
    """Each configuration, the species of its atoms from zero, and neighbours in few shapes.

    Raises `InputError` for species that the model does not know.
    """

    def find(configuration: Configuration, capacity: tuple[int, ...] | None) -> Neighbours:
        return find_neighbours(
            configuration.positions,
            configuration.cell,
            configuration.periodic,
            model.species_of(configuration),
            len(model.species),
            model.cutoff,
            capacity,
        )

    levels = slot_levels(np.array([find(one, None).slots for one in configurations]))
    for configuration in configurations:
        for level in levels:
            try:
                neighbours = find(configuration, level)
                break
            except SlotsExceededError:
                continue
        yield configuration, model.species_of(configuration), neighbours


def displacements_of(neighbours: Neighbours, positions: Array) -> Array:
    """r_ij of all slots, (3, n_atoms, n_slots), at positions (n_atoms, 3); Å."""
    planes = positions.T
    return np.asarray(planes[:, neighbours.index] + neighbours.shift - planes[:, :, None])


def filled_up(displacements: Array, size: int, cutoff: float) -> Array:
    """Displacements (3, n_atoms, n_slots) of `size` atoms: those given, and lonely ones; Å."""
    block = np.zeros((3, size, displacements.shape[2]))
    block[0] = 2.0 * cutoff
    block[:, : displacements.shape[1]] = displacements
    return block


def _gradients(
    atomic_energy: AtomicEnergy, parameters: Any, displacements: Any, species: Any, slots: Any
) -> Any:
    def total(vectors: Any) -> Any:
        energies = atomic_energy(parameters, vectors, species, slots)
        return energies.sum(), energies

    return jax.grad(total, has_aux=True)(displacements)


_compiled = jax.jit(_gradients, static_argnums=(0, 4))
