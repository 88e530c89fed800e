"""Coulomb energies of point charges: Ewald sums in periodic cells, the direct sum without.

    E = C/2 sum_ij' q_i q_j erfc(a r_ij) / r_ij + C/(2V) sum_k 4 pi/k^2 exp(-k^2/4a^2) |S(k)|^2
        - C a / sqrt(pi) sum_i q_i^2,           S(k) = sum_i q_i exp(i k.r_i)

(Ewald 1921; Allen and Tildesley, Computer Simulation of Liquids, section 6.2), with surroundings
that conduct. The first sum belongs to the local part of a potential (`screened_pair`), the others
are a `LongRange`. Without periodicity these give way to erf(a r)/r for all pairs, so that the local
part is the same and the energy is the plain sum of q_i q_j / r_ij without any cutoff.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf, erfc
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError

COULOMB_CONSTANT = 14.3996454784
"""C = e^2 / (4 pi epsilon_0) in eV Å, CODATA 2018."""

NEUTRAL = 1.0e-9
"""A cell whose charge is less than this, in elementary charges and per atom, is neutral."""


def splitting_parameter(cutoff: float, accuracy: float) -> float:
    """The a in 1/Å for which the screened pair at `cutoff` Å is below `accuracy`, as exp(-a^2 r^2).

    Raises `InputError` for an accuracy that is not between 0 and 0.1.
    """
    if not 0.0 < accuracy < 0.1:
        raise InputError(
            f"An Ewald sum cannot have the relative accuracy {accuracy}.",
            "Choose one between 1e-14 and 0.1.",
        )
    return math.sqrt(-math.log(accuracy)) / cutoff


def screened_pair(
    product: jax.Array, splitting: jax.Array, distance: jax.Array, cutoff: float
) -> jax.Array:
    """q_i q_j C erfc(a r)/r, shifted and tilted so that it ends smoothly at the cutoff; eV.

    What this takes off is of the order of the accuracy that the splitting was chosen for.
    `product` is C q_i q_j in eV Å; the other two are in 1/Å and Å. Not yet cut off.
    """
    end = erfc(splitting * cutoff) / cutoff
    slope = -end / cutoff - 2.0 / math.sqrt(math.pi) * splitting / cutoff * jnp.exp(
        -((splitting * cutoff) ** 2)
    )
    return product * (erfc(splitting * distance) / distance - end - slope * (distance - cutoff))


@dataclass(frozen=True)
class Ewald:
    """The long-range part of the Coulomb energy; a `LongRange`.

    Its parameters are a dictionary with at least `charges` (n_species,) in elementary charges,
    `splitting` in 1/Å and `coulomb_constant` in eV Å.

    | field       | unit | meaning                                                            |
    |-------------|------|--------------------------------------------------------------------|
    | `species`   | -    | atomic numbers, in the order of the charges                        |
    | `charges`   | e    | the same as among the parameters: for the check of neutrality      |
    | `splitting` | 1/Å  | the same as among the parameters: for the choice of wave vectors   |
    | `accuracy`  | -    | wave vectors are left out where exp(-k^2/4a^2) is below            |
    """

    species: tuple[int, ...]
    charges: tuple[float, ...]
    splitting: float
    accuracy: float

    def prepare(self, configuration: Configuration) -> Any:
        """The reduced cell's whole numbers and those of the wave vectors; nothing if isolated.

        Raises `InputError` for a charged periodic cell and for slabs and wires.
        """
        if not configuration.periodic.any():
            return ()
        if not configuration.periodic.all():
            raise InputError(
                "This configuration is periodic along some directions only, and its Coulomb "
                "energy would need an Ewald sum for slabs or wires.",
                "Make the cell periodic along all directions, with enough vacuum, or along none.",
            )
        charge_of = dict(zip(self.species, self.charges, strict=True))
        charge = sum(charge_of[int(z)] for z in configuration.numbers)
        if abs(charge) > NEUTRAL * configuration.n_atoms:
            raise InputError(
                f"The periodic cell has the charge {charge:+.6g} e, for which there is no Coulomb "
                "energy.",
                "Choose composition and charges so that the cell is neutral.",
            )
        return wave_vectors(configuration.cell, self.splitting, self.accuracy)

    def energy(
        self,
        parameters: Any,
        positions: jax.Array,
        cell: jax.Array,
        displacements: jax.Array,  # noqa: ARG002
        species: jax.Array,
        slots: tuple[int, ...],  # noqa: ARG002
        prepared: Any,
    ) -> jax.Array:
        """Energy in eV; arguments as in `LongRange`."""
        charges = parameters["charges"][species]
        splitting, constant = parameters["splitting"], parameters["coulomb_constant"]
        if not prepared:
            total = _all_pairs(positions, charges, splitting)
        else:
            itself = splitting / math.sqrt(math.pi) * jnp.sum(charges**2)
            total = _wave_sum(positions, cell, charges, splitting, prepared) - itself
        return jnp.asarray(constant * total)


def wave_vectors(
    cell: NDArray[np.float64], splitting: float, accuracy: float
) -> tuple[NDArray[np.int64], ...]:
    """Whole numbers M, h, k, l: the waves are 2 pi (h, k, l) on the reciprocal vectors of M cell.

    M makes the cell as compact as it goes (Minkowski reduction). All begin at zero; h, ±k and ±l
    together are half of a box around all waves that matter, the other half their negatives.
    """
    from ase.geometry import minkowski_reduce

    reduced, multiples = minkowski_reduce(np.array(cell))  # type: ignore[no-untyped-call]
    longest = 2.0 * splitting * math.sqrt(-math.log(accuracy))
    order = np.argsort(np.linalg.norm(reduced, axis=1))
    lengths = np.linalg.norm(reduced[order], axis=1)
    n_h, n_k, n_l = np.floor(longest * lengths / (2.0 * math.pi) + 1e-9).astype(int)
    return (
        np.asarray(multiples[order], dtype=np.int64),
        np.arange(n_h + 1),
        np.arange(n_k + 1),
        np.arange(n_l + 1),
    )


def _wave_sum(
    positions: jax.Array, cell: jax.Array, charges: jax.Array, splitting: jax.Array, prepared: Any
) -> jax.Array:
    # 1/(2V) sum_k 4 pi/k^2 exp(-k^2/4a^2) |S(k)|^2 in 1/Å.
    dtype = positions.dtype
    multiples, *numbers = prepared
    reduced = multiples.astype(dtype) @ cell
    # Reciprocal vectors by cross products: a general inverse would take long to compile.
    faces = jnp.stack([jnp.cross(reduced[n - 2], reduced[n - 1]) for n in range(3)])
    signed_volume = jnp.dot(reduced[0], faces[0])
    inverse = faces.T / signed_volume
    fractional = positions @ inverse
    fractional = fractional - jax.lax.stop_gradient(jnp.round(fractional))
    h, k, l = (n.astype(dtype) for n in numbers)  # noqa: E741

    # A wave is a product of three, and a sum over atoms of such products is a matrix product.
    angles = 2.0 * math.pi * fractional
    (cos_h, sin_h), (cos_k, sin_k), (cos_l, sin_l) = (
        _multiples_of_angle(angle, len(n)) for angle, n in zip(angles.T, numbers, strict=True)
    )
    cos_h, sin_h = charges[:, None] * cos_h, charges[:, None] * sin_h
    cos_k = jnp.concatenate([cos_k[:, :0:-1], cos_k], axis=1)
    sin_k = jnp.concatenate([-sin_k[:, :0:-1], sin_k], axis=1)
    k = jnp.concatenate([-k[:0:-1], k])
    real = cos_h[:, :, None] * cos_k[:, None] - sin_h[:, :, None] * sin_k[:, None]
    imaginary = sin_h[:, :, None] * cos_k[:, None] + cos_h[:, :, None] * sin_k[:, None]
    n_atoms = len(positions)
    left = [real.reshape(n_atoms, -1), imaginary.reshape(n_atoms, -1)]
    product = jnp.matmul(
        jnp.concatenate(left, axis=1).T,
        jnp.concatenate([cos_l, sin_l], axis=1),
        precision=jax.lax.Precision.HIGHEST,
    ).reshape(2, len(h), len(k), 2, len(l))
    (rc, rs), (ic, is_) = ((part[:, :, 0], part[:, :, 1]) for part in (product[0], product[1]))
    above = (rc - is_) ** 2 + (rs + ic) ** 2
    below = (rc + is_) ** 2 + (ic - rs) ** 2

    # Each wave stands for its negative too, except that h = 0 holds both and l = 0 counts twice.
    times = jnp.where(h == 0, 1.0, 2.0)[:, None, None] * jnp.where(l == 0, 0.5, 1.0)
    times = times.astype(dtype)

    def weight(sign: float) -> jax.Array:
        vector = (
            h[:, None, None, None] * inverse[:, 0]
            + k[None, :, None, None] * inverse[:, 1]
            + sign * l[None, None, :, None] * inverse[:, 2]
        )
        squared = (2.0 * math.pi) ** 2 * jnp.sum(vector**2, axis=-1)
        none = (h == 0)[:, None, None] & (k == 0)[:, None] & (l == 0)
        squared = jnp.where(none, 1.0, squared)
        return jnp.where(none, 0.0, times * jnp.exp(-squared / (4.0 * splitting**2)) / squared)

    return (
        2.0 * math.pi / jnp.abs(signed_volume) * jnp.sum(weight(1.0) * above + weight(-1.0) * below)
    )


def _multiples_of_angle(angle: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    # cos(n t) and sin(n t) for n = 0 ... count - 1 by doubling, (n_atoms, count).
    cos, sin = jnp.ones_like(angle)[:, None], jnp.zeros_like(angle)[:, None]
    turn_cos, turn_sin = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
    while cos.shape[1] < count:
        cos, sin = (
            jnp.concatenate([cos, cos * turn_cos - sin * turn_sin], axis=1),
            jnp.concatenate([sin, sin * turn_cos + cos * turn_sin], axis=1),
        )
        turn_cos, turn_sin = turn_cos**2 - turn_sin**2, 2.0 * turn_cos * turn_sin
    return cos[:, :count], sin[:, :count]


def _all_pairs(positions: jax.Array, charges: jax.Array, splitting: jax.Array) -> jax.Array:
    # sum_i<j q_i q_j erf(a r_ij) / r_ij in 1/Å, a few atoms at a time.
    numbers = jnp.arange(len(positions))

    @jax.checkpoint
    def of_atom(one: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        position, charge, number = one
        others = numbers != number
        squared = jnp.sum((positions - position) ** 2, axis=1)
        distance = jnp.sqrt(jnp.where(others, squared, 1.0))
        return charge * jnp.sum(
            jnp.where(others, charges * erf(splitting * distance) / distance, 0.0)
        )

    return 0.5 * jnp.sum(jax.lax.map(of_atom, (positions, charges, numbers), batch_size=64))
