"""Jumps of atoms between sites of six dimensions, their vectors and rates."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.hyperspace.lifting import LiftedTrajectory
from hyperatom.errors import InputError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class JumpRate:
    """Rate of one kind of jump, per atom.

    | field      | unit  | meaning                                              |
    |------------|-------|------------------------------------------------------|
    | `classes`  | -     | names of the class left and the class reached        |
    | `length`   | Å     | of the jump in physical space                        |
    | `across`   | Å     | of the jump in perpendicular space                   |
    | `count`    | -     | events                                               |
    | `rate`     | 1/ps  | per atom                                             |
    | `error`    | 1/ps  | one standard error of a Poisson process, sqrt(count) |
    """

    classes: tuple[str, str]
    length: float
    across: float
    count: int
    rate: float
    error: float


@dataclass(frozen=True, eq=False)
class PhasonJumps:
    """Every lasting change of site.

    | field           | shape  | unit | meaning                                                 |
    |-----------------|--------|------|---------------------------------------------------------|
    | `frame`         | (n,)   | -    | first frame on the new site                             |
    | `atom`          | (n,)   | -    | which atom                                              |
    | `sites`         | (n, 2) | -    | candidate sites left and reached                        |
    | `vector`        | (n, 6) | 1/2  | doubled difference of indices, whole periods included   |
    | `parallel`      | (n, 3) | Å    | in physical space                                       |
    | `perpendicular` | (n, 3) | Å    | in perpendicular space, of the strained crystal         |
    | `kinds`         | (n, 2) | -    | classes left and reached                                |
    | `duration`      | -      | ps   | of the trajectory                                       |
    """

    frame: Integers
    atom: Integers
    sites: Integers
    vector: Integers
    parallel: Array
    perpendicular: Array
    kinds: Integers
    names: tuple[str, ...]
    n_atoms: int
    duration: float

    def __len__(self) -> int:
        return len(self.frame)

    def hyperatomic(self, longest: float = 2.2) -> NDArray[np.bool_]:
        """Which jumps are shorter than a bond (`longest`, Å) and move in perpendicular space. (n,).

        Between two such sites there is no room for two atoms: the jump is a flip of six
        dimensions, not an exchange with a vacancy of the ordinary kind.
        """
        short = np.linalg.norm(self.parallel, axis=1) < longest
        return np.asarray(short & (np.linalg.norm(self.perpendicular, axis=1) > 1e-6))

    def fraction_hyperatomic(self, longest: float = 2.2) -> float:
        """Their share of all jumps; NaN without jumps."""
        return float(self.hyperatomic(longest).mean()) if len(self) else float("nan")

    def rate(self) -> tuple[float, float]:
        """All jumps per atom and ps, with the standard error of a Poisson process.

        Without an event the error is the upper limit at 68 %: 1.14 events.
        """
        exposure = self.n_atoms * self.duration
        return len(self) / exposure, (len(self) ** 0.5 if len(self) else 1.14) / exposure

    def rates(self) -> list[JumpRate]:
        """Rates by classes and lengths, most frequent first."""
        lengths = np.round(np.linalg.norm(self.parallel, axis=1), 2)
        across = np.round(np.linalg.norm(self.perpendicular, axis=1), 2)
        exposure = self.n_atoms * self.duration
        counts = Counter(
            zip(map(tuple, self.kinds.tolist()), lengths.tolist(), across.tolist(), strict=True)
        )
        return [
            JumpRate(
                (self.names[kinds[0]], self.names[kinds[1]]),
                length,
                width,
                count,
                count / exposure,
                count**0.5 / exposure,
            )
            for (kinds, length, width), count in counts.most_common()
        ]


def find_jumps(lifted: LiftedTrajectory, frame_time: float, dwell: int = 3) -> PhasonJumps:
    """Changes of site that last: stays shorter than `dwell` frames are passed over.

    A stay at either end of the trajectory counts even if it is shorter. `frame_time` is the time
    between frames in ps. Raises `InputError` for impossible times.
    """
    if not frame_time > 0.0 or dwell < 1:
        raise InputError(
            f"Frames {frame_time} ps apart and stays of {dwell} frames are impossible.",
            "Both must be positive.",
        )
    site, image = lifted.site, lifted.image
    changed = (site[1:] != site[:-1]) | (image[1:] != image[:-1]).any(axis=2)
    events: list[tuple[int, int, int]] = []
    for atom in np.flatnonzero(changed.any(axis=0)).tolist():
        starts = np.concatenate([[0], np.flatnonzero(changed[:, atom]) + 1])
        events += [
            (after, atom, before)
            for before, after in _lasting(site[:, atom], image[:, atom], starts, dwell)
        ]
    events.sort()
    after, atoms, before = np.array(events, dtype=np.int64).reshape(-1, 3).T
    candidates = lifted.candidates
    left, reached = site[before, atoms], site[after, atoms]
    cells = image[after, atoms].astype(np.int64) - image[before, atoms]
    indices = candidates.sites.indices
    vector = (indices[reached] - indices[left] + cells @ candidates.cut.periods.T).reshape(-1, 6)
    return PhasonJumps(
        after,
        atoms,
        np.stack([left, reached], axis=1).astype(np.int64),
        vector,
        candidates.cut.parallel(vector),
        candidates.cut.perpendicular(vector),
        candidates.sites.kinds[np.stack([left, reached], axis=1)].reshape(-1, 2),
        candidates.names,
        lifted.n_atoms,
        frame_time * max(lifted.n_frames - 1, 1),
    )


def _lasting(
    site: NDArray[np.int32], image: NDArray[np.int16], starts: Integers, dwell: int
) -> list[tuple[int, int]]:
    """Of each lasting change of one atom: a frame of the stay before, and the first one after."""
    ends = np.append(starts[1:], len(site))
    stays: list[int] = []
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        at_an_end = number == 0 or number == len(starts) - 1
        if site[start] < 0 or (end - start < dwell and not at_an_end):
            continue
        last = stays[-1] if stays else start
        if not stays or site[last] != site[start] or (image[last] != image[start]).any():
            stays.append(start)
    return list(pairwise(stays))
