"""Vacancy hops: an atom jumps from its site to an empty one.

The sites are given, as fractions of the cell. An atom less than `capture` from a site belongs to
it; a site to which no atom belongs is vacant. A hop is a pair (atom at its site, vacant site),
drawn uniformly from the n(x) pairs that exist, and takes the atom from site a to site b *with its
displacement from the site*:

    x_i' = x_i + (s_b - s_a)

This shift preserves volume; the way back is the same hop with a and b exchanged, one of n(x') that
exist then. So the log ratio is log[n(x) / n(x')]. Where the way back does not exist (a second atom
belongs to a) the hop is vetoed. Sampled is exp(-U/k_BT) of all coordinates; the centre of mass
moves with the atom, which matters to no energy that is invariant under translation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.errors import InputError
from hyperatom.geometry.cells import shortest_images

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VacancyHop:
    """Hops among `sites`.

    | field     | shape        | unit | meaning                                                    |
    |-----------|--------------|------|------------------------------------------------------------|
    | `sites`   | (n_sites, 3) | cell | fractions along the cell vectors                           |
    | `capture` | scalar       | Å    | atoms nearer to a site than this belong to it              |
    | `reach`   | scalar       | Å    | longest hop, from site to site                             |
    | `species` | tuple        | -    | atomic numbers that may hop; None: all                     |

    Raises `InputError` for sites that are not a table of three columns.
    """

    sites: Array
    capture: float
    reach: float = np.inf
    species: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        sites = np.array(self.sites, dtype=np.float64)
        if sites.ndim != 2 or sites.shape[1] != 3 or not self.capture > 0.0:
            raise InputError(
                f"Vacancy hops need sites of shape (n_sites, 3) and a positive capture radius; "
                f"found {sites.shape} and {self.capture:g} Å."
            )
        sites.setflags(write=False)
        object.__setattr__(self, "sites", sites)

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: log of the number of hops before over that after.

        Raises `InputError` where an atom could belong to two sites at once, and without a cell.
        """
        between = self._between_sites(configuration)
        near = np.linalg.norm(between, axis=2) <= self.reach
        belongs = self._belongs(configuration, slice(None))
        hops = self._hops(configuration, belongs, near)
        if len(hops) == 0:
            return Proposed(configuration, -np.inf, "no atom has a vacancy to hop to")
        atom, a, b = (int(k) for k in hops[rng.integers(len(hops))])
        positions = configuration.positions.copy()
        positions[atom] += between[a, b]
        there = configuration.with_positions(positions)
        belongs[atom] = self._belongs(there, slice(atom, atom + 1))
        back = self._hops(there, belongs, near)
        record = {"atom": atom, "from_site": a, "to_site": b}
        if not (back == (atom, b, a)).all(axis=1).any():
            return Proposed(there, -np.inf, "the hop has no way back", record)
        return Proposed(there, float(np.log(len(hops) / len(back))), None, record)

    def _between_sites(self, configuration: Configuration) -> Array:
        """Shortest vectors from site a to site b, (n_sites, n_sites, 3), Å."""
        if abs(np.linalg.det(configuration.cell)) == 0.0:
            raise InputError(
                "Vacancy hops need a cell: the sites are given as fractions of it.",
                "Give the configuration a cell, periodic or not.",
            )
        cartesian = self.sites @ configuration.cell
        between = shortest_images(
            cartesian[None, :, :] - cartesian[:, None, :],
            configuration.cell,
            configuration.periodic,
        )
        # One direction decides for both: where two images are equally near, the way back must be
        # the way there.
        upper = np.triu(np.ones(between.shape[:2], dtype=bool), 1)
        between = np.where(upper[..., None], between, -between.transpose(1, 0, 2))
        lengths = np.linalg.norm(between, axis=2)
        if len(lengths) > 1:
            nearest = float(lengths[upper | upper.T].min())
            if nearest < 2.0 * self.capture:
                raise InputError(
                    f"Two sites are {nearest:.3g} Å apart, so that an atom could belong to both "
                    f"within {self.capture:g} Å.",
                    f"Choose a capture radius of at most {0.5 * nearest:.3g} Å.",
                )
        return between

    def _belongs(self, configuration: Configuration, atoms: slice) -> NDArray[np.bool_]:
        """Which of the atoms belong to which site, (n_atoms, n_sites)."""
        cartesian = self.sites @ configuration.cell
        away = shortest_images(
            configuration.positions[atoms, None, :] - cartesian[None, :, :],
            configuration.cell,
            configuration.periodic,
        )
        near: NDArray[np.bool_] = np.einsum("ask,ask->as", away, away) < self.capture**2
        return near

    def _hops(
        self,
        configuration: Configuration,
        belongs: NDArray[np.bool_],
        near: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """Every possible (atom, its site, vacant site), (n_hops, 3)."""
        vacant = ~np.asarray(belongs.any(axis=0))
        if self.species is not None:
            belongs = belongs.copy()
            belongs[~np.isin(configuration.numbers, self.species)] = False
        return np.argwhere(belongs[:, :, None] & (near & vacant[None, :])[None])
