"""Core repulsion and inner cutoffs of pacemaker's atomic cluster expansion."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.features.pacemaker_radial import cosine_window, inner_switch

COULOMB = 14.39964535
"""e^2 / (4 pi epsilon_0), eV Å."""

ZBL = ((0.18175, 3.1998), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))
"""Weights and exponents of the universal screening function of Ziegler, Biersack and Littmark."""


class Bonds(NamedTuple):
    """Constants of bonds: scalars where all bonds agree, (n_species, n_species) where they differ.

    The species of the neighbour comes last; `of_slots` spreads them to (n_block, n_slots). Units as
    in `Bond`; `charges` is the product of the nuclear charges and `screening` ZBL's length, Å.
    """

    cutoff: jax.Array
    width: jax.Array
    parameter: jax.Array
    core: jax.Array
    core_exponent: jax.Array
    inner: jax.Array
    inner_width: jax.Array
    charges: jax.Array
    screening: jax.Array

    @classmethod
    def of_table(cls, table: NDArray[np.float64], species: tuple[int, ...]) -> "Bonds":
        """From (n_species, n_species, 7): the first seven fields."""
        charge = np.array(species, dtype=np.float64)
        charges = np.multiply.outer(charge, charge)
        screening = 0.46850 / np.add.outer(charge**0.23, charge**0.23)
        fields = [*np.moveaxis(table, -1, 0), charges, screening]
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
    f falls to zero at `core_cutoff`, over `core_width`. `zbl`: s E + (1 - s) rho_core with half of
    the universal repulsion of Ziegler, Biersack and Littmark (1985), and s the step of the
    neighbour that is deepest inside its inner cutoff.
    """
    inside = distance < bonds.cutoff
    safe = jnp.where(inside, distance, 0.5 * bonds.cutoff)
    if kind == "zbl":
        core = jnp.sum(jnp.where(inside, bonds.core * _zbl(bonds, safe), 0.0), axis=1)
        depth = jnp.where(inside, distance - bonds.inner + bonds.inner_width, jnp.inf)
        deepest = jnp.argmin(depth, axis=1)[:, None]
        width = jnp.broadcast_to(bonds.inner_width, depth.shape)
        width = jnp.take_along_axis(width, deepest, 1)[:, 0]
        nearest = jnp.minimum(jnp.take_along_axis(depth, deepest, 1)[:, 0], 2.0 * width)
        switch = inner_switch(nearest, width, width)
        return switch * embedded + (1.0 - switch) * core
    repulsion = bonds.core * jnp.exp(-bonds.core_exponent * safe * safe) / safe
    repulsion = repulsion * cosine_window(safe, bonds.cutoff)
    if kind == "distance":
        repulsion = repulsion * (1.0 - inner_switch(safe, bonds.inner, bonds.inner_width))
    core = jnp.sum(jnp.where(inside, repulsion, 0.0), axis=1)
    return embedded * (1.0 - inner_switch(core, core_cutoff, core_width)) + core


def _zbl(bonds: Bonds, distance: jax.Array) -> jax.Array:
    # Half of it for each atom of the pair; value, slope and curvature end at the cutoff with the
    # polynomial that LAMMPS documents for its pair style zbl, begun `width` before.
    def screened(r: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        value = slope = curvature = jnp.zeros_like(r)
        for weight, exponent in ZBL:
            rate = exponent / bonds.screening
            term = weight * jnp.exp(-rate * r)
            value, slope = value + term, slope - rate * term
            curvature = curvature + rate * rate * term
        strength = 0.5 * COULOMB * bonds.charges / r
        return (
            strength * value,
            strength * (slope - value / r),
            strength * (curvature - 2.0 * slope / r + 2.0 * value / (r * r)),
        )

    width = bonds.width
    value, slope, curvature = screened(bonds.cutoff)
    shift = -value + 0.5 * width * slope - width * width * curvature / 12.0
    step = jnp.where(width > 0.0, width, 1.0)
    cubic = (-3.0 * slope + width * curvature) / step**2
    quartic = (2.0 * slope - width * curvature) / step**3
    beyond = jnp.maximum(distance - (bonds.cutoff - width), 0.0)
    tail = beyond**3 * (cubic / 3.0 + quartic / 4.0 * beyond)
    return screened(distance)[0] + shift + tail
