"""Gaussian approximation potentials (GAP): sparse Gaussian processes of two, three and many bodies.

    E = sum_i e0_i + sum_ij e(r_ij) f(r_ij)
        + sum_ijk e(r_ij + r_ik, (r_ij - r_ik)^2, r_jk) f(r_ij) f(r_ik) + sum_i e(SOAP_i)

with i, j, k all different, so that every pair counts twice, and every triplet at each of its atoms.

Bartók, Payne, Kondor and Csányi, Phys. Rev. Lett. 104, 136403 (2010); Bartók and Csányi, Int. J.
Quantum Chem. 115, 1051 (2015). f falls from one to zero before the cutoff as half a cosine.
"""

from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.features.gaussian_density import GaussianDensity, transition
from hyperatom.potentials.readouts.sparse_gaussian_process import (
    dot_product_covariance,
    dot_product_kernel,
    dot_product_slopes,
    dot_product_totals,
    gaussian_kernel,
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairTerm:
    """A function of the distance of two species, given by their positions among the species.

    Its parameters: `points` (n_points, 1) in Å, `widths` (1,) in Å, `weights` (n_points,) in eV.
    """

    first: int
    second: int
    cutoff: float
    transition_width: float

    def energy(
        self, own: Any, displacements: jax.Array, central: jax.Array, slots: tuple[int, ...]
    ) -> jax.Array:
        """Every neighbour of each atom, (n_block,)."""
        ranges = list(pairwise(accumulate(slots, initial=0)))
        energy = jnp.zeros(displacements.shape[1], dtype=displacements.dtype)
        for centre, neighbour in {(self.first, self.second), (self.second, self.first)}:
            start, end = ranges[neighbour]
            distance = _length(displacements[:, :, start:end])
            window = transition(distance, self.cutoff, self.transition_width)
            kernel = gaussian_kernel(distance[..., None], own["points"], own["widths"])
            of_atom = jnp.sum(kernel @ own["weights"] * window, axis=1)
            energy += jnp.where(central == centre, of_atom, 0.0)
        return energy

    @property
    def centres(self) -> tuple[int, ...]:
        """Species of the atoms that have such an energy."""
        return tuple(sorted({self.first, self.second}))

    @property
    def seen(self) -> tuple[str, ...]:
        """See `Term`."""
        return ("points", "widths")

    def rows(
        self, own: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array]:
        """See `Term`."""
        ranges = list(pairwise(accumulate(slots, initial=0)))
        start, end = ranges[self.second if centre == self.first else self.first]
        vectors = displacements[:, :, start:end]
        distance = _length(vectors)

        def values(distance: jax.Array) -> jax.Array:
            window = transition(distance, self.cutoff, self.transition_width)
            kernel = gaussian_kernel(distance[..., None], own["points"], own["widths"])
            return kernel * window[..., None]

        value, slope = jax.jvp(values, (distance,), (jnp.ones_like(distance),))
        along = jnp.moveaxis(vectors / distance, 0, 2)
        around = ((0, 0), (start, displacements.shape[2] - end), (0, 0), (0, 0))
        return value.sum(axis=1), jnp.pad(along[..., None] * slope[:, :, None], around)

    def inputs(
        self, own: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
    ) -> jax.Array:
        """Sums of kernels at each atom, (n_block, n_points)."""
        return self.rows(own, displacements, centre, slots)[0]

    def totals(self, own: Any, inputs: Array) -> tuple[Array, float | None]:  # noqa: ARG002
        """See `Term`."""
        return inputs.sum(axis=0), None

    def covariance(self, own: Any) -> Array:
        """See `Term`."""
        return _gaussian_covariance(own)


@dataclass(frozen=True)
class TripletTerm:
    """A function of an atom and two of its neighbours, symmetric in these.

    Its parameters: `points` (n_points, 3), `widths` (3,), `weights` (n_points,) in eV.
    """

    centre: int
    first: int
    second: int
    cutoff: float
    transition_width: float

    def energy(
        self, own: Any, displacements: jax.Array, central: jax.Array, slots: tuple[int, ...]
    ) -> jax.Array:
        """Every triplet at its central atom, (n_block,)."""
        left, right = self._neighbours(displacements, slots)
        total = jnp.sum(self._values(own, left, right) @ own["weights"], axis=(1, 2))
        return jnp.where(central == self.centre, total, 0.0)

    @property
    def centres(self) -> tuple[int, ...]:
        """Species of the atoms that have such an energy."""
        return (self.centre,)

    @property
    def seen(self) -> tuple[str, ...]:
        """See `Term`."""
        return ("points", "widths")

    def rows(
        self, own: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array]:
        """See `Term`."""
        del centre
        left, right = self._neighbours(displacements, slots)
        ranges = list(pairwise(accumulate(slots, initial=0)))
        values = self._values(own, left, right)
        slopes = jnp.zeros((*displacements.shape[1:], 3, values.shape[-1]), displacements.dtype)
        for axis in range(3):
            for place, (vectors, of_species) in enumerate(
                ((left, self.first), (right, self.second))
            ):
                along = [jnp.zeros_like(left), jnp.zeros_like(right)]
                along[place] = jnp.zeros_like(vectors).at[axis].set(1.0)
                moved = jax.jvp(partial(self._values, own), (left, right), tuple(along))[1]
                part = slice(*ranges[of_species])
                slopes = slopes.at[:, part, axis].add(moved.sum(axis=2 - place))
        return values.sum(axis=(1, 2)), slopes

    def inputs(
        self, own: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
    ) -> jax.Array:
        """Sums of kernels at each atom, (n_block, n_points)."""
        del centre
        return self._values(own, *self._neighbours(displacements, slots)).sum(axis=(1, 2))

    def totals(self, own: Any, inputs: Array) -> tuple[Array, float | None]:  # noqa: ARG002
        """See `Term`."""
        return inputs.sum(axis=0), None

    def covariance(self, own: Any) -> Array:
        """See `Term`."""
        return _gaussian_covariance(own)

    def _neighbours(
        self, displacements: jax.Array, slots: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array]:
        ranges = list(pairwise(accumulate(slots, initial=0)))
        left = displacements[:, :, slice(*ranges[self.first])]
        return left, displacements[:, :, slice(*ranges[self.second])]

    def _values(self, own: Any, left: jax.Array, right: jax.Array) -> jax.Array:
        # Kernels of each triplet with each point, (n_block, n_left, n_right, n_points).
        r1, r2 = _length(left)[:, :, None], _length(right)[:, None, :]
        window = transition(r1, self.cutoff, self.transition_width)
        window = window * transition(r2, self.cutoff, self.transition_width)
        counted = (r1 < self.cutoff) & (r2 < self.cutoff)
        if self.first == self.second:
            counted &= ~np.eye(left.shape[2], dtype=bool)
        else:
            window = 2.0 * window
        apart = left[:, :, :, None] - right[:, :, None, :]
        square = jnp.where(counted, jnp.sum(apart * apart, axis=0), 1.0)
        x = jnp.stack([r1 + r2, (r1 - r2) ** 2, jnp.sqrt(square)], axis=-1)
        kernel = gaussian_kernel(x, own["points"], own["widths"])
        return jnp.where(counted[..., None], kernel * window[..., None], 0.0)


@dataclass(frozen=True)
class SoapTerm:
    """A function of the SOAP power spectrum of one species.

    Its parameters: `series` of the density, `points` (n_points, n_features), `weights` (n_points,)
    in eV.
    """

    centre: int
    density: GaussianDensity
    exponent: float

    def energy(self, own: Any, spectrum: jax.Array, central: jax.Array) -> jax.Array:
        """The energy of each atom of the species, (n_block,)."""
        kernel = dot_product_kernel(spectrum, own["points"], self.exponent)
        return jnp.where(central == self.centre, kernel @ own["weights"], 0.0)

    @property
    def centres(self) -> tuple[int, ...]:
        """Species of the atoms that have such an energy."""
        return (self.centre,)

    @property
    def seen(self) -> tuple[str, ...]:
        """See `Term`."""
        return ("series",)

    def rows(
        self, own: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array]:
        """See `Term`."""
        central = jnp.full(displacements.shape[1], centre)
        spectrum, slopes = self.density.power_spectrum_slopes(
            own["series"], displacements, central, slots
        )
        return dot_product_slopes(spectrum, slopes, own["points"], self.exponent)

    def inputs(
        self, own: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
    ) -> jax.Array:
        """Power spectrum of each atom, (n_block, n_features)."""
        central = jnp.full(displacements.shape[1], centre)
        return self.density.power_spectrum(own["series"], displacements, central, slots)

    def totals(self, own: Any, inputs: Array) -> tuple[Array, float | None]:
        """See `Term`."""
        return dot_product_totals(inputs, np.asarray(own["points"]), self.exponent)

    def covariance(self, own: Any) -> Array:
        """See `Term`."""
        return dot_product_covariance(np.asarray(own["points"]), self.exponent)

    @property
    def cutoff(self) -> float:
        """How far it reaches, Å."""
        return self.density.cutoff


Term = PairTerm | TripletTerm | SoapTerm


def gaussian_approximation(
    species: tuple[int, ...],
    constants: Array,
    terms: tuple[Term, ...],
    parameters: tuple[dict[str, Array], ...],
    name: str,
) -> CompiledPotential:
    """The sum of `terms`, each with its parameters, and of `constants` (n_species,) in eV."""
    cutoff = max(term.cutoff for term in terms)
    model = CompiledModel(species, cutoff, partial(_atomic_energy, terms), block=BLOCK)
    return CompiledPotential(model, (constants, parameters), name)


BLOCK = 16
"""Atoms worked on at a time."""


def _atomic_energy(
    terms: tuple[Term, ...],
    parameters: Any,
    displacements: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    constants, of_terms = parameters
    learned = sum_of_terms(terms, of_terms, displacements, central_species, slots)
    return jnp.asarray(constants)[central_species] + learned


def sum_of_terms(
    terms: tuple[Term, ...],
    of_terms: Any,
    displacements: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    """Energies (n_block,) of all terms, each with its own parameters; see `AtomicEnergy`."""
    energy = jnp.zeros(displacements.shape[1], dtype=displacements.dtype)
    spectra: dict[GaussianDensity, jax.Array] = {}
    for term, own in zip(terms, of_terms, strict=True):
        if isinstance(term, SoapTerm):
            if term.density not in spectra:
                spectra[term.density] = term.density.power_spectrum(
                    own["series"], displacements, central_species, slots
                )
            energy += term.energy(own, spectra[term.density], central_species)
        else:
            energy += term.energy(own, displacements, central_species, slots)
    return jnp.asarray(energy)


def _gaussian_covariance(own: Any) -> Array:
    with jax.enable_x64(True):
        kernel = gaussian_kernel(own["points"], own["points"], own["widths"])
        return np.asarray(kernel, dtype=np.float64)


def _length(displacements: jax.Array) -> jax.Array:
    return jnp.asarray(jnp.sqrt(jnp.sum(displacements * displacements, axis=0)))
