"""The runs of an approximant seen from six dimensions: jumps, ghosts, occupied windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperatom.analysis.hyperspace.candidate_sites import CandidateSites, candidate_sites
from hyperatom.analysis.hyperspace.lifting import LiftedTrajectory, Lifter
from hyperatom.analysis.hyperspace.null_tests import null_test
from hyperatom.analysis.hyperspace.perpendicular import (
    ghost_occupation,
    occupancies,
    perpendicular_displacement,
)
from hyperatom.analysis.hyperspace.phason_jumps import PhasonJumps, find_jumps
from hyperatom.analysis.hyperspace.time_average import time_average
from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.statistics import Array, Estimate
from hyperatom.errors import InputError
from hyperatom.structures.quasicrystal.approximants import Approximant
from hyperatom.structures.quasicrystal.katz_gratias import EMPTY_BODY_CENTRES
from hyperatom.studies.settings import MapSettings
from hyperatom.trajectory import Kind, Trajectory


@dataclass(frozen=True, eq=False)
class Lifted:
    """A run at one temperature on the sites of six dimensions.

    | field          | unit | meaning                                                       |
    |----------------|------|---------------------------------------------------------------|
    | `kelvin`       | K    |                                                               |
    | `walkers`      | -    | each walker's path                                            |
    | `jumps`        | -    | lasting changes of site, of each walker                       |
    | `interval`     | ps   | between averaged frames                                       |
    | `on_its_sites` | -    | null test of the first averaged frame: passed?                |
    """

    kelvin: float
    walkers: list[LiftedTrajectory]
    jumps: list[PhasonJumps]
    interval: float
    on_its_sites: bool

    @property
    def candidates(self) -> CandidateSites:
        """The sites, ghosts included."""
        return self.walkers[0].candidates

    @property
    def occupation(self) -> Array:
        """Mean occupation of each candidate site, (n_sites,)."""
        return np.asarray(np.mean([occupancies(one) for one in self.walkers], axis=0))


def lift_runs(
    approximant: Approximant, runs: Sequence[tuple[float, Trajectory]], settings: MapSettings
) -> list[Lifted]:
    """Lift each run, averaged over `smoothing`.

    Raises `InputError` for chains without a clock, runs shorter than a few averages, or a cell that
    is not the approximant's.
    """
    sites = candidate_sites(approximant.cut, settings.dilation, (EMPTY_BODY_CENTRES,))
    lifter = Lifter(sites)
    found = []
    for kelvin, trajectory in runs:
        width = max(1, round(settings.smoothing / trajectory.time_step))
        interval = width * trajectory.time_step / 1000.0
        if trajectory.longest < 4 * width:
            raise InputError(
                f"{trajectory.origin} is too short to be averaged over {settings.smoothing:g} fs.",
                "Run longer, or choose a shorter 'smoothing' under 'maps'.",
            )
        walkers, first = [], np.zeros((trajectory.n_atoms, 3))
        for window in trajectory.windows():
            own = trajectory.select(window.start, window.stop)
            cell = own.configuration(0).cell
            averaged = list(
                time_average((p for _, f in own.chunks() for p in f.positions), cell, width)
            )
            walkers.append(lifter.lift(averaged, [cell] * len(averaged)))
            first = averaged[0]
        found.append(
            Lifted(
                kelvin,
                walkers,
                [find_jumps(one, interval, settings.dwell) for one in walkers],
                interval,
                null_test(sites, first - walkers[-1].drift[0]).passed,
            )
        )
    return found


def phason_jumps(lifted: Sequence[Lifted], kind: Kind) -> Observation:
    """Jumps between sites of six dimensions by atom and ps, and the part that are phason flips.

    Errors are those of Poisson processes; without an event, the upper limit at 68 %.
    """
    curves, numbers, notes = {}, {}, []
    rows: dict[str, list[tuple[float, float]]] = {"all jumps": [], "shorter than a bond": []}
    for one in lifted:
        exposure = sum(jumps.n_atoms * jumps.duration for jumps in one.jumps)
        every = sum(len(jumps) for jumps in one.jumps)
        short = sum(int(jumps.hyperatomic().sum()) for jumps in one.jumps)
        for name, count in zip(rows, (every, short), strict=True):
            error = (count**0.5 if count else 1.14) / exposure
            rows[name].append((count / exposure, error))
        at = f"at {one.kelvin:g} K"
        numbers[f"jumps {at}"] = Estimate(
            every / exposure, rows["all jumps"][-1][1], every, 1.0, "1/(ps atom)", kind
        )
        ghosts = [ghost_occupation(walker) for walker in one.walkers]
        numbers[f"atoms on ghost sites {at}"] = _scatter(
            [sum(ghost.ghosts.values()) for ghost in ghosts], kind
        )
        squares = [perpendicular_displacement(w, one.interval) for w in one.walkers]
        bounded = {walker.bounded for walker in squares}
        growth = {True: "stays bounded", False: "grows without bound", None: "is undecided"}
        word = growth[bounded.pop()] if len(bounded) == 1 else growth[None]
        share = f"{short} of {every} jumps are shorter than a bond" if every else "no jump"
        placed = np.mean([walker.fraction_lifted for walker in one.walkers])
        notes.append(
            f"{one.kelvin:g} K: {share}; the mean squared displacement in perpendicular space "
            f"{word}; {placed:.1%} of the atoms are on a site"
            f"{'' if one.on_its_sites else '; the positions are not those of the approximant'}."
        )
    kelvins = np.array([one.kelvin for one in lifted])
    for name, values in rows.items():
        rate, error = np.array(values).T
        curves[name] = Curve(kelvins, rate, error)
    return Observation(
        "jumps in six dimensions",
        kind,
        sum(walker.n_frames for one in lifted for walker in one.walkers),
        Axis("temperature", "K"),
        Axis("rate", "1/(ps atom)"),
        curves,
        numbers,
        tuple(notes),
    )


def _scatter(values: Sequence[float], kind: Kind) -> Estimate:
    n = len(values)
    error = float(np.std(values, ddof=1) / n**0.5) if n > 1 else float("nan")
    return Estimate(float(np.mean(values)), error, n, 1.0, "", kind)
