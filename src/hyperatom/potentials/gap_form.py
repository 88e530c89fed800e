"""The terms of a Gaussian approximation potential, and where its inducing points are.

Pairs of every two species, triplets where they are asked for, and SOAP of every species (Bartók and
Csányi, Int. J. Quantum Chem. 115, 1051 (2015); Deringer and Csányi, Phys. Rev. B 95, 094203
(2017)). Points of pairs are evenly spaced, those of triplets and of SOAP chosen among what the
frames hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any, Final

import jax
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.geometry.neighbours import pairs
from hyperatom.potentials.features.gaussian_density import GaussianDensity
from hyperatom.potentials.features.selection import Method, farthest_points, selected_rows
from hyperatom.potentials.gaussian_approximation import (
    PairTerm,
    SoapTerm,
    TripletTerm,
    sum_of_terms,
)
from hyperatom.potentials.gaussian_approximation import Term as GapTerm
from hyperatom.potentials.sparse_fit import Candidates

Array = NDArray[np.float64]

TRIPLET_FRAMES: Final = 64
"""Frames, at the most, whose triplets are candidates."""

TRIPLET_CENTRES: Final = 50
"""Atoms of such a frame, at the most, whose triplets are candidates."""

TRIPLETS: Final = 4000
"""Triplets of a kind, at the most, among which points are chosen."""


@dataclass(frozen=True)
class GapForm:
    """Terms of the settings of the family; lengths in Å, see `GapSettings`."""

    species: tuple[int, ...]
    cutoff: float
    transition_width: float
    n_radial: int
    max_degree: int
    atom_width: float
    exponent: float
    inducing_points: int
    selection: Method
    pair_points: int
    pair_width: float
    triplet_points: int
    triplet_cutoff: float
    triplet_width: float
    name: str = "Gaussian approximation potential"

    @cached_property
    def terms(self) -> tuple[GapTerm, ...]:
        """Pairs, triplets, SOAP."""
        kinds, width = range(len(self.species)), self.transition_width
        terms: list[GapTerm] = []
        if self.pair_points:
            terms += [
                PairTerm(one, other, self.cutoff, width)
                for one, other in combinations_with_replacement(kinds, 2)
            ]
        if self.triplet_points:
            terms += [
                TripletTerm(centre, one, other, self.triplet_cutoff, width)
                for centre in kinds
                for one, other in combinations_with_replacement(kinds, 2)
            ]
        density = GaussianDensity(
            tuple(kinds), self.cutoff, width, self.n_radial, self.max_degree, self.atom_width
        )
        terms += [SoapTerm(centre, density, self.exponent) for centre in kinds]
        return tuple(terms)

    def energy(
        self,
        owns: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """See `Form`."""
        return sum_of_terms(self.terms, owns, displacements, central_species, slots)

    def chosen(self, candidates: Candidates, radii: Array, seed: int) -> list[Any]:
        """See `Form`."""
        soaps = [term for term in self.terms if isinstance(term, SoapTerm)]
        series = soaps[0].density.series()
        spectra = candidates.inputs(soaps, [{"series": series}] * len(soaps))
        owns: list[Any] = []
        for term in self.terms:
            if isinstance(term, PairTerm):
                start = min(radii[term.first, term.second], 0.5 * self.cutoff)
                points = np.linspace(start, self.cutoff, self.pair_points)[:, None]
                owns.append({"points": points, "widths": np.array([self.pair_width])})
            elif isinstance(term, TripletTerm):
                # The second coordinate is a square of lengths.
                widths = self.triplet_width * np.array([1.0, self.triplet_width, 1.0])
                found = _triplets(candidates.configurations, self.species, term, seed)
                picked = farthest_points(found / widths, self.triplet_points, seed)
                owns.append({"points": found[picked], "widths": widths})
            else:
                of_species = spectra[term.centre]
                picked = selected_rows(of_species, self.inducing_points, self.selection, seed)
                points = of_species[picked]
                if not len(points):
                    # No atom was seen: a direction that says nothing, until one is.
                    points = np.eye(1, term.density.n_features)
                owns.append({"points": points, "series": series})
        return owns

    def weighted(self, owns: Sequence[Any], weights: Sequence[Array]) -> list[Any]:
        """See `Form`."""
        return [{**own, "weights": part} for own, part in zip(owns, weights, strict=True)]


def _triplets(
    configurations: Sequence[Configuration], species: tuple[int, ...], term: TripletTerm, seed: int
) -> Array:
    """(r1 + r2, (r1 - r2)^2, r12) of triplets that occur, (n, 3), in Å and Å^2."""
    rng = np.random.default_rng([seed, 2])
    order = rng.permutation(len(configurations))[:TRIPLET_FRAMES]
    found = []
    for here in (configurations[int(which)] for which in order):
        i, j, lattice = pairs(here.positions, here.cell, here.periodic, term.cutoff)
        vectors = here.positions[j] + lattice @ here.cell - here.positions[i]
        centre, end = np.concatenate([i, j]), np.concatenate([j, i])
        vectors = np.concatenate([vectors, -vectors])
        centres = rng.permutation(np.flatnonzero(here.numbers == species[term.centre]))
        asked = np.isin(centre, centres[:TRIPLET_CENTRES])
        left = np.flatnonzero(asked & (here.numbers[end] == species[term.first]))
        right = np.flatnonzero(asked & (here.numbers[end] == species[term.second]))
        a, b = np.nonzero(centre[left][:, None] == centre[right])
        a, b = left[a], right[b]
        a, b = a[a != b], b[a != b]
        some = rng.permutation(len(a))[: max(1, TRIPLETS // len(order))]
        first, second = vectors[a[some]], vectors[b[some]]
        r1, r2 = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
        apart = np.linalg.norm(first - second, axis=1)
        found.append(np.stack([r1 + r2, (r1 - r2) ** 2, apart], axis=1))
    triplets: Array = np.concatenate(found)
    if not len(triplets):
        # Never seen: one point, whose weight the prior keeps at zero.
        return np.array([[term.cutoff, 0.0, term.cutoff]])
    return triplets
