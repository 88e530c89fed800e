"""What the runs of a study have sampled, as trajectories, and the potential to find minima on."""

from dataclasses import replace

from hyperatom.campaign.assembly import load_configuration
from hyperatom.errors import InputError
from hyperatom.report.samples import run_samples
from hyperatom.simulation.assembly import all_walkers, stored_motion
from hyperatom.simulation.movers import Mover, make_mover
from hyperatom.studies.parts import Part, motion_settings
from hyperatom.studies.settings import StudySettings
from hyperatom.trajectory import Trajectory


def samples_of(part: Part, settings: StudySettings) -> Trajectory:
    """What counts of a run: an exact chain, or the frames after equilibration with their times.

    Raises `InputError` where the equilibration leaves fewer than four frames.
    """
    if part.kind == "chain":
        return run_samples(part.path)[0]
    dynamic = settings.dynamic
    skip = round(dynamic.equilibration * 1000.0 / dynamic.sample_every)
    with stored_motion(part.path) as (_, _, store):
        count = store.count(0)
    if count - skip < 4:
        raise InputError(
            f"{part.sentence} holds {count} frames, of which the equilibration takes {skip}.",
            "Give a longer 'length'.",
        )
    return replace(all_walkers(part.path, skip), origin=part.sentence)


def surface_of(part: Part, settings: StudySettings) -> Mover:
    """The potential on which minima are looked for: what moved the atoms, or the frozen guide."""
    if part.kind == "chain":
        guided = Part("motion", part.member, part.kelvin, part.path, part.path)
        wanted = motion_settings(settings, guided)
    else:
        wanted = motion_settings(settings, part)
    folder = part.path.parent
    return make_mover(wanted, load_configuration(part.path / "start.npz"), folder, None)
