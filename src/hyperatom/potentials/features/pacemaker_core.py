"""Core repulsion and inner cutoffs of pacemaker's atomic cluster expansion."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.features.pacemaker_radial import cosine_window, inner_switch


class Bonds(NamedTuple):
    """Constants of bonds: scalars where all bonds agree, (n_species, n_species) where they differ.

    The species of the neighbour comes last; `of_slots` spreads them to (n_block, n_slots). Units as
    in `Bond`.
    """

    cutoff: jax.Array
    width: jax.Array
    parameter: jax.Array
    core: jax.Array
    core_exponent: jax.Array
    inner: jax.Array
    inner_width: jax.Array

    @classmethod
    def of_table(cls, table: NDArray[np.float64]) -> "Bonds":
        """From (n_species, n_species, 7), the fields in order."""
        fields = np.moveaxis(table, -1, 0)
        return cls(
            *(field[0, 0] if (field == field[0, 0]).all() else field.copy() for field in fields)
        )

    def of_slots(self, central: jax.Array, slots: tuple[int, ...]) -> "Bonds":
        """The constants for each atom of a block and each of its slots."""
        of_slot = np.repeat(np.arange(len(slots)), slots)
        return Bonds(*(field if field.ndim == 0 else field[central][:, of_slot] for field in self))


def inner_factor(kind: str, bonds: Bonds, distance: jax.Array) -> jax.Array:
    """What the radial functions are multiplied with: zero where the core repulsion rules.

    `distance`: a smooth step up to the inner cutoff; `density`: a jump where that step would begin.
    """
    if kind == "density":
        return (distance > bonds.inner - bonds.inner_width).astype(distance.dtype)
    return inner_switch(distance, bonds.inner, bonds.inner_width)


def core_part(
    kind: str,
    bonds: Bonds,
    distance: jax.Array,
    embedded: jax.Array,
    core_cutoff: jax.Array,
    core_width: jax.Array,
) -> jax.Array:
    """The embedded energy together with the core repulsion, (n_block,) in eV.

    `density` and `distance`: f(rho_core) E + rho_core with rho_core = sum_j a exp(-b r^2) / r times
    (1 + cos(pi r / r_c)) / 2, for `distance` times one minus the factor of the radial functions;
    f falls to zero at `core_cutoff`, over `core_width`.
    """
    inside = distance < bonds.cutoff
    safe = jnp.where(inside, distance, 0.5 * bonds.cutoff)
    repulsion = bonds.core * jnp.exp(-bonds.core_exponent * safe * safe) / safe
    repulsion = repulsion * cosine_window(safe, bonds.cutoff)
    if kind == "distance":
        repulsion = repulsion * (1.0 - inner_switch(safe, bonds.inner, bonds.inner_width))
    core = jnp.sum(jnp.where(inside, repulsion, 0.0), axis=1)
    return embedded * (1.0 - inner_switch(core, core_cutoff, core_width)) + core
