"""A fixed short-range repulsion under the learned part: it keeps trajectories out of nonsense.

    phi(r) = E0 z^3 / (1 + z^2 / 5),   z = (r0 - r) / w  for r < r0, zero beyond

Twice continuously differentiable at r0, and linear far inside, so that no time step is ever too
long for it. What a label says minus this is what the learned part fits: where there are labels the
repulsion changes nothing, where there are none it rules.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.geometry.neighbours import pairs

ENERGY = 2.0
"""E0 in eV."""

WIDTH = 0.15
"""w as a fraction of r0."""

CLOSEST = 0.8
"""r0 as a fraction of the closest approach in the configuration that a campaign starts from."""


def repulsion_radii(
    configuration: Configuration, species: tuple[int, ...], cutoff: float
) -> NDArray[np.float64]:
    """r0 for each pair of species, Å, shape (n_species, n_species), symmetric.

    A fifth closer than the two species come in `configuration`. Pairs that do not meet within the
    cutoff get 0.7 times the sum of their covalent radii (Cordero et al. 2008).
    """
    return closest_radii([configuration], species, cutoff)


def closest_radii(
    configurations: Sequence[Configuration], species: tuple[int, ...], cutoff: float
) -> NDArray[np.float64]:
    """The same, a fifth closer than the two species come in any of the configurations."""
    from ase.data import covalent_radii

    order = np.argsort(species)
    radius = covalent_radii[np.asarray(species)]
    radii = 0.7 * (radius[:, None] + radius[None, :])
    closest = np.full(radii.shape, np.inf)
    for here in configurations:
        kind = order[np.searchsorted(np.asarray(species), here.numbers, sorter=order)]
        i, j, lattice = pairs(here.positions, here.cell, here.periodic, cutoff)
        vectors = here.positions[j] + lattice @ here.cell - here.positions[i]
        np.minimum.at(closest, (kind[i], kind[j]), np.linalg.norm(vectors, axis=1))
    closest = np.minimum(closest, closest.T)
    return np.where(np.isfinite(closest), CLOSEST * closest, radii)


def repulsion(
    radii: jax.Array,
    displacements: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    """Half of sum_j phi(r_ij) for each atom, eV, (n_block,); arrays as in `local_energy`.

    `radii` (n_species, n_species) in Å.
    """
    distance = jnp.sqrt(jnp.sum(displacements * displacements, axis=0))
    of_slot = np.repeat(np.arange(len(slots)), slots)
    reach = radii[central_species][:, of_slot]
    z = jnp.maximum(reach - distance, 0.0) / (WIDTH * reach)
    return 0.5 * ENERGY * jnp.sum(z * z * z / (1.0 + 0.2 * z * z), axis=1)
