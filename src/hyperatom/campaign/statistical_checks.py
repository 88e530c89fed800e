"""What the numbers of a run say of it: identities that hold on average, convergence, agreement."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.control_variate import sharpen
from hyperatom.analysis.ladder import require_exchanges
from hyperatom.analysis.statistics import estimate_mean, split_r_hat
from hyperatom.campaign.averages import gather, weighed_energy
from hyperatom.campaign.campaign import Campaign
from hyperatom.campaign.certificate import Check
from hyperatom.campaign.chain_store import Step
from hyperatom.campaign.ladder import travel
from hyperatom.errors import InputError

SIGMAS = 4.0
"""Statistical checks fail beyond this many standard errors; one healthy run in 16000 would."""

ENOUGH = 20.0
"""Effective samples below which nothing statistical is decided."""


def creutz(produced: Sequence[Sequence[Step]]) -> Check:
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


def convergence(produced: Sequence[Sequence[Step]]) -> Check:
    """Do the chains agree, and are there enough independent samples to say so?"""
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


def agreement(
    campaign: Campaign, steps: Sequence[Step], produced: Sequence[Sequence[Step]]
) -> Check:
    """The second half of learning, not exact but close, against production."""
    name = "learning against production"
    learned = [
        [s for s in steps if s.walker == walker and s.phase == "learn"]
        for walker in campaign.settings.chains_at(0)
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


def ladder(campaign: Campaign, produced: Sequence[Sequence[Step]]) -> Check:
    """Are neighbouring rungs exchanged, and has anything travelled from end to end and back?"""
    name = "ladder"
    seen = travel(campaign.settings, [step for chain in produced for step in chain])
    if seen is None or any(gap.attempts == 0 for gap in seen.gaps):
        return Check(name, None, "Not every gap of the ladder has been offered an exchange yet.")
    worst = min(seen.gaps, key=lambda gap: gap.acceptance.value)
    numbers: dict[str, float | str] = {
        "worst_gap": worst.name,
        "acceptance": worst.acceptance.value,
        "round_trips": seen.n_trips,
    }
    try:
        require_exchanges(seen.gaps)
    except InputError as broken:
        return Check(name, False, broken.problem, numbers)
    sentence = (
        f"Exchanges across the worst gap, {worst.name}, are accepted with probability "
        f"{worst.acceptance.value:.2f}; {seen.n_trips} round trips. {seen.warning}"
    )
    return Check(name, True if seen.n_trips else None, sentence.strip(), numbers)


def overlap(campaign: Campaign, produced: Sequence[Sequence[Step]]) -> Check:
    """Does what the guide sampled cover the reference's ensemble, and are there enough samples?"""
    name = "overlap"
    found = weighed_energy(produced, campaign.start.n_atoms)
    if found is None:
        return Check(name, None, "Nothing has been weighed yet.")
    mean, covered = found
    numbers = {
        "kish": covered.kish,
        "largest_share": covered.largest,
        "n_effective": mean.n_effective,
    }
    if covered.warning:
        return Check(name, False, covered.warning, numbers)
    sentence = (
        f"{100 * covered.kish:.0f} % of the samples are left (Kish), the heaviest carries "
        f"{100 * covered.largest:.1f} % of the weight; effective samples {mean.n_effective:.0f} "
        f"(at least {ENOUGH:.0f})."
    )
    return Check(name, True if mean.n_effective >= ENOUGH else None, sentence, numbers)


def guide_chain(campaign: Campaign) -> Check:
    """<w (U_M - <U_M>_M)>_D = 0: do the reference's chain and the guide's own one fit together?"""
    name = "the guide's own chain"
    sampled = gather(campaign.chain, campaign.guide_chain, campaign.settings.temperature)
    if sampled is None:
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
