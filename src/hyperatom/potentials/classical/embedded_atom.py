"""The embedded-atom method of Daw and Baskes, Phys. Rev. B 29, 6443 (1984).

    E_i = F(rho_i) + 1/2 sum_j phi(r_ij),     rho_i = sum_j g(r_ij)

F depends on the species of atom i, phi on both, g on that of j, or on both (Finnis and Sinclair,
Phil. Mag. A 50, 45 (1984)). All are tables, interpolated as LAMMPS does (see `tabulated`). Beyond
the greatest density of its table F continues as a straight line.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.tabulated import hermite_coefficients, interpolate

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EmbeddedAtomTables:
    """Tables at equal spacing, from zero on.

    | field              | shape                           | unit | meaning                       |
    |--------------------|---------------------------------|------|-------------------------------|
    | `embedding`        | (n_species, n_densities)        | eV   | F                             |
    | `density`          | (n_species, n_species, n_knots) | any  | g at the first from the second|
    | `pair`             | (n_species, n_species, n_knots) | eV Å | r phi, symmetric              |
    | `density_spacing`  | -                               | any  | of `embedding`                |
    | `density_limit`    | -                               | any  | F is straight beyond          |
    | `distance_spacing` | -                               | Å    | of `density` and `pair`       |
    | `cutoff`           | -                               | Å    | pairs beyond it are ignored   |
    """

    embedding: Array
    density: Array
    pair: Array
    density_spacing: float
    density_limit: float
    distance_spacing: float
    cutoff: float


def embedded_atom(
    species: tuple[int, ...], tables: EmbeddedAtomTables, name: str
) -> CompiledPotential:
    """The potential of `species` (atomic numbers, in the order of the tables)."""
    n_knots = tables.pair.shape[-1]
    parameters = {
        "embedding": hermite_coefficients(tables.embedding),
        "density": hermite_coefficients(tables.density.reshape(-1, n_knots)),
        "pair": hermite_coefficients(tables.pair.reshape(-1, n_knots)),
        "density_spacing": np.array(tables.density_spacing),
        "density_limit": np.array(tables.density_limit),
        "distance_spacing": np.array(tables.distance_spacing),
        "cutoff": np.array(tables.cutoff),
    }
    model = CompiledModel(species, tables.cutoff, _atomic_energy)
    return CompiledPotential(model, parameters, name)


def _atomic_energy(
    parameters: Any,
    displacements: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    of_slot = np.repeat(np.arange(len(slots)), slots)
    table = central_species[:, None] * len(slots) + of_slot
    square = jnp.sum(displacements * displacements, axis=0)
    cutoff = parameters["cutoff"]
    inside = square < cutoff * cutoff
    distance = jnp.sqrt(jnp.where(inside, square, cutoff * cutoff))
    position = distance / parameters["distance_spacing"]
    density = interpolate(parameters["density"], table, position)
    pair = interpolate(parameters["pair"], table, position) / distance
    total = jnp.sum(jnp.where(inside, density, 0.0), axis=1)
    embedding = _embedding(parameters, central_species, total)
    bonds: jax.Array = 0.5 * jnp.sum(jnp.where(inside, pair, 0.0), axis=1)
    return embedding + bonds


def _embedding(parameters: Any, species: jax.Array, density: jax.Array) -> jax.Array:
    coefficients, limit = parameters["embedding"], parameters["density_limit"]
    value = interpolate(coefficients, species, density / parameters["density_spacing"])
    _, first, second, third = jnp.moveaxis(coefficients[species, -1], -1, 0)
    slope = (first + 2.0 * second + 3.0 * third) / parameters["density_spacing"]
    beyond: jax.Array = slope * jnp.maximum(density - limit, 0.0)
    return value + beyond
