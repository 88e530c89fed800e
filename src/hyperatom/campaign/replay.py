"""Replays a run: every decision from the numbers on disk, some paths from their random numbers."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from hyperatom.campaign.campaign import Campaign
from hyperatom.campaign.certificate import Check
from hyperatom.campaign.chain_store import Seconds, Step
from hyperatom.campaign.states import mean_over_copies
from hyperatom.campaign.stepping import random_numbers
from hyperatom.campaign.weighing import weights_follow
from hyperatom.configuration import Configuration
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.metropolis import ChainState, accepts, log_acceptance

REPLAY_TOLERANCE = {"float64": 1.0e-5, "float32": 1.0e-2}
"""Å; a path run again, or backwards, must agree to this. Round-off grows along a chaotic path."""


class BrokenError(Exception):
    """What does not follow, in a sentence."""


def decisions(campaign: Campaign, steps: Sequence[Step]) -> Check:
    """Replay every decision from stored labels, kinetic energies and random numbers."""
    name = "decisions"
    if any(step.phase == "produce" for step in steps):
        campaign.stepper.freeze(lambda: campaign.frozen_path().guide)
    chains: list[list[Step]] = []
    for walker in campaign.walkers:
        chain = [s for s in steps if s.walker == walker and "sample" not in s.record]
        if [step.number for step in chain] != list(range(len(chain))):
            return Check(name, False, f"Steps of walker {walker} are missing.")
        chains.append(chain)
    try:
        judged_alone = [
            [_follow(campaign, before, step) for before, step in pairwise(chain)]
            for chain in chains
        ]
        exchanges = _follow_exchanges(campaign, chains, judged_alone)
    except BrokenError as broken:
        return Check(name, False, str(broken))
    judged = sum("sample" not in step.record for step in steps) - len(campaign.walkers)
    numbers: dict[str, float | str] = {"decisions": judged}
    sentence = f"All {numbers['decisions']} decisions follow from the stored numbers."
    if screened := sum(len(step.record.get("screens", ())) for step in steps):
        sentence += f" So do {screened} of the cheaper engine."
        numbers["screens"] = screened
    if exchanges:
        sentence += f" So do {exchanges} exchanges between rungs."
        numbers["exchanges"] = exchanges
    return Check(name, True, sentence, numbers)


def _follow(campaign: Campaign, before: Step, step: Step) -> Step:
    """The step that follows from the one before it, without an exchange between rungs.

    Raises `BrokenError` where its decision is another.
    """
    where = f"step {step.number} of walker {step.walker}"
    stepper = campaign.stepper
    if "screens" in step.record:
        _follow_screen(campaign, before, step, where)
    if step.proposed_energy is None:
        log_ratio = -np.inf
    else:
        proposed = _known(campaign, step.proposed_label, step.proposed_energy, f"of {where}")
        if "screens" not in step.record:
            _follow_ratio(campaign, step, step.log_ratio, where)
        state = _known(campaign, before.state_label, before.state_energy, f"before {where}")
        log_ratio = log_acceptance(
            state,
            proposed,
            step.log_ratio,
            stepper.sampled_by(step.walker, step.phase),
            stepper.penalty,
        )
    accepted = accepts(step.uniform, log_ratio)
    if accepted != step.accepted:
        raise BrokenError(f"The decision at {where} does not follow.")
    record = {name: value for name, value in step.record.items() if name != "exchange"}
    energy = step.proposed_energy if accepted else before.state_energy
    assert energy is not None
    return replace(
        step,
        record=record,
        state_label=step.proposed_label if accepted else before.state_label,
        state_energy=energy,
    )


def _follow_exchanges(
    campaign: Campaign, chains: Sequence[Sequence[Step]], judged: Sequence[Sequence[Step]]
) -> int:
    """How many exchanges there were between `judged` steps; `chains` have the states after them.

    Raises `BrokenError` where these do not follow.
    """
    after = judged
    if len(campaign.settings.rungs) > 1:
        if len({len(chain) for chain in chains}) > 1:
            raise BrokenError("Rungs of a ladder have made different numbers of steps.")
        rounds = [_exchanged(campaign, steps) for steps in zip(*judged, strict=True)]
        after = list(zip(*rounds, strict=True))
    for chain, own in zip(chains, after, strict=True):
        for step, there in zip(chain[1:], own, strict=True):
            if step != there:
                where = f"step {step.number} of walker {step.walker}"
                raise BrokenError(f"The state after {where} does not follow.")
    return sum("exchange" in step.record for own in after for step in own) // 2


def _exchanged(campaign: Campaign, steps: Sequence[Step]) -> list[Step]:
    moved = [(campaign.stepper.state_after(step), step, Seconds()) for step in steps]
    return [step for _, step, _ in campaign.ladder.exchanged(moved, steps[0].number)]


def _follow_ratio(campaign: Campaign, step: Step, log_ratio: float, where: str) -> None:
    """The log ratio of a move, from the kinetic energies or the guide's own log densities."""
    record = step.record
    if "kinetic_before" in record:
        gain = record["kinetic_after"] - record["kinetic_before"]
        thermal_energy = campaign.stepper.ensemble_of(step.walker).thermal_energy
        ratio = record.get("log_jacobian", 0.0) - gain / thermal_energy
        if not np.isclose(log_ratio, ratio, rtol=1e-9, atol=1e-9):
            raise BrokenError(f"The kinetic ratio of {where} does not follow.")
    elif "guide_log_density_before" in record:
        before, after = (record[f"guide_log_density_{end}"] for end in ("before", "after"))
        if not np.isclose(log_ratio, before - after, rtol=1e-9, atol=1e-9):
            raise BrokenError(f"The guide's ratio of {where} does not follow.")


def _follow_screen(campaign: Campaign, before: Step, step: Step, where: str) -> None:
    """The decision of the cheaper engine, from its own labels."""
    stepper = campaign.stepper
    (screen,) = step.record["screens"]
    if screen["energy_after"] is None:
        if screen["accepted"] or not step.veto:
            raise BrokenError(f"The cheaper engine's verdict at {where} does not follow.")
        return
    _follow_ratio(campaign, step, screen["log_ratio"], where)
    here = _known(campaign, before.state_label, before.state_energy, f"before {where}")
    assert campaign.cheap is not None
    state = stepper.states.get(campaign.cheap.key(here.configuration))
    proposed = stepper.states.get(step.record["cheap_label"])
    if state is None or proposed is None:
        raise BrokenError(f"A label of the cheaper engine at {where} is missing.")
    energies = state.evaluation.energy, proposed.evaluation.energy
    if energies != (screen["energy_before"], screen["energy_after"]):
        raise BrokenError(f"The labels of the cheaper engine at {where} differ.")
    judged = log_acceptance(state, proposed, screen["log_ratio"], stepper.ensemble, None)
    verdict = accepts(screen["uniform"], judged)
    if verdict != screen["accepted"] or verdict == bool(step.veto):
        raise BrokenError(f"The cheaper engine's verdict at {where} does not follow.")
    # What it let pass is judged by the expensive one with this ratio.
    ratio = screen["log_ratio"] - judged
    if verdict and not np.isclose(step.log_ratio, ratio, rtol=1e-9, atol=1e-9):
        raise BrokenError(f"The ratio after the cheaper engine at {where} does not follow.")


def _known(campaign: Campaign, key: str, energy: float, which: str) -> ChainState:
    state = campaign.stepper.states.get(key)
    if state is None or mean_over_copies(state.configuration, state.evaluation) != energy:
        raise BrokenError(f"The label {which} is missing or differs.")
    return state


def paths(
    campaign: Campaign, steps: Sequence[Step], n_paths: int, rng: np.random.Generator
) -> Check:
    """Run stored paths again from their random numbers, and backwards from their ends."""
    name = "paths"
    chosen = [step for step in steps if step.phase == "produce" and step.proposed_label]
    if not chosen:
        return Check(name, None, "There are no production paths.")
    frozen, moves = campaign.frozen_paths(), campaign.production_moves()
    states = {(step.walker, step.number): step.state_label for step in steps}
    forward, backward = 0.0, 0.0
    picked = rng.choice(len(chosen), min(n_paths, len(chosen)), replace=False)
    for step in (chosen[int(k)] for k in picked):
        begin = campaign.stepper.states.get(states[step.walker, step.number - 1])
        found = campaign.stepper.states.get(step.proposed_label)
        if begin is None or (found is None and not step.failure):
            return Check(name, False, f"Labels of step {step.number} are missing.")
        numbers = random_numbers(campaign.settings.seed, step.walker, step.number)
        rung = step.walker % len(moves)
        proposed = moves[rung].propose(begin.configuration, numbers)
        if float(numbers.random()) != step.uniform:
            return Check(name, False, f"The random numbers of step {step.number} differ.")
        if found is not None:
            forward = max(forward, _largest(proposed.configuration, found.configuration))
        numbers = random_numbers(campaign.settings.seed, step.walker, step.number)
        backward = max(backward, _way_back(frozen[rung], begin.configuration, numbers))
    tolerance = REPLAY_TOLERANCE[campaign.settings.guide.precision]
    passed = max(forward, backward) <= tolerance
    again = "bit for bit" if forward == 0.0 else f"to {forward:.1e} Å"
    sentence = (
        f"{len(picked)} paths run again agree {again} and return to their start to "
        f"{backward:.1e} Å when run backwards (tolerance {tolerance:.0e} Å)."
    )
    return Check(
        name,
        passed,
        sentence,
        {"paths": len(picked), "forward_angstrom": forward, "backward_angstrom": backward},
    )


def weights(
    campaign: Campaign, steps: Sequence[Step], n_samples: int, rng: np.random.Generator
) -> Check:
    """Replay all weights from stored energies, and some samples of the guide from the ones before.

    The guide's energies are asked for again, where samples are made again.
    """
    name = "weights"
    thermal_energy = campaign.ensemble.thermal_energy
    for walker in campaign.walkers:
        own = [step for step in steps if step.walker == walker]
        if broken := weights_follow(own, thermal_energy):
            return Check(name, False, broken)
    weighed = [step for step in steps if "sample" in step.record]
    if not weighed:
        return Check(name, None, "Nothing has been weighed yet.")
    chain = campaign.own_chain()
    picked = rng.choice(len(weighed), min(n_samples, len(weighed)), replace=False)
    for step in (weighed[int(k)] for k in picked):
        which = f"sample {step.record['sample']} of walker {step.walker}"
        energy, positions, cell = chain.sample(step.walker, step.record["sample"])
        label = campaign.reference.store.get(step.proposed_label)
        there = campaign.start.with_cell(positions, cell)
        if energy != step.record["guide_energy"] or not (
            label is None or _largest(there, label.configuration) == 0.0
        ):
            return Check(name, False, f"What was weighed is not {which}.")
        if not chain.again(step.walker, step.record["sample"]):
            return Check(name, False, f"The guide does not make {which} again.")
    sentence = (
        f"All {len(weighed)} weights follow from the stored energies, and the guide made "
        f"{len(picked)} of its samples again, bit for bit."
    )
    return Check(name, True, sentence, {"weights": len(weighed), "samples": len(picked)})


def _way_back(path: GuidedTrajectory, start: Configuration, numbers: np.random.Generator) -> float:
    """How far from its start a path ends that is run forwards, flipped, and run again, Å."""
    shape, _ = path.draw_shape(numbers)
    there = path.follow(start, shape, numbers)
    flipped = [momenta.flipped() for momenta in reversed(there.ended)]
    return _largest(path.follow(there.end, shape.reversed(), flipped).end, start)


def _largest(one: Configuration, other: Configuration) -> float:
    """Largest difference of a coordinate or of a component of the cell, Å."""
    positions, cells = one.positions - other.positions, one.cell - other.cell
    return float(max(np.max(np.abs(positions)), np.max(np.abs(cells))))
