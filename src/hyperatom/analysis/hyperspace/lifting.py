"""Lifting: every atom of a trajectory to the site of six dimensions that it lies on.

An atom at r belongs to the site n of the least

    |r - x_par(n)|^2 / sigma^2 + kappa d(x_perp(n), W)^2 - (bonus of the site it was on before)

with d the distance of the site from its window W, one atom per site. Candidates lie within a reach
of the atom and in dilated windows.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.hyperspace.assignment import assign
from hyperatom.analysis.hyperspace.candidate_sites import CandidateSites
from hyperatom.errors import InputError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class LiftingRule:
    """What an assignment costs.

    | field         | unit | meaning                                                               |
    |---------------|------|-----------------------------------------------------------------------|
    | `sigma`       | Å    | expected displacement from a site, along each axis                    |
    | `kappa`       | Å^-2 | price of a distance from the window                                   |
    | `bonus`       | -    | by how much another site must be better than the present one          |
    | `reach`       | Å    | how far candidates lie from the atom                                  |
    | `hold`        | Å    | an atom without candidates in reach keeps its site up to here; in the |
    |               |      | first frame it takes one up to here                                   |
    | `cell_strain` | -    | largest deformation of a cell that is still the approximant's         |
    """

    sigma: float = 0.17
    kappa: float = 2.0
    bonus: float = 8.0
    reach: float = 0.6
    hold: float = 1.2
    cell_strain: float = 0.05

    @property
    def nowhere(self) -> float:
        """Cost of lying on no site."""
        return (self.hold / self.sigma) ** 2 + 4.0 * self.bonus


@dataclass(frozen=True, eq=False)
class LiftedTrajectory:
    """The site of each atom in each frame.

    | field      | shape                | unit | meaning                                         |
    |------------|----------------------|------|-------------------------------------------------|
    | `site`     | (n_frames, n_atoms)  | -    | number of the candidate site, -1 for none       |
    | `image`    | (n_frames, n_atoms, 3) | -  | cell of that site, along the unwrapped path     |
    | `residual` | (n_frames,)          | Å    | rms distance of the atoms from their sites      |
    | `drift`    | (n_frames, 3)        | Å    | motion of the whole, taken off before           |
    """

    candidates: CandidateSites
    site: NDArray[np.int32]
    image: NDArray[np.int16]
    residual: Array
    drift: Array

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.site)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.site.shape[1])

    @property
    def fraction_lifted(self) -> float:
        """Share of atoms and frames with a site."""
        return float((self.site >= 0).mean())

    def indices(self, frame: int) -> Integers:
        """Doubled indices, unwrapped, (n_atoms, 6); meaningless for atoms without a site."""
        periods = self.candidates.cut.periods
        home = self.candidates.sites.indices[self.site[frame]]
        return np.asarray(home + self.image[frame].astype(np.int64) @ periods.T)

    def perpendicular(self, frame: int) -> Array:
        """Perpendicular coordinates in Å, (n_atoms, 3); NaN where there is no site."""
        there = self.site[frame] >= 0
        points = self.candidates.sites.perpendicular[self.site[frame]]
        return np.where(there[:, None], points, np.nan)


class Lifter:
    """Assigns atoms to candidate sites, frame by frame, with hysteresis."""

    def __init__(self, candidates: CandidateSites, rule: LiftingRule = LiftingRule()) -> None:
        self.candidates = candidates
        self.rule = rule
        self._cell = candidates.cut.cell
        self._penalty = rule.kappa * candidates.distance**2
        self._safe = self._safe_radii()

    def lift(
        self,
        frames: Iterable[Array],
        cells: Iterable[Array] | None = None,
        follow_drift: bool = True,
        start: tuple[Integers, Integers] | None = None,
    ) -> LiftedTrajectory:
        """Lift successive frames of positions (n_atoms, 3) in Å, wrapped or not.

        `cells` are the lattice vectors of each frame where they vary: positions are then scaled to
        the approximant's cell. `follow_drift` takes off the mean displacement from the sites.
        `start` gives sites and images before the first frame. Raises `InputError` for a cell that
        is not the approximant's, frames that differ in their number of atoms, or none.
        """
        site: Integers | None = None
        image = np.zeros((0, 3), dtype=np.int64)
        if start is not None:
            site, image = start[0].copy(), start[1].copy()
        inverse = np.linalg.inv(self._cell)
        previous: Array | None = None
        crossed = np.zeros((0, 3), dtype=np.int64)
        drift = np.zeros(3)
        lattices = None if cells is None else iter(cells)
        sites: list[NDArray[np.int32]] = []
        images: list[NDArray[np.int16]] = []
        residuals: list[float] = []
        drifts: list[Array] = []
        for frame in frames:
            positions = np.asarray(frame, dtype=np.float64)
            if lattices is not None:
                positions = positions @ self._scaling(np.asarray(next(lattices)))
            if not np.isfinite(positions).all():
                raise InputError(
                    f"Frame {len(sites)} of the trajectory has positions that are no numbers.",
                    "Leave out the frames behind the failure.",
                )
            if previous is None:
                crossed = np.zeros(positions.shape, dtype=np.int64)
            elif positions.shape != previous.shape:
                raise InputError(
                    f"Frame {len(sites)} has {len(positions)} atoms, the one before "
                    f"{len(previous)}.",
                    "Lift frames with the same atoms in the same order.",
                )
            else:
                crossed += np.rint((positions - previous) @ inverse).astype(np.int64)
            previous = positions
            unwrapped = positions - crossed @ self._cell - drift
            if site is None:
                site, image = self._first(unwrapped)
            if follow_drift:
                shift = self._mean_displacement(unwrapped, site, image)
                drift = drift + shift
                unwrapped = unwrapped - shift
            site, image, displacement = self._next(unwrapped, site, image)
            sites.append(site.astype(np.int32))
            images.append(image.astype(np.int16))
            on_site = site >= 0
            squares = np.einsum("ij,ij->i", displacement, displacement)[on_site]
            residuals.append(float(squares.mean()) ** 0.5 if len(squares) else np.nan)
            drifts.append(drift)
        if not sites:
            raise InputError("The trajectory has no frames.", "Give at least one.")
        return LiftedTrajectory(
            self.candidates,
            np.array(sites),
            np.array(images),
            np.array(residuals),
            np.array(drifts),
        )

    def _scaling(self, cell: Array) -> Array:
        """What maps positions in `cell` to the approximant's; refuses another cell."""
        deformation = np.linalg.solve(self._cell, cell) - np.eye(3)
        if np.abs(deformation).max() > self.rule.cell_strain:
            lengths = ", ".join(f"{x:.3f}" for x in np.linalg.norm(cell, axis=1))
            own = ", ".join(f"{x:.3f}" for x in np.linalg.norm(self._cell, axis=1))
            raise InputError(
                f"The trajectory's cell ({lengths} Å) is not that of the approximant ({own} Å): "
                f"they differ by {100.0 * np.abs(deformation).max():.1f} %.",
                "Lift with the approximant that the trajectory was started from.",
            )
        return np.asarray(np.linalg.solve(cell, self._cell))

    def _places(self, site: Integers, image: Integers) -> Array:
        return np.asarray(self.candidates.sites.parallel[site] + image @ self._cell)

    def _mean_displacement(self, positions: Array, site: Integers, image: Integers) -> Array:
        displacement = positions - self._places(site, image)
        near = (site >= 0) & (np.abs(displacement).max(axis=1) < self.rule.reach)
        return np.asarray(displacement[near].mean(axis=0)) if near.any() else np.zeros(3)

    def _safe_radii(self) -> Array:
        """How far an atom may be from its site without any other site being better, (n_sites,), Å.

        A site at distance D is no better at |dr| = r if (D - r)^2 >= r^2 - sigma^2 (bonus + kappa
        (d'^2 - d^2)).
        """
        count = min(24, len(self.candidates.sites))
        span = self.rule.reach + self.rule.hold
        number, _, length = self.candidates.nearest(self.candidates.sites.parallel, span, count)
        gain = self.rule.bonus + self._penalty[number] - self._penalty[:, None]
        own = length < 1e-9
        length = np.where(own | ~np.isfinite(length), np.inf, length)
        with np.errstate(invalid="ignore"):
            radii = 0.5 * (length + self.rule.sigma**2 * gain / length)
        radii = np.where(np.isfinite(length), radii, np.inf)
        return np.asarray(np.clip(radii.min(axis=1), 0.0, self.rule.reach))

    def _first(self, positions: Array) -> tuple[Integers, Integers]:
        """Sites without any history."""
        site = np.full(len(positions), -1, dtype=np.int64)
        image = np.zeros((len(positions), 3), dtype=np.int64)
        for reach in (self.rule.reach, self.rule.hold):
            lost = np.flatnonzero(site < 0)
            if len(lost):
                self._settle(positions, site, image, lost, reach, keep=False)
        return site, image

    def _next(
        self, positions: Array, site: Integers, image: Integers
    ) -> tuple[Integers, Integers, Array]:
        displacement = positions - self._places(site, image)
        squares = np.einsum("ij,ij->i", displacement, displacement)
        restless = np.flatnonzero((site < 0) | (squares > self._safe[site] ** 2))
        if len(restless):
            site, image = site.copy(), image.copy()
            self._settle(positions, site, image, restless, self.rule.reach, keep=True)
            displacement[restless] = positions[restless] - self._places(
                site[restless], image[restless]
            )
        return site, image, displacement

    def _settle(
        self,
        positions: Array,
        site: Integers,
        image: Integers,
        atoms: Integers,
        reach: float,
        keep: bool,
    ) -> None:
        """Assign `atoms`, in place, to sites that the others leave free."""
        number, cells, length = self.candidates.nearest(positions[atoms], reach, 8)
        taken = np.zeros(len(self.candidates.sites), dtype=bool)
        others = np.ones(len(site), dtype=bool)
        others[atoms] = False
        taken[site[others & (site >= 0)]] = True
        number = np.where((number >= 0) & ~taken[number], number, -1)
        costs = np.where(
            number >= 0, (length / self.rule.sigma) ** 2 + self._penalty[number], np.inf
        )
        if keep:
            before = site[atoms]
            away = positions[atoms] - self._places(before, image[atoms])
            squares = np.einsum("ij,ij->i", away, away)
            stays = (before >= 0) & (squares <= self.rule.hold**2)
            staying = squares / self.rule.sigma**2 + self._penalty[before] - self.rule.bonus
            same = (number == before[:, None]) & (cells == image[atoms][:, None]).all(axis=2)
            costs = np.where(same, np.inf, costs)
            number = np.column_stack([np.where(stays, before, -1), number])
            cells = np.concatenate([image[atoms][:, None], cells], axis=1)
            costs = np.column_stack([np.where(stays, staying, np.inf), costs])
        choice = assign(number, costs, self.rule.nowhere)
        rows = np.arange(len(atoms))
        site[atoms] = np.where(choice >= 0, number[rows, choice], -1)
        image[atoms] = np.where((choice >= 0)[:, None], cells[rows, choice], 0)
