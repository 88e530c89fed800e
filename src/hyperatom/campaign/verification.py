"""Verification: puts a run on trial with nothing but what it left on disk, and the engine."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.control_variate import sharpen
from hyperatom.analysis.statistics import estimate_mean, split_r_hat
from hyperatom.campaign.assembly import opened
from hyperatom.campaign.averages import gather
from hyperatom.campaign.campaign import Campaign
from hyperatom.campaign.certificate import Certificate, Check, certify
from hyperatom.campaign.chain_store import Seconds, Step
from hyperatom.campaign.run_directory import write_atomically
from hyperatom.campaign.schedule import Schedule
from hyperatom.campaign.stepping import random_numbers
from hyperatom.configuration import Configuration
from hyperatom.errors import ReferenceFailure
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.metropolis import accepts

Progress = Callable[[str, float], None]
"""(what is being checked, fraction done) -> None"""

SIGMAS = 4.0
"""Statistical checks fail beyond this many standard errors; one healthy run in 16000 would."""

ENERGY_TOLERANCE = 1.0e-6
"""eV; a label evaluated again must agree to this."""

REPLAY_TOLERANCE = {"float64": 1.0e-5, "float32": 1.0e-2}
"""Å; a path run again, or backwards, must agree to this. Round-off grows along a chaotic path."""

ENOUGH = 20.0
"""Effective samples below which nothing statistical is decided."""


class _Silent:
    def phase(self, phase: str, schedule: Schedule) -> None:
        """Nobody is watching."""

    def step(self, step: Step, seconds: Seconds) -> None:
        """Nobody is watching."""

    def free_sample(self, seconds: float) -> None:
        """Nobody is watching."""


def verify(
    directory: Path, n_labels: int = 3, progress: Progress = lambda _what, _fraction: None
) -> Certificate:
    """Check a run and write `certificate.json` into it.

    `n_labels` labels are evaluated again, and as many paths run forwards and backwards, chosen at
    random anew every time.
    """
    rng = np.random.default_rng()
    with opened(directory, _Silent()) as campaign:
        steps = campaign.chain.steps()
        produced = counted(campaign, steps)
        questions: Sequence[tuple[str, Callable[[], Check]]] = (
            ("completeness", lambda: _complete(campaign, steps)),
            ("decisions", lambda: _decisions(campaign, steps)),
            ("no learning after the freeze", lambda: _frozen(campaign, steps)),
            ("labels", lambda: _labels(campaign, steps, n_labels, rng)),
            ("paths", lambda: _paths(campaign, steps, n_labels, rng)),
            ("<exp(-dH/kT)> = 1", lambda: _creutz(produced)),
            ("convergence", lambda: _convergence(produced)),
            ("learning against production", lambda: _agreement(campaign, steps, produced)),
            ("the guide's own chain", lambda: _guide_chain(campaign)),
            ("failed reference calls", lambda: _failures(campaign, steps)),
        )
        checks = []
        for number, (name, question) in enumerate(questions):
            progress(name, number / len(questions))
            checks.append(question())
        certificate = certify(tuple(checks))
        write_atomically(campaign.directory.file("certificate.json"), certificate.to_json())
        campaign.directory.log(certificate.verdict)
    return certificate


def counted(campaign: Campaign, steps: Sequence[Step]) -> list[list[Step]]:
    """Production steps, by walker."""
    return [
        [step for step in steps if step.walker == walker and step.phase == "produce"]
        for walker in campaign.walkers
    ]


def _complete(campaign: Campaign, steps: Sequence[Step]) -> Check:
    name = "completeness"
    done = min((len(walker) for walker in counted(campaign, steps)), default=0)
    planned = campaign.settings.produce.proposals
    numbers: dict[str, float | str] = {"proposals": done, "planned": planned}
    if done < planned:
        sentence = f"{done} of {planned} production proposals are done; resume the run."
        return Check(name, None, sentence, numbers)
    return Check(
        name, True, f"All {planned} production proposals of each walker are done.", numbers
    )


def _decisions(campaign: Campaign, steps: Sequence[Step]) -> Check:
    """Replay every decision from stored labels, kinetic energies and random numbers."""
    name = "decisions"
    store = campaign.reference.store
    thermal = campaign.ensemble.thermal_energy
    for walker in campaign.walkers:
        chain = [step for step in steps if step.walker == walker]
        if [step.number for step in chain] != list(range(len(chain))):
            return Check(name, False, f"Steps of walker {walker} are missing.")
        for before, step in pairwise(chain):
            where = f"step {step.number} of walker {walker}"
            if step.proposed_energy is None:
                log_acceptance = -np.inf
            else:
                label = store.get(step.proposed_label)
                if label is None or label.evaluation.energy != step.proposed_energy:
                    return Check(name, False, f"The label of {where} is missing or differs.")
                log_ratio = step.log_ratio
                if "kinetic_before" in step.record:
                    gain = step.record["kinetic_after"] - step.record["kinetic_before"]
                    log_ratio = step.record.get("log_jacobian", 0.0) - gain / thermal
                    if not np.isclose(log_ratio, step.log_ratio, rtol=1e-9, atol=1e-9):
                        return Check(name, False, f"The kinetic ratio of {where} does not follow.")
                elif "guide_log_density_before" in step.record:
                    before_, after_ = (
                        step.record[f"guide_log_density_{end}"] for end in ("before", "after")
                    )
                    if not np.isclose(log_ratio, before_ - after_, rtol=1e-9, atol=1e-9):
                        return Check(name, False, f"The guide's ratio of {where} does not follow.")
                state = store.get(before.state_label)
                if state is None or state.evaluation.energy != before.state_energy:
                    return Check(name, False, f"The label before {where} is missing or differs.")
                log_acceptance = (
                    campaign.ensemble.log_density(label.configuration, label.evaluation)
                    - campaign.ensemble.log_density(state.configuration, state.evaluation)
                    + log_ratio
                )
            accepted = accepts(step.uniform, log_acceptance)
            label_after = step.proposed_label if accepted else before.state_label
            energy_after = step.proposed_energy if accepted else before.state_energy
            if (accepted, label_after, energy_after) != (
                step.accepted,
                step.state_label,
                step.state_energy,
            ):
                return Check(name, False, f"The decision at {where} does not follow.")
    total = len(steps) - len(campaign.walkers)
    return Check(
        name, True, f"All {total} decisions follow from the stored numbers.", {"decisions": total}
    )


def _frozen(campaign: Campaign, steps: Sequence[Step]) -> Check:
    name = "no learning after the freeze"
    frozen = campaign.chain.frozen()
    if frozen is None:
        return Check(name, None, "The guide is not frozen yet.")
    guide = campaign.frozen_path().guide.digest()
    guides = {step.guide for step in steps if step.phase == "produce"}
    late = [s for s in steps if s.phase in ("start", "learn") and s.number > frozen["number"]]
    if guides - {guide} or late or guide != frozen["guide"]:
        return Check(name, False, "Production steps were proposed by more than one guide.")
    sentence = f"One guide, frozen after {frozen['labels']} labels, proposed all of production."
    return Check(name, True, sentence, {"guide": guide[:12], "labels": frozen["labels"]})


def _labels(
    campaign: Campaign, steps: Sequence[Step], n_labels: int, rng: np.random.Generator
) -> Check:
    name = "labels"
    keys = sorted({step.proposed_label for step in steps if step.proposed_energy is not None})
    if not keys:
        return Check(name, None, "There are no labels.")
    worst = 0.0
    for key in rng.choice(keys, min(n_labels, len(keys)), replace=False):
        label = campaign.reference.store.get(str(key))
        assert label is not None
        try:
            again = campaign.reference.reference.evaluate(label.configuration)
        except ReferenceFailure as failure:
            return Check(name, False, f"A stored label cannot be computed again: {failure}")
        worst = max(worst, abs(again.energy - label.evaluation.energy))
    checked = min(n_labels, len(keys))
    passed = worst <= ENERGY_TOLERANCE
    sentence = (
        f"{checked} labels evaluated again agree to {worst:.1e} eV "
        f"({'within' if passed else 'beyond'} {ENERGY_TOLERANCE:.0e} eV)."
    )
    return Check(name, passed, sentence, {"labels": checked, "largest_difference_eV": worst})


def _paths(
    campaign: Campaign, steps: Sequence[Step], n_paths: int, rng: np.random.Generator
) -> Check:
    """Run stored paths again from their random numbers, and backwards from their ends."""
    name = "paths"
    chosen = [step for step in steps if step.phase == "produce" and step.proposed_label]
    if not chosen:
        return Check(name, None, "There are no production paths.")
    path, move = campaign.frozen_path(), campaign.frozen_move()
    states = {(step.walker, step.number): step.state_label for step in steps}
    forward, backward = 0.0, 0.0
    picked = rng.choice(len(chosen), min(n_paths, len(chosen)), replace=False)
    for step in (chosen[int(k)] for k in picked):
        begin = campaign.reference.store.get(states[step.walker, step.number - 1])
        found = campaign.reference.store.get(step.proposed_label)
        if begin is None or (found is None and not step.failure):
            return Check(name, False, f"Labels of step {step.number} are missing.")
        numbers = random_numbers(campaign.settings.seed, step.walker, step.number)
        start = campaign.start.with_cell(begin.configuration.positions, begin.configuration.cell)
        proposed = move.propose(start, numbers)
        if float(numbers.random()) != step.uniform:
            return Check(name, False, f"The random numbers of step {step.number} differ.")
        if found is not None:
            forward = max(forward, _largest(proposed.configuration, found.configuration))
        backward = max(
            backward,
            _way_back(
                path, start, random_numbers(campaign.settings.seed, step.walker, step.number)
            ),
        )
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


def _creutz(produced: Sequence[Sequence[Step]]) -> Check:
    """M. Creutz, Phys. Rev. D 38, 1228 (1988): <exp(-dH/kT)> = 1 over stationary proposals."""
    name = "<exp(-dH/kT)> = 1"
    series = [
        np.exp([min(s.log_acceptance, 700.0) for s in walker if s.log_acceptance is not None])
        for walker in produced
    ]
    series = [one for one in series if len(one)]
    if not series:
        return Check(name, None, "No frozen proposal was judged yet.")
    mean = estimate_mean(series, "", "exact")
    numbers = {"value": mean.value, "error": mean.error, "n_effective": mean.n_effective}
    if mean.n_effective < ENOUGH or not np.isfinite(mean.error):
        sentence = f"Only {mean.n_effective:.0f} effective samples; {ENOUGH:.0f} are needed."
        return Check(name, None, sentence, numbers)
    passed = abs(mean.value - 1.0) <= SIGMAS * mean.error
    return Check(name, passed, f"It is {mean} over the frozen proposals.", numbers)


def _energies(steps: Sequence[Step]) -> NDArray[np.float64]:
    return np.array([step.state_energy for step in steps])


def _convergence(produced: Sequence[Sequence[Step]]) -> Check:
    name = "convergence"
    series = [_energies(walker) for walker in produced if len(walker) >= 4]
    if not series:
        return Check(name, None, "Production has hardly begun.")
    mean = estimate_mean(series, "eV", "exact")
    r_hat = split_r_hat(series)
    numbers = {
        "split_r_hat": r_hat,
        "n_effective": mean.n_effective,
        "autocorrelation_time_proposals": mean.autocorrelation_time,
    }
    sentence = (
        f"Split R-hat of the energy is {r_hat:.3f} (at most 1.10), effective samples "
        f"{mean.n_effective:.0f} (at least {ENOUGH:.0f})."
    )
    if mean.n_effective < ENOUGH:
        return Check(name, None, sentence, numbers)
    return Check(name, bool(r_hat <= 1.10), sentence, numbers)


def _agreement(
    campaign: Campaign, steps: Sequence[Step], produced: Sequence[Sequence[Step]]
) -> Check:
    """The second half of learning, not exact but close, against production."""
    name = "learning against production"
    learned = [
        [s for s in steps if s.walker == walker and s.phase == "learn"]
        for walker in campaign.walkers
    ]
    before = [_energies(walker[len(walker) // 2 :]) for walker in learned if len(walker) >= 8]
    after = [_energies(walker) for walker in produced if len(walker) >= 4]
    if not before or not after:
        return Check(name, None, "Too few steps to compare.")
    one, other = estimate_mean(before, "eV", "exact"), estimate_mean(after, "eV", "exact")
    error = float(np.hypot(one.error, other.error))
    if not np.isfinite(error) or min(one.n_effective, other.n_effective) < 4.0:
        return Check(name, None, "Too few independent samples to compare.")
    z = (one.value - other.value) / error
    n_atoms = campaign.start.n_atoms
    sentence = (
        f"Mean energies differ by {1e3 * (one.value - other.value) / n_atoms:.2f}"
        f" ± {1e3 * error / n_atoms:.2f} meV/atom ({abs(z):.1f} standard errors)."
    )
    return Check(name, bool(abs(z) <= SIGMAS), sentence, {"z": float(z)})


def _guide_chain(campaign: Campaign) -> Check:
    """<w (U_M - <U_M>_M)>_D = 0: do the reference's chain and the guide's own one fit together?"""
    name = "the guide's own chain"
    sampled = gather(campaign.chain, campaign.guide_chain, campaign.settings.temperature)
    if sampled is None or not campaign.settings.produce.free_samples:
        return Check(name, None, "The guide has not sampled itself; averages are the chain's own.")
    found = sharpen(
        sampled.energies, sampled.guide_energies, sampled.judgements, sampled.free_energies
    )
    numbers: dict[str, float | str] = {
        "samples": sum(len(one) for one in sampled.free_energies),
        "overlap": sampled.judgements.overlap,
        "disagreement": found.disagreement,
    }
    if found.helped:
        sentence = (
            f"It agrees with the reference's chain within {found.disagreement:.2f} standard "
            "errors, and sharpens the averages."
        )
        return Check(name, True, sentence, numbers)
    sentence = "It overlaps too little with the reference's chain; averages are the chain's own."
    return Check(name, None, sentence, numbers)


def _failures(campaign: Campaign, steps: Sequence[Step]) -> Check:
    """Every attempt that came to nothing is counted, also where a later one succeeded."""
    name = "failed reference calls"
    failed = sum(bool(step.failure) for step in steps if step.phase == "produce")
    asked = sum(step.asked for step in steps if step.phase == "produce")
    kinds = campaign.reference.store.count_attempts()
    attempts = sum(kinds.values())
    numbers: dict[str, float | str] = {
        "failed": failed,
        "asked": asked,
        "attempts_in_vain": attempts,
        **{kind.replace(" ", "_"): count for kind, count in sorted(kinds.items())},
    }
    if not failed:
        sentence = "The reference answered every question of production."
    else:
        sentence = (
            f"The reference had no answer for {failed} of {asked} configurations; they were "
            "rejected, so the ensemble is that of the reference conditioned on its convergence."
        )
    if attempts:
        several = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        sentence += f" In the whole run {attempts} attempts came to nothing ({several})."
    return Check(name, True, sentence, numbers)
