"""Perpendicular space: which sites are occupied, and how far atoms wander."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.analysis.hyperspace.lifting import LiftedTrajectory
from hyperatom.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShellOccupation:
    """Occupation of one class against the distance from the centre of its window.

    | field         | shape       | unit | meaning                                              |
    |---------------|-------------|------|------------------------------------------------------|
    | `radius`      | (n_bins,)   | Å    | middle of each shell                                 |
    | `sites`       | (n_bins,)   | -    | candidate sites in the shell                         |
    | `occupation`  | (n_bins,)   | -    | mean share of them that is occupied; NaN without one |
    | `ideal`       | (n_bins,)   | -    | share of them that lies in the window                |
    """

    name: str
    radius: Array
    sites: NDArray[np.int64]
    occupation: Array
    ideal: Array


@dataclass(frozen=True)
class GhostOccupation:
    """Atoms outside windows, and empty sites inside, averaged over frames.

    | field            | meaning                                                   |
    |------------------|-----------------------------------------------------------|
    | `ghosts`         | mean number of atoms on ghost sites, for each class       |
    | `vacancies`      | mean number of empty sites in windows, for each class     |
    | `interstitials`  | mean number of atoms on no site                           |
    | `ever_occupied`  | number of different ghost sites that were ever occupied   |
    """

    ghosts: dict[str, float]
    vacancies: dict[str, float]
    interstitials: float
    ever_occupied: int


@dataclass(frozen=True, eq=False)
class PerpendicularDisplacement:
    """Mean squared displacements between sites, in perpendicular and in physical space.

    | field            | shape     | unit | meaning                                               |
    |------------------|-----------|------|-------------------------------------------------------|
    | `time`           | (n_lags,) | ps   | lags                                                  |
    | `msd`            | (n_lags,) | Å^2  | in perpendicular space, over atoms and starting times |
    | `error`          | (n_lags,) | Å^2  | one standard error of `msd`, between atoms            |
    | `parallel`       | (n_lags,) | Å^2  | in physical space, unwrapped                          |
    | `ceiling`        | -         | Å^2  | `msd` of atoms that have forgotten their site         |
    | `exponent`       | -         | -    | d log msd / d log time over the longest lags (1 : 10) |
    | `exponent_error` | -         | -    | jackknife over groups of atoms                        |
    | `bounded`        | -         | -    | exponent below 1/2 (True), above (False), within two  |
    |                  |           |      | errors of it (None)                                   |
    """

    time: Array
    msd: Array
    error: Array
    parallel: Array
    ceiling: float
    exponent: float
    exponent_error: float
    bounded: bool | None


def occupancies(lifted: LiftedTrajectory) -> Array:
    """Mean occupation of each candidate site, (n_sites,)."""
    there = lifted.site[lifted.site >= 0]
    counts = np.bincount(there.ravel(), minlength=len(lifted.candidates.sites))
    return np.asarray(counts / lifted.n_frames)


def shell_occupation(lifted: LiftedTrajectory, bins: int = 20) -> list[ShellOccupation]:
    """Occupation density of each class, in shells about the centres of the windows."""
    candidates = lifted.candidates
    radii = np.linalg.norm(candidates.sites.perpendicular, axis=1)
    occupied = occupancies(lifted)
    found = []
    for k, name in enumerate(candidates.names):
        members = candidates.sites.kinds == k
        if not members.any():
            continue
        edges = np.linspace(0.0, radii[members].max() * (1.0 + 1e-12), bins + 1)
        count = np.histogram(radii[members], edges)[0]
        totals = [
            np.histogram(radii[members], edges, weights=weight[members])[0]
            for weight in (occupied, candidates.occupied.astype(np.float64))
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = [total / count for total in totals]
        found.append(
            ShellOccupation(name, 0.5 * (edges[1:] + edges[:-1]), count, shares[0], shares[1])
        )
    return found


def ghost_occupation(lifted: LiftedTrajectory) -> GhostOccupation:
    """How many atoms are on ghost sites, and how many sites of the windows are empty."""
    candidates = lifted.candidates
    mean = occupancies(lifted)
    inside = candidates.occupied
    ghosts, vacancies = {}, {}
    for k, name in enumerate(candidates.names):
        members = candidates.sites.kinds == k
        ghosts[name] = float(mean[members & ~inside].sum())
        vacancies[name] = float((1.0 - mean[members & inside]).sum())
    return GhostOccupation(
        ghosts,
        vacancies,
        float((lifted.site < 0).sum() / lifted.n_frames),
        int((mean[~inside] > 0.0).sum()),
    )


def perpendicular_displacement(
    lifted: LiftedTrajectory, frame_time: float, lags: ArrayLike | None = None, groups: int = 10
) -> PerpendicularDisplacement:
    """Mean squared displacement in perpendicular space: flips back and forth, or diffusion.

    Sites lie in windows, so no displacement can grow for ever: that of atoms which have visited the
    whole of their windows is the ceiling. Flips back and forth level off far below it (bounded),
    diffusion grows in proportion to time until it comes near. Atoms that never jump contribute
    zero and are not computed. `frame_time` in ps. Raises `InputError` for fewer than 4 frames or
    lags outside the trajectory.
    """
    n_frames, n_atoms = lifted.site.shape
    if n_frames < 4:
        raise InputError(
            f"{n_frames} frames are too few for a displacement in time.", "Lift at least 4."
        )
    steps = (
        np.unique(np.geomspace(1, max(n_frames // 2, 2), 24).astype(np.int64))
        if lags is None
        else np.unique(np.asarray(lags, dtype=np.int64))
    )
    if steps[0] < 1 or steps[-1] >= n_frames:
        raise InputError(
            f"Lags from {steps[0]} to {steps[-1]} do not fit into {n_frames} frames.",
            "Choose lags of at least one frame, below the length.",
        )
    candidates = lifted.candidates
    across, along = np.zeros((2, n_atoms, len(steps)))
    still = (lifted.site == lifted.site[0]) & (lifted.image == lifted.image[0]).all(axis=2)
    for atom in np.flatnonzero(~still.all(axis=0)):
        site = lifted.site[:, atom]
        known = (site >= 0)[:, None]
        path = np.where(known, candidates.sites.perpendicular[site], np.nan)
        place = candidates.sites.parallel[site] + lifted.image[:, atom] @ candidates.cut.cell
        place = np.where(known, place, np.nan)
        for n, step in enumerate(steps):
            across[atom, n] = _mean_square(path[step:] - path[:-step])
            along[atom, n] = _mean_square(place[step:] - place[:-step])
    squares = across
    msd = squares.mean(axis=0)
    blocks = np.array_split(np.random.default_rng(0).permutation(n_atoms), min(groups, n_atoms))
    left_out = np.array([np.delete(squares, block, axis=0).mean(axis=0) for block in blocks])
    late = steps >= steps[-1] / 10.0
    exponent = _exponent(steps[late], msd[late])
    others = np.array([_exponent(steps[late], row[late]) for row in left_out])
    n = len(blocks)
    exponent_error = float(((n - 1) / n * ((others - others.mean()) ** 2).sum()) ** 0.5)
    bounded: bool | None = None
    if not msd.any() or exponent + 2.0 * exponent_error < 0.5:
        bounded = True
    elif exponent - 2.0 * exponent_error > 0.5:
        bounded = False
    return PerpendicularDisplacement(
        np.asarray(steps * frame_time, dtype=np.float64),
        msd,
        squares.std(axis=0) / n_atoms**0.5,
        along.mean(axis=0),
        _ceiling(lifted),
        exponent,
        exponent_error,
        bounded,
    )


def _mean_square(differences: Array) -> float:
    squares = (differences**2).sum(axis=1)
    known = np.isfinite(squares)
    return float(squares[known].mean()) if known.any() else 0.0


def _ceiling(lifted: LiftedTrajectory) -> float:
    """Twice the variance of the occupied sites of each class, over the atoms."""
    sites, inside = lifted.candidates.sites, lifted.candidates.occupied
    total = 0.0
    for kind in np.unique(sites.kinds[inside]):
        members = sites.perpendicular[inside & (sites.kinds == kind)]
        total += 2.0 * len(members) * float(members.var(axis=0).sum())
    return total / max(int(inside.sum()), 1)


def _exponent(steps: NDArray[np.int64], msd: Array) -> float:
    positive = msd > 0.0
    if positive.sum() < 2:
        return 0.0
    return float(np.polyfit(np.log(steps[positive]), np.log(msd[positive]), 1)[0])
