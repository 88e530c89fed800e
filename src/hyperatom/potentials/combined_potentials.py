"""Potentials made of potentials: sums, and the same one for atoms that are counted otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential, LongRange


def total(potentials: Sequence[CompiledPotential], name: str | None = None) -> CompiledPotential:
    """The sum of potentials of the same species (LAMMPS calls it hybrid/overlay).

    Raises `InputError` where their species or their order differ.
    """
    first = potentials[0].model
    if any(potential.species != first.species for potential in potentials):
        raise InputError(
            "Only potentials of the same species in the same order can be added.",
            f"Make each of them for {first.species} (atomic numbers).",
        )
    parts = [potential.model for potential in potentials]

    def atomic_energy(
        parameters: Any, displacements: jax.Array, species: jax.Array, slots: tuple[int, ...]
    ) -> jax.Array:
        energies = [
            part.atomic_energy(own, displacements, species, slots)
            for part, own in zip(parts, parameters, strict=True)
            if part.atomic_energy is not None
        ]
        return sum(energies, jnp.zeros(displacements.shape[1], dtype=displacements.dtype))

    long_range = [part.long_range for part in parts]
    model = CompiledModel(
        first.species,
        max(part.cutoff for part in parts),
        atomic_energy,
        None if not any(long_range) else _SumOfLongRange(tuple(long_range)),
        first.precision,
    )
    return CompiledPotential(
        model,
        tuple(potential.parameters for potential in potentials),
        name or " + ".join(potential.name for potential in potentials),
    )


def with_species(potential: CompiledPotential, species: Sequence[int]) -> CompiledPotential:
    """The same potential for atoms that are counted in another order, or are fewer kinds.

    `species` are atomic numbers in the new order. Raises `InputError` for one it does not know.
    """
    wanted = tuple(int(number) for number in species)
    known = potential.species
    if wanted == known:
        return potential
    missing = [number for number in wanted if number not in known]
    if missing:
        from ase.data import chemical_symbols

        raise InputError(
            f"{potential.name} knows nothing of {', '.join(chemical_symbols[z] for z in missing)}.",
            "Choose a potential for all species of the configuration.",
        )
    order = tuple(wanted.index(number) if number in wanted else None for number in known)
    own = np.array([known.index(number) for number in wanted])
    model = potential.model

    def reorder(
        displacements: jax.Array, slots: tuple[int, ...]
    ) -> tuple[jax.Array, tuple[int, ...]]:
        ends = np.cumsum(slots)
        pieces = [displacements[:, :, ends[k] - slots[k] : ends[k]] for k in order if k is not None]
        return jnp.concatenate(pieces, axis=2), tuple(0 if k is None else slots[k] for k in order)

    def atomic_energy(
        parameters: Any, displacements: jax.Array, central: jax.Array, slots: tuple[int, ...]
    ) -> jax.Array:
        assert model.atomic_energy is not None
        vectors, own_slots = reorder(displacements, slots)
        return model.atomic_energy(parameters, vectors, jnp.asarray(own)[central], own_slots)

    long_range = None if model.long_range is None else _Reordered(model.long_range, own, reorder)
    return CompiledPotential(
        CompiledModel(
            wanted,
            model.cutoff,
            None if model.atomic_energy is None else atomic_energy,
            long_range,
            model.precision,
            model.block,
        ),
        potential.parameters,
        potential.name,
    )


@dataclass(frozen=True)
class _Reordered:
    part: LongRange
    own: NDArray[np.int64]
    reorder: Any

    def prepare(self, configuration: Configuration) -> Any:
        return self.part.prepare(configuration)

    def energy(
        self,
        parameters: Any,
        positions: jax.Array,
        cell: jax.Array,
        displacements: jax.Array,
        species: jax.Array,
        slots: tuple[int, ...],
        prepared: Any,
    ) -> jax.Array:
        vectors, own_slots = self.reorder(displacements, slots)
        own = jnp.asarray(self.own)[species]
        return self.part.energy(parameters, positions, cell, vectors, own, own_slots, prepared)


@dataclass(frozen=True)
class _SumOfLongRange:
    parts: tuple[LongRange | None, ...]

    def prepare(self, configuration: Configuration) -> Any:
        return tuple(part and part.prepare(configuration) for part in self.parts)

    def energy(
        self,
        parameters: Any,
        positions: jax.Array,
        cell: jax.Array,
        displacements: jax.Array,
        species: jax.Array,
        slots: tuple[int, ...],
        prepared: Any,
    ) -> jax.Array:
        energies = [
            part.energy(own, positions, cell, displacements, species, slots, arrays)
            for part, own, arrays in zip(self.parts, parameters, prepared, strict=True)
            if part is not None
        ]
        return sum(energies, jnp.zeros((), dtype=positions.dtype))
