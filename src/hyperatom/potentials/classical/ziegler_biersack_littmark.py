"""The universal repulsion of atoms at short distances (Ziegler, Biersack and Littmark 1985)."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from hyperatom.errors import InputError
from hyperatom.potentials.classical.pair_sum import pair_table, summed_over_neighbours
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.ewald import COULOMB_CONSTANT

SCREENING = ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))
"""Amplitudes and decay constants of the universal screening function."""


def ziegler_biersack_littmark(
    species: Sequence[int],
    inner: float,
    outer: float,
    charges: ArrayLike | None = None,
    coulomb_constant: float = COULOMB_CONSTANT,
    precision: str = "float64",
    block: int | None = None,
) -> CompiledPotential:
    """phi(r) = C Z_i Z_j / r sum_n c_n exp(-d_n r/a) + S(r),   a = 0.4685 Å/(Z_i^0.23 + Z_j^0.23).

        S(r) = A/3 (r - inner)^3 + B/4 (r - inner)^4 + D beyond inner, and D below it

    makes energy, force and the slope of the force zero at `outer`, as in LAMMPS' zbl.

    | argument           | shape        | unit | meaning                                           |
    |--------------------|--------------|------|---------------------------------------------------|
    | `species`          | (n_species,) | -    | atomic numbers                                    |
    | `inner`, `outer`   | scalars      | Å    | where the switching begins, and the cutoff        |
    | `charges`          | (n_species,) | e    | of the nuclei, Z; the atomic numbers if not given |
    | `coulomb_constant` | scalar       | eV Å | C = e^2 / (4 pi epsilon_0)                        |

    Raises `InputError` unless 0 <= inner < outer.
    """
    if not 0.0 <= inner < outer:
        raise InputError(
            f"The repulsion cannot be switched off between {inner} and {outer} Å.",
            "Choose 0 <= inner < outer.",
        )
    nuclei = np.asarray(species if charges is None else charges, dtype=np.float64)
    if nuclei.shape != (len(species),) or not (nuclei > 0.0).all():
        raise InputError(
            f"{len(species)} species need as many positive nuclear charges, not {nuclei}.",
            "Give the nuclear charge of each species.",
        )
    length = 0.46850 / (nuclei[:, None] ** 0.23 + nuclei**0.23)
    product = coulomb_constant * (nuclei[:, None] * nuclei)
    value, slope, curvature = _at(outer, product, length)
    width = outer - inner
    parameters = {
        key: pair_table(key, table, len(species))
        for key, table in {
            "product": product,
            "length": length,
            "cubic": (width * curvature - 3.0 * slope) / width**2 / 3.0,
            "quartic": (2.0 * slope - width * curvature) / width**3 / 4.0,
            "constant": width * slope / 2.0 - width**2 * curvature / 12.0 - value,
        }.items()
    }

    def of_pair(own: Mapping[str, jax.Array], r: jax.Array) -> jax.Array:
        screened = sum(c * jnp.exp(-d * r / own["length"]) for c, d in SCREENING)
        beyond = jnp.maximum(r - inner, 0.0)
        switch = beyond**3 * (own["cubic"] + own["quartic"] * beyond) + own["constant"]
        return jnp.where(r < outer, own["product"] * screened / r + switch, 0.0)

    model = CompiledModel(
        species, outer, summed_over_neighbours(of_pair), precision=precision, block=block
    )
    return CompiledPotential(model, parameters, "Ziegler-Biersack-Littmark")


def _at(
    distance: float, product: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # The screened repulsion with its first and second derivative, from those of exp and 1/r.
    moments = [
        sum(c * (-d / length) ** n * np.exp(-d * distance / length) for c, d in SCREENING)
        for n in range(3)
    ]
    value = product / distance * moments[0]
    slope = product / distance * (moments[1] - moments[0] / distance)
    curvature = (
        product
        / distance
        * (moments[2] - 2.0 * moments[1] / distance + 2.0 * moments[0] / distance**2)
    )
    return value, slope, curvature
