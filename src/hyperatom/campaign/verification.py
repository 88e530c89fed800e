"""Verification: puts a run on trial with nothing but what it left on disk, and the engine."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hyperatom.campaign.assembly import opened
from hyperatom.campaign.campaign import Campaign
from hyperatom.campaign.certificate import EXACT, WEIGHED, Certificate, Check, certify
from hyperatom.campaign.chain_store import Step
from hyperatom.campaign.monitor import Unwatched
from hyperatom.campaign.replay import decisions, paths, weights
from hyperatom.campaign.run_directory import write_atomically
from hyperatom.campaign.statistical_checks import (
    agreement,
    convergence,
    creutz,
    guide_chain,
    ladder,
    overlap,
)
from hyperatom.errors import ReferenceFailure
from hyperatom.references.ring_label import keys_of_beads

Progress = Callable[[str, float], None]
"""(what is being checked, fraction done) -> None"""

Question = tuple[str, Callable[[], Check]]

ENERGY_TOLERANCE = 1.0e-6
"""eV; a label evaluated again must agree to this."""


def verify(
    directory: Path, n_labels: int = 3, progress: Progress = lambda _what, _fraction: None
) -> Certificate:
    """Check a run and write `certificate.json` into it.

    `n_labels` labels are evaluated again, and as many paths run forwards and backwards, chosen at
    random anew every time.
    """
    rng = np.random.default_rng()
    with opened(directory, Unwatched()) as campaign:
        steps = campaign.chain.steps()
        everywhere = counted(campaign, steps)
        produced = [everywhere[walker] for walker in campaign.settings.chains_at(0)]
        rungs = len(campaign.settings.rungs)
        weighed = campaign.chain.frozen() is not None and campaign.reweighting
        sharpened = campaign.settings.free_samples > 0
        of_samples: Sequence[Question] = (
            ("weights", lambda: weights(campaign, steps, n_labels, rng)),
            ("overlap", lambda: overlap(campaign, produced)),
        )
        of_chain: Sequence[Question] = (
            ("paths", lambda: paths(campaign, steps, n_labels, rng)),
            ("<exp(-dH/kT)> = 1", lambda: creutz(everywhere)),
            ("convergence", lambda: convergence(produced)),
            ("learning against production", lambda: agreement(campaign, steps, produced)),
            *([("ladder", lambda: ladder(campaign, everywhere))] if rungs > 1 else []),
            *([("the guide's own chain", lambda: guide_chain(campaign))] if sharpened else []),
        )
        questions: Sequence[Question] = (
            ("completeness", lambda: _complete(campaign, steps)),
            ("decisions", lambda: decisions(campaign, steps)),
            ("no learning after the freeze", lambda: _frozen(campaign, steps)),
            ("labels", lambda: _labels(campaign, steps, n_labels, rng)),
            *(of_samples if weighed else of_chain),
            ("failed reference calls", lambda: _failures(campaign, steps)),
        )
        checks = []
        for number, (name, question) in enumerate(questions):
            progress(name, number / len(questions))
            checks.append(question())
        certificate = certify(tuple(checks), WEIGHED if weighed else EXACT)
        write_atomically(campaign.directory.file("certificate.json"), certificate.to_json())
        campaign.directory.log(certificate.verdict)
    return certificate


def counted(campaign: Campaign, steps: Sequence[Step]) -> list[list[Step]]:
    """Production steps, by chain."""
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
    keys = {step.proposed_label for step in steps if step.proposed_energy is not None}
    cheap = {step.record["cheap_label"] for step in steps if "cheap_label" in step.record}
    if not keys:
        return Check(name, None, "There are no labels.")
    worst, checked = 0.0, 0
    for reference, known in ((campaign.reference, keys), (campaign.cheap, cheap)):
        if reference is None or not known:
            continue
        for ring in rng.choice(sorted(known), min(n_labels, len(known)), replace=False):
            key = rng.choice(keys_of_beads(str(ring)))
            label = reference.store.get(str(key))
            if label is None:
                return Check(name, False, f"The label {key[:12]} is missing.")
            try:
                again = reference.reference.evaluate(label.configuration)
            except ReferenceFailure as failure:
                return Check(name, False, f"A stored label cannot be computed again: {failure}")
            worst = max(worst, abs(again.energy - label.evaluation.energy))
            checked += 1
    passed = worst <= ENERGY_TOLERANCE
    engines = "" if campaign.cheap is None else " of both engines"
    sentence = (
        f"{checked} labels{engines} evaluated again agree to {worst:.1e} eV "
        f"({'within' if passed else 'beyond'} {ENERGY_TOLERANCE:.0e} eV)."
    )
    return Check(name, passed, sentence, {"labels": checked, "largest_difference_eV": worst})


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
