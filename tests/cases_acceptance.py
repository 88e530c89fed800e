"""Ladders of references, extra chances, noisy references: exactly known, with wrong guides."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cases_composite import HOP, TRUTH, WELLS, Formula, well_chains, well_rows, wells
from exact_rows import Row, case, rows_of
from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.delayed_acceptance import delayed_acceptance
from hyperatom.sampling.displacement import Displacement
from hyperatom.sampling.extra_chance import ExtraChance
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.metropolis import ChainState, first_accepted, metropolis
from hyperatom.sampling.penalty import Penalty
from targets import AnalyticGuide, Chain, isolated


@case("delayed acceptance: two screens before the reference")
def ladder(effort: float, seeds: Sequence[int]) -> list[Row]:
    proposal = delayed_acceptance(HOP, [wells(WELLS.displaced), wells(WELLS.soft)], WELLS.ensemble)
    return well_chains(proposal, effort, seeds, 4000)[1]


def extra_chance_chain(n_samples: int, seed: int, chances: int = 3) -> Chain:
    guide = AnalyticGuide(WELLS.energy, WELLS.soft)
    path = GuidedTrajectory(
        guide, WELLS.ensemble, time_step=34.0, length=102.0, spread=0.3, check_every=3
    )
    several = ExtraChance(path, chances)
    start = WELLS.start(seed)
    rng = np.random.default_rng(500 + seed)
    state = ChainState(start, TRUTH.evaluate(start))
    positions, energies, transitions = [], [], []
    for _ in range(n_samples):
        candidates = several.candidates(state.configuration, rng)
        state, judged = first_accepted(state, candidates, TRUTH, WELLS.ensemble, rng)
        transitions += judged[:1]
        positions.append(state.configuration.positions)
        energies.append(state.evaluation.energy)
    return Chain(np.array(positions), np.array(energies), transitions)


@case("extra chances on continued trajectories in skewed wells")
def extra_chances(effort: float, seeds: Sequence[int]) -> list[Row]:
    return well_rows([extra_chance_chain(int(600 * effort), seed) for seed in seeds])


# Noise


class Noisy:
    """A reference whose energies scatter about `truth`, more to the right if `slope` is not 0.

    `error` in k_BT; with `estimates` the standard error is itself estimated from so many.
    """

    identity = "noisy"

    def __init__(
        self,
        truth: Formula,
        ensemble: Canonical,
        error: float,
        seed: int,
        slope: float = 0.0,
        estimates: int | None = None,
    ) -> None:
        self.truth, self.thermal_energy = truth, ensemble.thermal_energy
        self.error, self.slope, self.estimates = error, slope, estimates
        self.rng = np.random.default_rng(600 + seed)

    def evaluate(self, configuration: Configuration) -> Evaluation:
        x = float(np.tanh(configuration.positions[0, 0]))
        error = self.error * self.thermal_energy * (1.0 + self.slope * x)
        energy = self.truth.energy(configuration) + error * self.rng.standard_normal()
        if self.estimates is not None:
            m = self.estimates - 1
            error *= np.sqrt(self.rng.chisquare(m) / m)
        return Evaluation(energy, np.zeros_like(configuration.positions), None, error)

    def close(self) -> None:
        pass


SPRING = 6.0
BALL = Canonical(300.0, fixed_centre_of_mass=False)
THROW = Displacement(0.8, fixed_centre_of_mass=False)


def harmonic() -> Formula:
    """One atom on a spring, k = 6 k_BT/Å^2: <x^2> = 1/6 Å^2, <U> = 3/2 k_BT."""
    stiffness = SPRING * BALL.thermal_energy
    return Formula(lambda one: 0.5 * stiffness * float((one.positions**2).sum()))


def noisy_chain(
    reference: Noisy,
    penalty: Penalty | None,
    ensemble: Canonical,
    start: Configuration,
    proposal: Any,
    n_samples: int,
    seed: int,
) -> tuple[Chain, np.ndarray]:
    """The chain, and energies (eV) that are right on average: new ones, or kept ones corrected."""
    rng = np.random.default_rng(700 + seed)
    state = ChainState(start, reference.evaluate(start))
    positions, energies, transitions, unbiased = [], [], [], []
    for _ in range(n_samples):
        proposed = proposal.propose(state.configuration, rng)
        before = state
        state, transition = metropolis(state, proposed, reference, ensemble, rng, penalty)
        transitions.append(transition)
        positions.append(state.configuration.positions)
        energies.append(state.evaluation.energy)
        if transition.present is not None:
            unbiased.append(transition.present.energy)
        elif penalty is not None:
            kept = before.configuration, before.evaluation
            unbiased.append(penalty.unbiased_energy(*kept, ensemble))
    return Chain(np.array(positions), np.array(energies), transitions), np.array(unbiased)


def noisy_ball(
    error: float,
    penalty: Penalty | None,
    n_samples: float,
    seeds: Sequence[int],
    estimates: int | None = None,
) -> list[Row]:
    chains, unbiased = [], []
    for seed in seeds:
        rng = np.random.default_rng(800 + seed)
        start = isolated(rng.standard_normal((1, 3)) / np.sqrt(SPRING), [1.0])
        reference = Noisy(harmonic(), BALL, error, seed, estimates=estimates)
        chain, energies = noisy_chain(reference, penalty, BALL, start, THROW, int(n_samples), seed)
        chains.append(chain)
        unbiased.append(energies)
    squares = [SPRING * (chain.positions**2).sum(axis=(1, 2)) for chain in chains]
    rows = rows_of("k x^2 / k_BT", squares, 3.0)
    rows += rows_of("(k x^2 / k_BT)^2", [one**2 for one in squares], 15.0)
    if penalty is not None:
        rows += rows_of("U / k_BT", [one / BALL.thermal_energy for one in unbiased], 1.5)
    return rows


@case("penalty, energies asked again, noise s = 0.5 and 2 k_BT")
def penalty_again(effort: float, seeds: Sequence[int]) -> list[Row]:
    rows = []
    for error, n_samples in ((0.5, 3000), (2.0, 8000)):
        found = noisy_ball(error, Penalty(), n_samples * effort, seeds)
        rows += [row._replace(name=f"s = {error}: {row.name}") for row in found]
    return rows


@case("penalty, energies kept, noise s = 0.5 and 1 k_BT")
def penalty_kept(effort: float, seeds: Sequence[int]) -> list[Row]:
    rows = []
    for error, n_samples in ((0.5, 3000), (1.0, 8000)):
        found = noisy_ball(error, Penalty(ask_again=False), n_samples * effort, seeds)
        rows += [row._replace(name=f"s = {error}: {row.name}") for row in found]
    return rows


@case("penalty with standard errors from 12 estimates, asked again and kept, s = 1 k_BT")
def penalty_estimated(effort: float, seeds: Sequence[int]) -> list[Row]:
    rows = []
    for again in (True, False):
        penalty = Penalty(estimates=12, ask_again=again)
        found = noisy_ball(1.0, penalty, 5000 * effort, seeds, estimates=12)
        rows += [row._replace(name=f"again {again}: {row.name}") for row in found]
    return rows


def noisy_wells(penalty: Penalty | None, n_samples: float, seeds: Sequence[int]) -> list[Row]:
    """In skewed wells, noise 0.8 k_BT that is larger on one side: a force of its own if unpaid."""
    chains = []
    for seed in seeds:
        reference = Noisy(TRUTH, WELLS.ensemble, 0.8, seed, slope=0.7)
        start = WELLS.start(seed)
        chains.append(
            noisy_chain(reference, penalty, WELLS.ensemble, start, HOP, int(n_samples), seed)[0]
        )
    exact = WELLS.average(lambda x: x)
    first = [chain.positions[:, 0, 0] for chain in chains]
    rows = rows_of("x of the noisy one", first, exact)
    return rows + [row for row in well_rows(chains) if row.name.startswith("x^")]


@case("penalty, uneven noise in skewed wells, asked again")
def uneven_again(effort: float, seeds: Sequence[int]) -> list[Row]:
    return noisy_wells(Penalty(), 5000 * effort, seeds)


@case("penalty, uneven noise in skewed wells, kept")
def uneven_kept(effort: float, seeds: Sequence[int]) -> list[Row]:
    return noisy_wells(Penalty(ask_again=False), 5000 * effort, seeds)
