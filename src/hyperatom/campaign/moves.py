"""What the frozen guide proposes: trajectories, swaps, and chains that the guide itself judges."""

from dataclasses import replace

from hyperatom.campaign.settings import SamplingSettings
from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposal
from hyperatom.errors import InputError
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.guided_trajectory import GuidedTrajectory, PathEnsemble
from hyperatom.sampling.isobaric import Isobaric
from hyperatom.sampling.mixture import Mixture
from hyperatom.sampling.nested_chain import NestedChain
from hyperatom.sampling.swap import Swap


def with_swaps(trajectories: Proposal, share: float) -> Proposal:
    """Trajectories, of which `share` give way to swaps of two unlike atoms."""
    if share == 0.0:
        return trajectories
    moves = {"trajectory": trajectories, "swap": Swap()}
    return Mixture(moves, {"trajectory": 1.0 - share, "swap": share})


def at_rung(path: GuidedTrajectory, ensemble: PathEnsemble) -> GuidedTrajectory:
    """The same trajectories in another ensemble; the veto stays where it is, in k_BT."""
    hotter = ensemble.thermal_energy / path.ensemble.thermal_energy
    return replace(path, ensemble=ensemble, largest_error=path.largest_error * hotter)


def frozen_move(path: GuidedTrajectory, sampling: SamplingSettings) -> Proposal:
    """Between two questions to the reference: one move, or a chain of them on the guide."""
    if not sampling.nested:
        return with_swaps(path, sampling.swaps)
    inner = path.ensemble
    if sampling.guide_temperature is not None:
        assert isinstance(inner, Canonical | Isobaric)
        inner = replace(inner, temperature=sampling.guide_temperature)
    move = with_swaps(replace(path, ensemble=inner), sampling.swaps)
    return NestedChain(path.guide, inner, [move], sampling.nested)


def check_moves(sampling: SamplingSettings, start: Configuration) -> None:
    """Raise `InputError` for swaps in a configuration of a single species."""
    if sampling.swaps and len(start.species) < 2:
        raise InputError(
            "Swaps are wanted ('sampling.swaps'), but all atoms are of one species.",
            "Leave 'swaps' out, or give a configuration with several species.",
        )
