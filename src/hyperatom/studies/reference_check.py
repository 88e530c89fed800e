"""What the reference says of frames that a learned guide has sampled.

Without it error bars of a run on a guide are those of the guide's surface alone.
"""

from collections.abc import Callable, Sequence

import numpy as np

from hyperatom.analysis.free_energy_difference import FreeEnergyDifference, free_energy_difference
from hyperatom.studies.parts import Part
from hyperatom.studies.study import Study
from hyperatom.trajectory import Trajectory


def ask_the_reference(
    study: Study,
    parts: Sequence[Part],
    runs: Sequence[tuple[float, Trajectory]],
    told: Callable[[float, str], None],
) -> FreeEnergyDifference | None:
    """What the reference adds to averages of the runs.

    `runs` are those of `parts`. Frames are evenly spaced over each; their labels are kept beside it
    and paid for once. None where the study asks for none, or has not learned the guide itself.
    """
    wanted = study.settings.check.frames
    if not wanted or any(part.guide is None for part in parts):
        return None
    frames = {}
    for number, (part, (_, run)) in enumerate(zip(parts, runs, strict=True)):
        told(number / len(parts), f"{part.member.name}: the reference at {part.kelvin:g} K")
        chosen = np.unique(np.linspace(0, len(run) - 1, wanted).astype(int))
        answers = study.guide_of(part).label(
            [run.configuration(int(k)) for k in chosen],
            part.path / "reference.db",
            "a frame of a run on the guide",
        )
        energies = np.array([answer.energy for answer in answers])
        frames[part.kelvin] = run.energies[chosen], energies
    return free_energy_difference(frames, runs[0][1].n_atoms, runs[0][1].kind)
