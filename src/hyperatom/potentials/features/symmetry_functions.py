"""Atom-centred symmetry functions (Behler 2011), weighted ones too (Gastegger et al. 2018).

    radial  G_i = sum_j w_j exp(-eta (r_ij - r_s)^2) f_c(r_ij)
    wide    G_i = 2^(1-zeta) sum_{j<k} w_j w_k (1 + lambda cos theta_ijk)^zeta
                  exp(-eta ((r_ij - r_s)^2 + (r_ik - r_s)^2)) f_c(r_ij) f_c(r_ik)
    narrow  as wide, with (r_jk - r_s)^2 in the exponent and f_c(r_jk) as a factor too

w_j is one for neighbours of the species asked for and zero for others, or the atomic number.
Behler's G2, G5 and G4; types 2, 9 and 3 of n2p2 (weighted: 12, none and 13).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperatom.errors import InputError
from hyperatom.potentials.features.angular_sums import AngularGroup, Neighbourhood, angular_sums
from hyperatom.potentials.features.cutoff_functions import CutoffFunction

ANY = 0
"""In place of an atomic number: every neighbour, weighted by its atomic number."""


@dataclass(frozen=True)
class RadialFunction:
    """A sum over neighbours; `neighbour` is an atomic number or `ANY`, lengths in Å."""

    neighbour: int
    eta: float
    shift: float
    cutoff: float


@dataclass(frozen=True)
class AngularFunction:
    """A sum over pairs of neighbours; `neighbours` are atomic numbers or `ANY` twice, Å.

    `narrow` functions see the distance between the two neighbours. Raises `InputError` for
    |lambda| > 1 or zeta < 1, where the function has no continuous derivative.
    """

    neighbours: tuple[int, int]
    eta: float
    sign: float
    zeta: float
    cutoff: float
    shift: float = 0.0
    narrow: bool = True

    def __post_init__(self) -> None:
        if not (abs(self.sign) <= 1.0 and self.zeta >= 1.0):
            raise InputError(
                "An angular symmetry function with lambda ="
                f" {self.sign:g} and zeta = {self.zeta:g} has no continuous derivative.",
                "Only |lambda| <= 1 and zeta >= 1 are supported.",
            )
        object.__setattr__(self, "neighbours", tuple(sorted(self.neighbours)))


Function = RadialFunction | AngularFunction


class SymmetryFunctions:
    """Displacements of neighbours -> symmetry functions, in the order in which they are given.

    Functions of equal species and cutoff are evaluated together. Angular ones are sums over pairs
    of neighbours, or, where that is exact and cheaper, products of sums over neighbours (see
    `angular_sums`); `factorise` = False forbids the latter.

    Raises `InputError` for functions of a species that is not among `species` (atomic numbers).
    """

    def __init__(
        self,
        species: Sequence[int],
        functions: Sequence[Function],
        cutoff_function: CutoffFunction,
        factorise: bool = True,
    ) -> None:
        self.species = tuple(species)
        self.functions = tuple(functions)
        self.cutoff_function = cutoff_function
        self.factorise = factorise
        self.n_features = len(self.functions)
        self.cutoff = max(function.cutoff for function in self.functions)
        self._radial: dict[tuple[int, float], list[int]] = {}
        self._angular: dict[tuple[tuple[int, int], float, bool], list[int]] = {}
        for number, function in enumerate(self.functions):
            if isinstance(function, RadialFunction):
                self._check((function.neighbour,))
                radial_key = (function.neighbour, function.cutoff)
                self._radial.setdefault(radial_key, []).append(number)
            else:
                self._check(function.neighbours)
                key = (function.neighbours, function.cutoff, function.narrow)
                self._angular.setdefault(key, []).append(number)
        order = [number for group in self._groups() for number in group]
        self._position = np.argsort(order)

    def _groups(self) -> list[list[int]]:
        return [*self._radial.values(), *self._angular.values()]

    def _check(self, neighbours: tuple[int, ...]) -> None:
        if not set(neighbours) <= {ANY, *self.species} or {ANY} < set(neighbours):
            raise InputError(
                f"A symmetry function is for the neighbours {neighbours} (atomic numbers), but the"
                f" potential is for {self.species}.",
                "List every species of the symmetry functions among the elements.",
            )

    def __call__(self, displacements: jax.Array, slots: tuple[int, ...]) -> jax.Array:
        """The features of each atom, (n_block, n_features).

        `displacements` (3, n_block, n_slots) in Å; `slots` are those of each species, in order.
        """
        square = jnp.sum(displacements * displacements, axis=0)
        distance = jnp.sqrt(square)
        unit = displacements / distance
        ranges = [slice(start, end) for start, end in pairwise(accumulate(slots, initial=0))]
        weights = np.repeat(np.array(self.species, dtype=float), slots)

        def those(neighbour: int) -> Neighbourhood:
            if neighbour == ANY:
                return Neighbourhood(unit, distance, jnp.asarray(weights, distance.dtype))
            own = ranges[self.species.index(neighbour)]
            return Neighbourhood(unit[:, :, own], distance[:, own], None)

        columns = []
        for (neighbour, cutoff), members in self._radial.items():
            columns.append(self._radial_sums(those(neighbour), cutoff, members))
        for (neighbours, cutoff, narrow), members in self._angular.items():
            group = self._angular_group(cutoff, narrow, members)
            first, second = (those(neighbour) for neighbour in neighbours)
            same = neighbours[0] == neighbours[1]
            columns.append(
                angular_sums(group, first, second, same, self.cutoff_function, self.factorise)
            )
        return jnp.concatenate(columns, axis=1)[:, self._position]

    def _radial_sums(self, those: Neighbourhood, cutoff: float, members: list[int]) -> jax.Array:
        functions = [self.functions[member] for member in members]
        window = self.cutoff_function(those.distance, cutoff)
        if those.weight is not None:
            window = window * those.weight
        eta, shift = _columns(functions, those.distance.dtype, "eta", "shift")
        gaussians = jnp.exp(-eta * (those.distance[:, None, :] - shift) ** 2)
        return jnp.sum(gaussians * window[:, None, :], axis=2)

    def _angular_group(self, cutoff: float, narrow: bool, members: list[int]) -> AngularGroup:
        radial: dict[tuple[float, float], int] = {}
        angular: dict[tuple[float, float], int] = {}
        places = []
        for member in members:
            function = self.functions[member]
            assert isinstance(function, AngularFunction)
            row = radial.setdefault((function.eta, function.shift), len(radial))
            column = angular.setdefault((function.sign, function.zeta), len(angular))
            places.append((row, column))
        return AngularGroup(cutoff, narrow, tuple(radial), tuple(angular), tuple(places))


def _columns(functions: Sequence[Function], dtype: Any, *names: str) -> tuple[jax.Array, ...]:
    return tuple(
        jnp.array([getattr(function, name) for function in functions], dtype=dtype)[None, :, None]
        for name in names
    )
