"""What the reference says of frames that a learned guide has sampled.

    <U_ref>_ref   = <U_ref> - cov(U_ref, D) / k_B T + ...,    D = U_ref - U
    var_ref U_ref = var U_ref - <dU_ref^2 dD> / k_B T + ...,  dX = X - <X>

Averages on the right are those of the guide's ensemble: mean and variance of the reference's energy
in its own ensemble, to first order in exp(-D / k_B T), second in what the guide errs (Zwanzig, J.
Chem. Phys. 22, 1420 (1954)); where energies are jointly Gaussian, with no further order. Without
it error bars of a run on a guide are those of the guide's surface alone.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.statistics import Estimate
from hyperatom.studies.parts import Part
from hyperatom.studies.study import Study
from hyperatom.trajectory import Trajectory
from hyperatom.units import BOLTZMANN

RESAMPLED = 2000
"""Bootstrap samples of which an error is told."""


class Correction(NamedTuple):
    """What takes averages of the guide's ensemble to those of the reference's.

    `energy` that of the mean energy, eV/atom, `heat_capacity` that by fluctuation, k_B/atom.
    """

    energy: Estimate
    heat_capacity: Estimate


def corrections(
    study: Study,
    parts: Sequence[Part],
    runs: Sequence[tuple[float, Trajectory]],
    told: Callable[[float, str], None],
) -> dict[float, Correction]:
    """What the reference adds to averages of each run, by temperature in K.

    `runs` are those of `parts`. Frames are evenly spaced over each; their labels are kept beside it
    and paid for once. Empty where the study asks for none, or has not learned the guide itself.
    """
    wanted = study.settings.check.frames
    found: dict[float, Correction] = {}
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
        values, errors = correction(run.energies[chosen], energies, part.kelvin)
        kept = len(chosen), 1.0
        per_atom = 1.0 / run.n_atoms
        per_degree = per_atom / (BOLTZMANN * part.kelvin) ** 2
        found[part.kelvin] = Correction(
            Estimate(values[0] * per_atom, errors[0] * per_atom, *kept, "eV/atom", run.kind),
            Estimate(values[1] * per_degree, errors[1] * per_degree, *kept, "k_B/atom", run.kind),
        )
    return found


def correction(
    guide: NDArray[np.float64], reference: NDArray[np.float64], kelvin: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of mean (eV) and variance (eV^2) of the energy: reference's less guide's, (2,); errors (2,).

    `guide` and `reference` are energies (n_frames,) in eV of independent frames of the guide.
    """
    difference = reference - guide

    def shifts(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        # (n_samples, n_frames) -> (2, n_samples)
        ours, theirs, apart = (
            one - one.mean(axis=1, keepdims=True)
            for one in (guide[chosen], reference[chosen], difference[chosen])
        )
        free = chosen.shape[1] - 1
        covariance = (theirs * apart).sum(axis=1) / free
        wider = (theirs**2 - ours**2).sum(axis=1) / free
        skewed = (theirs**2 * apart).sum(axis=1) / free
        thermal = BOLTZMANN * kelvin
        mean = difference[chosen].mean(axis=1)
        return np.array([mean - covariance / thermal, wider - skewed / thermal])

    n = len(guide)
    drawn = np.random.default_rng(n).integers(0, n, (RESAMPLED, n))
    return shifts(np.arange(n)[None])[:, 0], shifts(drawn).std(axis=1, ddof=1)
