"""What the reference says of frames that a learned guide has sampled.

    <U_ref>_ref = <U_ref> - cov(U_ref, D) / k_B T + ...,    D = U_ref - U

Averages on the right are those of the guide's ensemble: the mean energy of the reference's own
ensemble, to second order in what the guide errs (Zwanzig, J. Chem. Phys. 22, 1420 (1954)). Without
it error bars of a run on a guide are those of the guide's surface alone.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.statistics import Estimate
from hyperatom.studies.parts import Part
from hyperatom.studies.study import Study
from hyperatom.trajectory import Trajectory
from hyperatom.units import BOLTZMANN

RESAMPLED = 2000
"""Bootstrap samples of which an error is told."""


def corrections(
    study: Study,
    parts: Sequence[Part],
    runs: Sequence[tuple[float, Trajectory]],
    told: Callable[[float, str], None],
) -> dict[float, Estimate]:
    """By temperature, eV/atom: what takes the guide's mean energy to the reference's.

    `runs` are those of `parts`. Frames are evenly spaced over each; their labels are kept beside it
    and paid for once. Empty where the study asks for none, or has not learned the guide itself.
    """
    wanted = study.settings.check.frames
    found: dict[float, Estimate] = {}
    if not wanted or any(part.guide is None for part in parts):
        return found
    for number, (part, (_, run)) in enumerate(zip(parts, runs, strict=True)):
        told(number / len(parts), f"{part.member.name}: the reference at {part.kelvin:g} K")
        chosen = np.unique(np.linspace(0, len(run) - 1, wanted).astype(int))
        answers = study.guide_of(part).label(
            [run.configuration(int(k)) for k in chosen],
            part.path / "reference.db",
            "a frame of a run on the guide",
        )
        energies = np.array([answer.energy for answer in answers])
        shift, error = correction(run.energies[chosen], energies, part.kelvin)
        found[part.kelvin] = Estimate(
            shift / run.n_atoms, error / run.n_atoms, len(chosen), 1.0, "eV/atom", run.kind
        )
    return found


def correction(
    guide: NDArray[np.float64], reference: NDArray[np.float64], kelvin: float
) -> tuple[float, float]:
    """<U_ref>_ref - <U>_guide and its error, of independent frames' energies (n_frames,) in eV."""
    difference = reference - guide

    def shift(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        # (n_samples, n_frames) -> (n_samples,)
        theirs, apart = reference[chosen], difference[chosen]
        mean = apart.mean(axis=1)
        centred = (theirs - theirs.mean(axis=1, keepdims=True)) * (apart - mean[:, None])
        covariance = centred.sum(axis=1) / (centred.shape[1] - 1)
        return np.asarray(mean - covariance / (BOLTZMANN * kelvin))

    n = len(guide)
    drawn = np.random.default_rng(n).integers(0, n, (RESAMPLED, n))
    return float(shift(np.arange(n)[None])[0]), float(shift(drawn).std(ddof=1))
