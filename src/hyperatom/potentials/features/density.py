"""The density of neighbours around an atom, and its invariants as features.

    A[s, n, lm] = sum over neighbours j of species s of R_n(r_ij) Y_lm(r_ij / |r_ij|)

The layout decides the speed. Coordinates are three planes (3, n_block, n_slots), every intermediate
has the neighbour on its last axis, and the sum over neighbours is a batched matrix product of
(n_radial, n_slots) with (n_slots, n_lm), one per species over that species' own slots only. Call it
on a few dozen atoms at a time: the intermediates then stay in the cache.

The derivative is written by hand for speed: with D = dE/dA of one species,

    dE/dr_ij = sum_n R_n' (D Y)_n r^  +  (1 - r^ r^T) / r . grad sum_lm (D^T R)_lm Y_lm,

two more matrix products and one pass over the slots. It can be differentiated again in reverse mode
(forces fitted to data); forward mode (`jax.jvp`, `jax.jacfwd`) is not available through it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import jax
import jax.numpy as jnp

from hyperatom.errors import InputError
from hyperatom.fence import fenced
from hyperatom.potentials.features.bispectrum import (
    bispectrum,
    n_bispectrum,
    weighted_bispectrum,
)
from hyperatom.potentials.features.power_spectrum import (
    n_power_spectrum,
    power_spectrum,
    weighted_power_spectrum,
)
from hyperatom.potentials.features.radial import radial_functions
from hyperatom.potentials.features.spherical_harmonics import (
    gradient_of_expansion,
    real_spherical_harmonics,
)
from hyperatom.potentials.features.trispectrum import (
    n_trispectrum,
    trispectrum,
    weighted_trispectrum,
)


@dataclass(frozen=True)
class DensitySettings:
    """Which density, and which of its invariants are features.

    | field                     | unit | meaning                                         |
    |---------------------------|------|-------------------------------------------------|
    | `species`                 | -    | atomic numbers, in the order of the channels    |
    | `cutoff`                  | Å    | beyond it the density is zero                   |
    | `n_radial`                | -    | radial functions per species                    |
    | `max_degree`              | -    | greatest l of the spherical harmonics           |
    | `crowding`                | -    | of the radial functions (see `radial_map`)      |
    | `radial`                  | -    | are the two-body sums A[s, n, 00] features?     |
    | `power_spectrum_radial`   | -    | radial functions in the power spectrum; 0: none |
    | `power_spectrum_degree`   | -    | its greatest degree                             |
    | `power_spectrum_diagonal` | -    | only squares of channels?                       |
    | `bispectrum_radial`       | -    | radial functions in the bispectrum; 0: none     |
    | `bispectrum_degree`       | -    | its greatest degree                             |
    | `trispectrum_radial`      | -    | radial functions in the trispectrum; 0: none    |
    | `trispectrum_degree`      | -    | its greatest degree                             |
    """

    species: tuple[int, ...]
    cutoff: float = 5.0
    n_radial: int = 8
    max_degree: int = 4
    crowding: float = 0.0
    radial: bool = True
    power_spectrum_radial: int = 8
    power_spectrum_degree: int = 4
    power_spectrum_diagonal: bool = False
    bispectrum_radial: int = 0
    bispectrum_degree: int = 0
    trispectrum_radial: int = 0
    trispectrum_degree: int = 0

    def __post_init__(self) -> None:
        if not (self.species and self.cutoff > 0.0 and self.n_radial > 0 and self.max_degree >= 0):
            raise InputError(
                f"A density needs species, a cutoff and radial functions; found {self}.",
                "Give at least one species, a positive cutoff and n_radial of at least 1.",
            )
        chosen = (self.power_spectrum_radial, self.bispectrum_radial, self.trispectrum_radial)
        if max(chosen) > self.n_radial:
            raise InputError(
                f"The invariants ask for more radial functions than the {self.n_radial} there are.",
                "Raise n_radial.",
            )
        degrees = (self.power_spectrum_degree, self.bispectrum_degree, self.trispectrum_degree)
        if max(degrees) > self.max_degree:
            raise InputError(
                f"The invariants ask for degrees beyond max_degree = {self.max_degree}.",
                "Raise max_degree.",
            )


class DensityFeatures:
    """Displacements of neighbours -> density -> invariant features of each atom.

    `blocks` names the feature columns of each body order: `radial` (two-body), `power_spectrum`
    (three-body), `bispectrum` (four-body), `trispectrum` (five-body). `n_features`, `n_channels`
    (species x radial) and `n_lm` are the sizes.
    """

    def __init__(self, settings: DensitySettings) -> None:
        self.settings = settings
        n_species = len(settings.species)
        self.n_channels = n_species * settings.n_radial
        self.n_lm = (settings.max_degree + 1) ** 2
        sizes = {
            "radial": self.n_channels if settings.radial else 0,
            "power_spectrum": n_power_spectrum(
                n_species * settings.power_spectrum_radial,
                settings.power_spectrum_degree,
                settings.power_spectrum_diagonal,
            ),
            "bispectrum": n_bispectrum(
                n_species * settings.bispectrum_radial, settings.bispectrum_degree
            ),
            "trispectrum": n_trispectrum(
                n_species * settings.trispectrum_radial, settings.trispectrum_degree
            ),
        }
        self.blocks: dict[str, slice] = {}
        self.n_features = 0
        for name, size in sizes.items():
            self.blocks[name] = slice(self.n_features, self.n_features + size)
            self.n_features += size

    def __call__(self, displacements: jax.Array, slots: tuple[int, ...]) -> jax.Array:
        """The features of each atom, (n_block, n_features); arguments as in `density`."""
        return self.invariants(self.density(displacements, slots))

    def density(self, displacements: jax.Array, slots: tuple[int, ...]) -> jax.Array:
        """A[s, n, lm] = sum_j R_n(r_ij) Y_lm(r_ij).

        | array           | shape                       | unit | meaning                         |
        |-----------------|-----------------------------|------|---------------------------------|
        | `displacements` | (3, n_block, n_slots)       | Å    | r_ij; never zero                |
        | `slots`         | (n_species,)                | -    | slots of each species, in order |
        | returns         | (n_block, n_channels, n_lm) | -    | channel = s * n_radial + n      |
        """
        settings = self.settings
        radial = ChebyshevRadial(settings.cutoff, settings.n_radial, settings.crowding)
        return neighbour_density(radial, settings.max_degree, slots, displacements)

    def invariants(self, density: jax.Array) -> jax.Array:
        """Features that neither rotation nor inversion changes: (n_block, n_features)."""
        settings = self.settings
        features = []
        if settings.radial:
            features.append(density[:, :, 0])
        if settings.power_spectrum_radial:
            features.append(
                power_spectrum(
                    self._first(density, settings.power_spectrum_radial),
                    settings.power_spectrum_degree,
                    settings.power_spectrum_diagonal,
                )
            )
        for function, n_radial, degree in (
            (bispectrum, settings.bispectrum_radial, settings.bispectrum_degree),
            (trispectrum, settings.trispectrum_radial, settings.trispectrum_degree),
        ):
            if n_radial:
                features.append(function(self._first(density, n_radial), degree))
        return jnp.concatenate(features, axis=1)

    def weighted_sum(
        self, density: jax.Array, weights: jax.Array, central_species: jax.Array
    ) -> jax.Array:
        """w_s(i) . B(i) of each atom, (n_block,), with the invariants B: a polynomial of A.

        `weights` (n_species, n_features). Several times faster than the features and their
        derivatives, which an energy that is linear in them has no use for.
        """
        settings = self.settings
        own = {name: weights[:, columns] for name, columns in self.blocks.items()}
        mine = jax.nn.one_hot(central_species, weights.shape[0], dtype=density.dtype)
        total = jnp.zeros(density.shape[0], dtype=density.dtype)
        if settings.radial:
            total = total + jnp.sum((mine @ own["radial"]) * density[:, :, 0], axis=1)
        if settings.power_spectrum_radial:
            total = total + weighted_power_spectrum(
                self._first(density, settings.power_spectrum_radial),
                settings.power_spectrum_degree,
                settings.power_spectrum_diagonal,
                own["power_spectrum"],
                mine,
            )
        for name, function, n_radial, degree in (
            (
                "bispectrum", weighted_bispectrum,
                settings.bispectrum_radial, settings.bispectrum_degree,
            ),
            (
                "trispectrum", weighted_trispectrum,
                settings.trispectrum_radial, settings.trispectrum_degree,
            ),
        ):  # fmt: skip
            if n_radial:
                total = total + function(self._first(density, n_radial), degree, own[name], mine)
        return total

    def _first(self, density: jax.Array, n_radial: int) -> jax.Array:
        # The channels of the first radial functions of each species.
        n_block = density.shape[0]
        channels = density.reshape(n_block, -1, self.settings.n_radial, self.n_lm)
        return channels[:, :, :n_radial].reshape(n_block, -1, self.n_lm)


RadialFunctions = Callable[..., jax.Array]
"""Distances (n_block, n_slots) -> values (n_block, n_radial, n_slots); hashable, zero far away.

Further arguments are constants that may differ from slot to slot.
"""

Each = list[jax.Array]
"""An array for each species, over that species' own slots."""

Saved = tuple[jax.Array, jax.Array, jax.Array, Each, Each, Any]


@dataclass(frozen=True)
class ChebyshevRadial:
    """The radial functions of `radial.py` with their settings."""

    cutoff: float
    n_radial: int
    crowding: float

    def __call__(self, distance: jax.Array) -> jax.Array:
        """R_n(r) as in `radial_functions`."""
        return radial_functions(distance, self.cutoff, self.n_radial, self.crowding)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def neighbour_density(
    radial: RadialFunctions,
    max_degree: int,
    slots: tuple[int, ...],
    displacements: jax.Array,
    constants: Any = (),
) -> jax.Array:
    """The density with radial functions of any kind; arrays as in `DensityFeatures.density`.

    `constants` are handed to the radial functions; derivatives with respect to them are zero.
    """
    return _forward(radial, max_degree, slots, displacements, constants)[0]


def _forward(
    radial: RadialFunctions,
    max_degree: int,
    slots: tuple[int, ...],
    displacements: jax.Array,
    constants: Any,
) -> tuple[jax.Array, Saved]:
    # What is wide is made and used species by species, one fence for each: to cut it up would be
    # to copy it, and while another species is at work it would leave the cache.
    unit, inverse, distance = fenced(_directions)(displacements)
    values = fenced(partial(_radial_values, radial, slots))(distance, *constants)
    densities, harmonics = [], []
    for own, its_values in zip(_ranges(slots), values, strict=True):
        density, its_harmonics = fenced(partial(_of_species, max_degree, own))(unit, its_values)
        densities.append(density)
        harmonics.append(its_harmonics)
    density = jnp.swapaxes(jnp.concatenate(densities, axis=2), 1, 2)
    return density, (unit, inverse, distance, values, harmonics, constants)


def _backward(
    radial: RadialFunctions,
    max_degree: int,
    slots: tuple[int, ...],
    saved: Saved,
    slope: jax.Array,
) -> tuple[jax.Array, None]:
    unit, inverse, distance, values, harmonics, constants = saved
    # Both orders are stored: a product that has to turn one of its sides is slow.
    turned = jnp.swapaxes(slope, 1, 2)
    across, of_radial = [], []
    for species, own in enumerate(_ranges(slots)):
        sideways, outwards = fenced(partial(_slope_of_species, max_degree, own, species))(
            unit, values[species], harmonics[species], slope, turned
        )
        across.append(sideways)
        of_radial.append(outwards)
    along = fenced(partial(_radial_slope, radial))(distance, of_radial, *constants)
    return fenced(_combine)(unit, inverse, along, across), None


neighbour_density.defvjp(_forward, _backward)


def _ranges(slots: tuple[int, ...]) -> list[slice]:
    ends = list(accumulate(slots, initial=0))
    return [slice(start, end) for start, end in pairwise(ends)]


def _directions(displacements: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, y, z = displacements
    square = x * x + y * y + z * z
    inverse = jax.lax.rsqrt(square)
    return displacements * inverse, inverse, square * inverse


def _radial_values(
    radial: RadialFunctions, slots: tuple[int, ...], distance: jax.Array, *constants: Any
) -> Each:
    values = radial(distance, *constants)
    return [values[:, :, own] for own in _ranges(slots)]


def _of_species(
    max_degree: int, own: slice, unit: jax.Array, values: jax.Array
) -> tuple[jax.Array, jax.Array]:
    # The density of one species, (n_block, n_lm, n_radial), and its harmonics.
    x, y, z = unit[:, :, own]
    harmonics = real_spherical_harmonics(x, y, z, max_degree)
    # (n_lm, n_slots) times (n_slots, n_radial): this order packs the smaller matrix.
    return _product(harmonics, values, 2), harmonics


def _slope_of_species(
    max_degree: int,
    own: slice,
    species: int,
    unit: jax.Array,
    values: jax.Array,
    harmonics: jax.Array,
    slope: jax.Array,
    turned: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    # grad sum_lm (D^T R)_lm Y_lm as if x, y, z were independent, and (D Y)_n.
    n_radial = values.shape[1]
    channels = slice(species * n_radial, (species + 1) * n_radial)
    x, y, z = unit[:, :, own]
    of_harmonics = _product(turned[:, :, channels], values, 1)
    across = gradient_of_expansion(x, y, z, of_harmonics, max_degree)
    return across, _product(slope[:, channels], harmonics, 1)


def _radial_slope(
    radial: RadialFunctions, distance: jax.Array, slopes: Each, *constants: Any
) -> jax.Array:
    pull = jax.vjp(lambda distance: radial(distance, *constants), distance)[1]
    (gradient,) = pull(jnp.concatenate(slopes, axis=2))
    return jnp.asarray(gradient)


def _combine(unit: jax.Array, inverse: jax.Array, along: jax.Array, slopes: Each) -> jax.Array:
    across = jnp.concatenate(slopes, axis=2)
    projected = unit[0] * across[0] + unit[1] * across[1] + unit[2] * across[2]
    return unit * (along - projected * inverse) + across * inverse


def _product(left: jax.Array, right: jax.Array, axis: int) -> jax.Array:
    # Matrix product for each atom: the last axis of `left` with `axis` of `right`.
    return jax.lax.dot_general(left, right, (((2,), (axis,)), ((0,), (0,))))
