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
    dot_product_kernel,
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
        ranges = list(pairwise(accumulate(slots, initial=0)))
        left = displacements[:, :, slice(*ranges[self.first])]
        right = displacements[:, :, slice(*ranges[self.second])]
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
        values = gaussian_kernel(x, own["points"], own["widths"]) @ own["weights"]
        total = jnp.sum(jnp.where(counted, values * window, 0.0), axis=(1, 2))
        return jnp.where(central == self.centre, total, 0.0)


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
    energy = constants[central_species]
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


def _length(displacements: jax.Array) -> jax.Array:
    return jnp.asarray(jnp.sqrt(jnp.sum(displacements * displacements, axis=0)))
