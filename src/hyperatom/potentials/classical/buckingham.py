"""Buckingham potentials with charges, and those of silica: BKS 1990 and TTAM 1988."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from hyperatom.potentials.classical.pair_sum import Truncation, pair_potential
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.potentials.ewald import COULOMB_CONSTANT

SILICA = (14, 8)
"""Species of the potentials of silica, in their order."""


def buckingham(
    species: Sequence[int],
    amplitude: ArrayLike,
    length: ArrayLike,
    dispersion: ArrayLike,
    cutoff: ArrayLike,
    charges: ArrayLike | None = None,
    truncation: Truncation = "switched",
    switch_from: ArrayLike | None = None,
    core_depth: ArrayLike | None = None,
    core_diameter: ArrayLike | None = None,
    coulomb_cutoff: float | None = None,
    accuracy: float = 1.0e-10,
    splitting: float | None = None,
    coulomb_constant: float = COULOMB_CONSTANT,
    precision: str = "float64",
    block: int | None = None,
    name: str = "Buckingham",
) -> CompiledPotential:
    """phi(r) = A exp(-r/rho) - C/r^6 + C_e q_i q_j / r, the last without any cutoff.

    | argument        | shape                  | unit   | meaning                                  |
    |-----------------|------------------------|--------|------------------------------------------|
    | `species`       | (n_species,)           | -      | atomic numbers, in order of the tables   |
    | `amplitude`     | (n_species, n_species) | eV     | A, or one for all pairs                  |
    | `length`        | (n_species, n_species) | Å      | rho                                      |
    | `dispersion`    | (n_species, n_species) | eV Å^6 | C                                        |
    | `cutoff`        | (n_species, n_species) | Å      | where `truncation` ends the first two    |
    | `charges`       | (n_species,)           | e      | none: neutral atoms                      |
    | `switch_from`   | (n_species, n_species) | Å      | where `switched` begins; 0.85 cutoff     |
    | `core_depth`    | (n_species, n_species) | eV     | depth of 4 e [(s/r)^30 - (s/r)^6]        |
    | `core_diameter` | (n_species, n_species) | Å      | s, the core that keeps atoms apart       |

    The other arguments are those of `pair_potential`. LAMMPS' buck/coul/long with
    `pair_modify shift yes` is `shifted`: that shift does not touch the charges.
    """
    tables: dict[str, Any] = {"amplitude": amplitude, "length": length, "dispersion": dispersion}
    energy = _energy
    if core_depth is not None and core_diameter is not None:
        tables |= {"core_depth": core_depth, "core_diameter": core_diameter}
        energy = _energy_with_core
    return pair_potential(
        name,
        species,
        energy,
        tables,
        cutoff,
        truncation,
        switch_from,
        charges,
        coulomb_cutoff,
        accuracy,
        splitting,
        coulomb_constant,
        precision,
        block,
    )


def bks_silica(cutoff: float = 10.0, core: bool = True, **settings: Any) -> CompiledPotential:
    """Silica of van Beest, Kramer and van Santen (Phys. Rev. Lett. 64, 1955 (1990)).

    Its Buckingham energy goes to minus infinity at small distances, over a barrier that melts at
    several thousand kelvin do climb. The `core` closes it: 4 epsilon [(s/r)^30 - (s/r)^6] with
    epsilon = 3.097948 meV, s = 1.313635 Å for Si-O and 1.05105 meV, 1.779239 Å for O-O (Guissani
    and Guillot, J. Chem. Phys. 104, 7633 (1996); Saika-Voivod, Poole and Sciortino, Phys. Rev. E
    63, 011202 (2000)). Other `settings` are those of `buckingham`; `cutoff` in Å.
    """
    if core:
        settings |= {
            "core_depth": np.array([[0.0, 3.097948e-3], [3.097948e-3, 1.05105e-3]]),
            "core_diameter": np.array([[1.0, 1.313635], [1.313635, 1.779239]]),
        }
    return buckingham(
        SILICA,
        amplitude=np.array([[0.0, 18003.7572], [18003.7572, 1388.7730]]),
        length=1.0 / np.array([[1.0, 4.87318], [4.87318, 2.76000]]),
        dispersion=np.array([[0.0, 133.5381], [133.5381, 175.0000]]),
        cutoff=cutoff,
        charges=(2.4, -1.2),
        name="BKS silica" + (" with a core" if core else ""),
        **settings,
    )


def ttam_silica(cutoff: float = 10.0, **settings: Any) -> CompiledPotential:
    """Silica of Tsuneyuki, Tsukada, Aoki and Matsui (Phys. Rev. Lett. 61, 869 (1988)).

    phi(r) = f (b_i + b_j) exp[(a_i + a_j - r)/(b_i + b_j)] - c_i c_j / r^6 + C_e q_i q_j / r with
    f = 1 kcal/(mol Å) and

    |    | q (e) | a (Å)  | b (Å)   | c (kcal^1/2 Å^3 mol^-1/2) |
    |----|-------|--------|---------|---------------------------|
    | Si | 2.4   | 0.8688 | 0.03285 | 23.18                     |
    | O  | -1.2  | 2.0474 | 0.17566 | 70.37                     |

    Other `settings` are those of `buckingham`; `cutoff` in Å.
    """
    kilocalorie_per_mole = 4184.0 / 96485.33212
    size = np.array([0.8688, 2.0474])
    softness = np.array([0.03285, 0.17566])
    attraction = np.array([23.18, 70.37])
    length = softness[:, None] + softness
    return buckingham(
        SILICA,
        amplitude=kilocalorie_per_mole * length * np.exp((size[:, None] + size) / length),
        length=length,
        dispersion=kilocalorie_per_mole * attraction[:, None] * attraction,
        cutoff=cutoff,
        charges=(2.4, -1.2),
        name="TTAM silica",
        **settings,
    )


def _energy(pair: Mapping[str, jax.Array], distance: jax.Array) -> jax.Array:
    sixth = _sixth(1.0 / distance)
    return pair["amplitude"] * jnp.exp(-distance / pair["length"]) - pair["dispersion"] * sixth


def _energy_with_core(pair: Mapping[str, jax.Array], distance: jax.Array) -> jax.Array:
    sixth = _sixth(pair["core_diameter"] / distance)
    twelfth = sixth * sixth
    core = 4.0 * pair["core_depth"] * sixth * (twelfth * twelfth - 1.0)
    return _energy(pair, distance) + core


def _sixth(value: jax.Array) -> jax.Array:
    squared = value * value
    return squared * squared * squared
