"""The potential of Stillinger and Weber, Phys. Rev. B 31, 5262 (1985), for any number of species.

    E_i = 1/2 sum_j A e [B (s/r)^p - (s/r)^q] exp(s / (r - a s))
        + sum_{j<k} l e (cos theta_jik - c)^2 h(r_ij) h(r_ik),     h(r) = exp(g s / (r - a s))

The square is multiplied out: with unit vectors u_j, the sum over pairs of neighbours is that of
M : M - 2 c V . V + c^2 S^2 with S = sum_j h_j, V = sum_j h_j u_j, M = sum_j h_j u_j (x) u_j, less
the terms j = k. The cost is linear in the number of neighbours.
"""

from dataclasses import dataclass, fields
from itertools import accumulate, pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StillingerWeberParameters:
    """Parameters of pairs (n_species, n_species) and triplets (n_species,) * 3.

    The first index of a triplet is the atom in the middle; triplets are symmetric in the others.

    | field         | shape   | unit | meaning                                                    |
    |---------------|---------|------|------------------------------------------------------------|
    | `depth`       | pair    | eV   | A e                                                        |
    | `repulsion`   | pair    | -    | B                                                          |
    | `power`       | pair    | -    | p                                                          |
    | `other_power` | pair    | -    | q                                                          |
    | `length`      | pair    | Å    | s                                                          |
    | `cutoff`      | pair    | Å    | a s                                                        |
    | `reach`       | pair    | Å    | beyond it a pair is ignored: the cutoff, or a little less  |
    | `decay`       | pair    | Å    | g s, first index the middle atom                           |
    | `strength`    | triplet | eV   | l e                                                        |
    | `cosine`      | triplet | -    | c                                                          |
    """

    depth: Array
    repulsion: Array
    power: Array
    other_power: Array
    length: Array
    cutoff: Array
    reach: Array
    decay: Array
    strength: Array
    cosine: Array


def stillinger_weber(
    species: tuple[int, ...], parameters: StillingerWeberParameters, name: str
) -> CompiledPotential:
    """The potential of `species` (atomic numbers, in the order of the parameters)."""
    arrays = {
        field.name: np.asarray(getattr(parameters, field.name)) for field in fields(parameters)
    }
    model = CompiledModel(species, float(parameters.reach.max()), _atomic_energy)
    return CompiledPotential(model, arrays, name)


def silicon() -> CompiledPotential:
    """Silicon of the original work; 2.1683 eV is the cohesive energy per two bonds."""

    def pair(value: float) -> Array:
        return np.full((1, 1), value)

    length = 2.0951
    parameters = StillingerWeberParameters(
        depth=pair(7.049556277 * 2.1683),
        repulsion=pair(0.6022245584),
        power=pair(4.0),
        other_power=pair(0.0),
        length=pair(length),
        cutoff=pair(1.8 * length),
        reach=pair(1.8 * length),
        decay=pair(1.2 * length),
        strength=np.full((1, 1, 1), 21.0 * 2.1683),
        cosine=np.full((1, 1, 1), -1.0 / 3.0),
    )
    return stillinger_weber((14,), parameters, "Stillinger-Weber silicon (1985)")


def _atomic_energy(
    parameters: Any,
    displacements: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    of_slot = np.repeat(np.arange(len(slots)), slots)
    of_pair = {
        key: table[central_species][:, of_slot]
        for key, table in parameters.items()
        if table.ndim == 2
    }
    square = jnp.sum(displacements * displacements, axis=0)
    inside = square < of_pair["reach"] ** 2
    # Beyond the reach any distance does that spoils no derivative.
    distance = jnp.sqrt(jnp.where(inside, square, (0.5 * of_pair["cutoff"]) ** 2))
    unit = jnp.where(inside, displacements, 0.0) / distance
    inverse = 1.0 / (distance - of_pair["cutoff"])
    ratio = of_pair["length"] / distance
    shape = of_pair["repulsion"] * ratio ** of_pair["power"] - ratio ** of_pair["other_power"]
    bond = of_pair["depth"] * shape * jnp.exp(of_pair["length"] * inverse)
    energy = 0.5 * jnp.sum(jnp.where(inside, bond, 0.0), axis=1)
    weight = jnp.where(inside, jnp.exp(of_pair["decay"] * inverse), 0.0)

    sums = []
    for start, end in pairwise(accumulate(slots, initial=0)):
        own, toward = weight[:, start:end], unit[:, :, start:end]
        weighted = own * toward
        tensor = jnp.einsum("aij,bij->iab", weighted, toward)
        sums.append((own.sum(axis=1), weighted.sum(axis=2), tensor, (own * own).sum(axis=1)))
    for t, (number, vector, tensor, alone) in enumerate(sums):
        for u, (other_number, other_vector, other_tensor, _) in enumerate(sums):
            strength = parameters["strength"][central_species, t, u]
            cosine = parameters["cosine"][central_species, t, u]
            angular = (
                (tensor * other_tensor).sum(axis=(1, 2))
                - 2.0 * cosine * (vector * other_vector).sum(axis=0)
                + cosine * cosine * number * other_number
            )
            if t == u:
                angular = angular - (1.0 - cosine) ** 2 * alone
            energy = energy + 0.5 * strength * angular
    return energy
