"""The ensemble is the reference's own, however wrong the guide: exact averages, within error bars.

Every chain starts at a sample of the exact distribution (or is compared after a burn-in), with a
guide so wrong and a time step so long that a good part of the proposals is rejected: with a perfect
guide and a short step most mistakes would pass unseen.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from hyperatom.analysis.statistics import curve_error, estimate_mean
from hyperatom.contracts import Proposed
from hyperatom.errors import ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.guided_trajectory import GuidedTrajectory, PathShape
from hyperatom.sampling.metropolis import ChainState, accepts, metropolis
from hyperatom.sampling.momenta import kinetic_energy
from targets import (
    AnalyticGuide,
    Chain,
    DoubleWells,
    HarmonicCrystal,
    LennardJonesCluster,
    isolated,
    sample,
)

SEEDS = (1, 2, 3)
CRYSTAL, WELLS = HarmonicCrystal(), DoubleWells()
DIMER, TETRAMER = LennardJonesCluster(2), LennardJonesCluster(4)


def deviations(series: list[np.ndarray], exact: float, error: float = 0.0) -> np.ndarray:
    """(mean - exact) in standard errors: all seeds together, then each seed."""
    estimates = [estimate_mean(series, "", "exact")]
    estimates += [estimate_mean(one, "", "exact") for one in series]
    return np.array([(e.value - exact) / np.hypot(e.error, error) for e in estimates])


def chi_square(series: list[np.ndarray], exact: np.ndarray, weight: Any = 1.0) -> float:
    """Sum of squared deviations of a curve (n_samples, n_columns) per seed, all seeds together."""
    mean = np.concatenate(series).mean(axis=0)
    return float(np.sum(weight * ((mean - exact) / curve_error(series)) ** 2))


def histogram_chi_square(
    series: list[np.ndarray], edges: np.ndarray, probabilities: np.ndarray
) -> float:
    """Pearson's chi square of values (n_samples, n_values), each bin with its own sample size."""
    inside = [
        ((one[:, :, None] >= edges[:-1]) & (one[:, :, None] < edges[1:])).mean(axis=1)
        for one in series
    ]
    return chi_square(inside, probabilities, 1.0 - probabilities)


def three_standard_errors(n_degrees: int) -> float:
    """The chi square that is exceeded as rarely as three standard errors are: 0.27 %."""
    return float(chi2.ppf(0.9973, n_degrees))


def assert_exact(found: dict[str, np.ndarray]) -> None:
    # Of some three hundred numbers of single seeds, one lies beyond 3 by chance.
    def is_exact(z: np.ndarray) -> bool:
        return bool(np.all(np.abs(z[:1]) < 3.0) and np.all(np.abs(z[1:]) < 3.5))

    beyond = {name: z.round(1) for name, z in found.items() if not is_exact(np.atleast_1d(z))}
    assert not beyond, f"standard errors off (all seeds, then each): {beyond}"


def assert_sharp(chains: list[Chain]) -> None:
    """Proposals are as often uphill as they must be, and neither too good nor too bad to tell."""
    assert_exact({"balance": deviations([chain.balance for chain in chains], 0.0)})
    acceptance = np.mean([chain.acceptance for chain in chains])
    assert 0.2 < acceptance < 0.85, acceptance


@dataclass(frozen=True)
class Case:
    """One way to propose."""

    target: Any
    guide: Any
    settings: dict[str, Any]
    n_samples: int
    swirl: float = 0.0
    errors: Any = None
    vetoes: tuple[float, float] = field(default=(0.0, 0.1))

    def chains(self, burn_in: int = 0) -> list[Chain]:
        target = self.target
        guide = AnalyticGuide(target.energy, self.guide, self.errors, self.swirl)
        proposal = GuidedTrajectory(guide, target.ensemble, **self.settings)
        chains = []
        for seed in SEEDS:
            start = target.start(seed)
            if burn_in:
                there = sample(proposal, target.reference, target.ensemble, start, burn_in, seed)
                start = start.with_positions(there.positions[-1])
            n = self.n_samples
            chains.append(sample(proposal, target.reference, target.ensemble, start, n, 100 + seed))
        assert self.vetoes[0] <= np.mean([chain.vetoes for chain in chains]) <= self.vetoes[1]
        assert_sharp(chains)
        return chains


def steps(time_step: float, n_steps: int, **others: Any) -> dict[str, Any]:
    return {
        "time_step": time_step, "length": time_step * n_steps, "check_every": n_steps, **others
    }  # fmt: skip


CRYSTAL_CASES = {
    "forces scaled by 0.7": Case(CRYSTAL, CRYSTAL.soft(), steps(10.0, 4), 1000),
    "wrong minimum, three segments": Case(
        CRYSTAL, CRYSTAL.displaced(), steps(10.0, 3, segments=3), 900
    ),
}


@pytest.mark.parametrize("name", CRYSTAL_CASES)
def test_harmonic_crystal(name: str) -> None:
    chains = CRYSTAL_CASES[name].chains()
    thermal_energy = CRYSTAL.ensemble.thermal_energy
    energies = [chain.energies / thermal_energy for chain in chains]
    assert_exact(
        {
            "U": deviations(energies, 10.5),
            "U - U_exact squared": deviations([(u - 10.5) ** 2 for u in energies], 10.5),
        }
    )
    # Creutz: <exp(-beta dH)> = 1. Unbounded, yet with a finite variance where the guide is softer.
    creutz = [np.exp([t.log_acceptance for t in chain.transitions]) for chain in chains]
    if name == "forces scaled by 0.7":
        assert_exact({"Creutz": deviations(creutz, 1.0)[:1]})
    # Covariances of the normal coordinates in units of k_BT/omega^2: the unit matrix, 7 x 7.
    row, column = np.triu_indices(7)
    width = np.sqrt(thermal_energy) / CRYSTAL.frequencies[:, None]
    products = []
    for chain in chains:
        normal = CRYSTAL.normal_coordinates(chain.positions) / width
        products.append((normal[:, row] * normal[:, column]).mean(axis=2))
    assert chi_square(products, np.eye(7)[row, column]) < three_standard_errors(len(row))


STRIPES = np.array([2.5, 2.0])
"""1/Å"""


def wavy_errors(waypoints: np.ndarray) -> np.ndarray:
    """Uncertain in stripes across the plane of the two particles' x."""
    return 0.01 * (1.0 + np.sin(waypoints[:, :2, 0] @ STRIPES))


WELL_CASES = {
    "forces scaled by 0.7": Case(WELLS, WELLS.soft, steps(28.0, 4), 1000),
    "wrong minimum": Case(WELLS, WELLS.displaced, steps(28.0, 4), 1000),
    "random lengths, uncertainty veto, some exempt": Case(
        WELLS,
        WELLS.soft,
        {
            "time_step": 17.0, "length": 51.0, "segments": 2, "spread": 0.6, "check_every": 1,
            "largest_error": 0.017, "unrestricted": 0.3,
        },
        1200,
        errors=wavy_errors,
        vetoes=(0.2, 0.6),
    ),
    "swirling forces, drift veto": Case(
        WELLS,
        WELLS.soft,
        steps(18.5, 5, largest_drift=0.6),
        1800,
        swirl=0.015,
        vetoes=(0.2, 0.6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WELL_CASES)
def test_skewed_double_wells(name: str) -> None:
    chains = WELL_CASES[name].chains()
    x = [chain.positions[:, :, 0] for chain in chains]
    across = [(chain.positions[:, :, 1:] ** 2).mean(axis=(1, 2)) for chain in chains]
    mean = WELLS.average(lambda x: x)
    found = {
        f"x^{power}": deviations(
            [(one**power).mean(axis=1) for one in x], WELLS.average(lambda x, k=power: x**k)
        )
        for power in (1, 2, 3, 4)
    }
    found["x of one times x of the other"] = deviations([one.prod(axis=1) for one in x], mean**2)
    # Are the stripes of `wavy_errors` visited as often as they should be?
    waves = [np.sin(one @ STRIPES) for one in x]
    cosine = [WELLS.average(lambda x, k=k: np.cos(k * x)) for k in STRIPES]
    sine = [WELLS.average(lambda x, k=k: np.sin(k * x)) for k in STRIPES]
    exact = sine[0] * cosine[1] + cosine[0] * sine[1]
    found["stripes"] = deviations(waves, exact)
    energies = [chain.energies / WELLS.thermal_energy for chain in chains]
    found["U"] = deviations(energies, WELLS.mean_energy())
    found["y^2 + z^2"] = deviations(across, 1.0 / WELLS.right[4])
    assert_exact(found)
    edges = np.concatenate([[-4.0], np.linspace(-1.4, 1.4, 11), [4.0]])
    probabilities = WELLS.probabilities(edges)
    assert histogram_chi_square(x, edges, probabilities) < three_standard_errors(len(edges) - 2)


def test_lennard_jones_dimer() -> None:
    chains = Case(DIMER, DIMER.wide, steps(120.0, 6, segments=2), 900).chains(burn_in=30)
    squares = [DIMER.squares(chain.positions) for chain in chains]
    distances = [np.sqrt(one) for one in squares]
    thermal_energy = DIMER.ensemble.thermal_energy
    upright = [
        (c.positions[:, 0, 2] - c.positions[:, 1, 2]) ** 2 / s[:, 0]
        for c, s in zip(chains, squares, strict=True)
    ]
    assert_exact(
        {
            "r": deviations([r[:, 0] for r in distances], DIMER.dimer_average(lambda r: r)),
            "1/r": deviations(
                [1.0 / r[:, 0] for r in distances], DIMER.dimer_average(lambda r: 1.0 / r)
            ),
            "U": deviations(
                [chain.energies / thermal_energy for chain in chains],
                DIMER.dimer_average(
                    lambda r: DIMER.pair_energy(DIMER.right, r * r) / thermal_energy
                ),
            ),
            "cosine of the inclination squared": deviations(upright, 1.0 / 3.0),
        }
    )  # fmt: skip
    edges = np.concatenate([[2.6], np.linspace(3.5, 8.0, 10), [20.0]])
    probabilities = DIMER.dimer_probabilities(edges)
    assert histogram_chi_square(distances, edges, probabilities) < three_standard_errors(10)


def test_lennard_jones_cluster_against_plain_monte_carlo() -> None:
    chains = Case(TETRAMER, TETRAMER.soft, steps(90.0, 6), 1000).chains(burn_in=100)
    plain = TETRAMER.plain_monte_carlo(n_walkers=200, n_sweeps=800, burn_in=200, seed=4)
    thermal_energy = TETRAMER.ensemble.thermal_energy

    def observables(positions: np.ndarray) -> dict[str, np.ndarray]:
        distances = np.sqrt(TETRAMER.squares(positions))
        return {
            "U": TETRAMER.energy(TETRAMER.right, positions) / thermal_energy,
            "distance of the lightest two": distances[..., 0],
            "shortest distance": distances.min(axis=-1),
            "longest distance": distances.max(axis=-1),
            "mean distance squared": (distances**2).mean(axis=-1),
        }

    found = [observables(chain.positions) for chain in chains]
    result = {}
    for name, values in observables(plain).items():
        of_walker = values.mean(axis=0)
        error = of_walker.std(ddof=1) / np.sqrt(len(of_walker))
        result[name] = deviations([one[name] for one in found], of_walker.mean(), error)
    assert_exact(result)


# What the proofs rest on


REVERSIBLE = {
    "harmonic crystal": (CRYSTAL, CRYSTAL.soft(), PathShape(8.0, 2, (3, 1, 5)), 0.0),
    "swirling double wells": (WELLS, WELLS.soft, PathShape(15.0, 3, (2, 4)), 0.1),
    "cluster": (TETRAMER, TETRAMER.wide, PathShape(60.0, 5, (2, 1, 3, 1)), 0.0),
}


@pytest.mark.parametrize("name", REVERSIBLE)
def test_the_path_run_backwards_returns_to_its_start(name: str) -> None:
    target, parameters, shape, swirl = REVERSIBLE[name]
    guide = AnalyticGuide(target.energy, parameters, wavy_errors, swirl)
    proposal = GuidedTrajectory(guide, target.ensemble, time_step=1.0, length=1.0)
    start = target.start(5)
    there = proposal.follow(start, shape, np.random.default_rng(6))
    back = proposal.follow(
        there.end, shape.reversed(), [p.flipped() for p in reversed(there.ended)]
    )
    assert np.abs(there.end.positions - start.positions).max() > 0.1
    np.testing.assert_allclose(back.end.positions, start.positions, atol=1e-9)
    for ended, started in zip(back.ended, reversed(there.started), strict=True):
        np.testing.assert_allclose(-ended.atoms, started.atoms, atol=1e-9)
    for one, other in zip(back.trajectories, reversed(there.trajectories), strict=True):
        np.testing.assert_allclose(one.waypoints[::-1], other.waypoints, atol=1e-9)
    proposed = proposal.judge_path(start, shape, there, exempt=False)
    returned = proposal.judge_path(there.end, shape.reversed(), back, exempt=False)
    assert abs(proposed.log_ratio) > 1e-3
    assert returned.log_ratio == pytest.approx(-proposed.log_ratio, abs=1e-9)
    for key in ("guide_error", "guide_drift", "length"):
        assert returned.record[key] == pytest.approx(proposed.record[key], abs=1e-9)


def test_a_path_and_its_reverse_have_equally_probable_shapes() -> None:
    proposal = GuidedTrajectory(
        AnalyticGuide(WELLS.energy, WELLS.soft), WELLS.ensemble,
        time_step=1.0, length=30.0, segments=2, spread=0.6, check_every=10, unrestricted=0.2,
    )  # fmt: skip
    rng = np.random.default_rng(7)
    drawn = [proposal.draw_shape(rng) for _ in range(20_000)]
    lengths = np.array([shape.checks for shape, _ in drawn])
    assert set(np.unique(lengths)) == {1, 2, 3, 4, 5}
    counts = np.zeros((6, 6))
    np.add.at(counts, tuple(lengths.T), 1.0)
    upper = np.triu_indices(6, 1)
    pairs = (counts + counts.T)[upper]
    odd = (counts - counts.T)[upper][pairs > 0]
    assert np.sum(odd**2 / pairs[pairs > 0]) < three_standard_errors(len(odd))
    assert np.mean([exempt for _, exempt in drawn]) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("fixed", [True, False])
def test_momenta_are_maxwellian(fixed: bool) -> None:
    masses = np.array([1.0, 2.0, 30.0])
    ensemble = Canonical(500.0, fixed_centre_of_mass=fixed)
    rng = np.random.default_rng(8)
    momenta = np.array([ensemble.draw_momenta(masses, rng) for _ in range(20_000)])
    kinetic = np.array([kinetic_energy(p, masses) for p in momenta]) / ensemble.thermal_energy
    degrees = 6 if fixed else 9
    assert ensemble.degrees_of_freedom(3) == degrees
    # K / k_BT is gamma distributed: mean and variance both degrees/2. A rescaled K would not vary.
    found = {
        "mean": deviations([kinetic], 0.5 * degrees),
        "variance": deviations([(kinetic - 0.5 * degrees) ** 2], 0.5 * degrees),
    }
    # <p_i p_j> = k_BT (m_i delta_ij - m_i m_j / M), the second term with fixed centre of mass.
    expected = np.diag(masses) - fixed * np.outer(masses, masses) / masses.sum()
    for i, j in zip(*np.triu_indices(3), strict=True):
        products = (momenta[:, i] * momenta[:, j]).mean(axis=1) / ensemble.thermal_energy
        found[f"p{i} p{j}"] = deviations([products], expected[i, j])
    assert_exact(found)
    if fixed:
        np.testing.assert_allclose(momenta.sum(axis=1), 0.0, atol=1e-12)


def test_the_centre_of_mass_stays_where_it_is() -> None:
    guide = AnalyticGuide(CRYSTAL.energy, CRYSTAL.displaced())
    proposal = GuidedTrajectory(guide, CRYSTAL.ensemble, **steps(10.0, 3, segments=2))
    start = CRYSTAL.start(9)
    chain = sample(proposal, CRYSTAL.reference, CRYSTAL.ensemble, start, 200, 10)
    assert chain.acceptance > 0.1
    centres = CRYSTAL.masses @ chain.positions / CRYSTAL.masses.sum()
    centre = CRYSTAL.masses @ start.positions / CRYSTAL.masses.sum()
    np.testing.assert_allclose(centres, np.broadcast_to(centre, centres.shape), atol=1e-10)


class Runaway(AnalyticGuide):
    """Everything after the first point has the given momenta and error."""

    def __init__(self, momentum: float, error: float) -> None:
        super().__init__(WELLS.energy, WELLS.soft)
        self.momentum, self.error = momentum, error

    def trajectory(self, *arguments: Any) -> Any:
        found = super().trajectory(*arguments)
        found.momenta[0, 0] = self.momentum
        found.errors[-1] = self.error
        return found


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("momentum", "error", "reason"),
    [
        (1e200, 0.0, "left the numbers"),
        (np.inf, 0.0, "left the numbers"),
        (np.nan, 0.0, "left the numbers"),
        (1e3, 0.0, "not conserved"),
        (0.1, np.inf, "too uncertain"),
        (0.1, np.nan, "too uncertain"),
        (0.1, 0.2, "too uncertain"),
        (0.1, 0.05, None),
    ],
)
def test_paths_that_the_reference_need_not_see(
    momentum: float, error: float, reason: str | None
) -> None:
    proposal = GuidedTrajectory(
        Runaway(momentum, error), WELLS.ensemble, largest_drift=1e3, largest_error=0.1,
        unrestricted=0.0, segments=2, **steps(1.0, 2),
    )  # fmt: skip
    for seed in range(3):
        proposed = proposal.propose(WELLS.start(seed), np.random.default_rng(seed))
        if reason is None:
            assert proposed.veto is None
        else:
            assert proposed.veto is not None
            assert reason in proposed.veto


@pytest.mark.parametrize("segment", [0, 1])
@pytest.mark.parametrize("point", [0, 1, 2])
def test_one_uncertain_point_anywhere_is_enough(segment: int, point: int) -> None:
    guide = AnalyticGuide(WELLS.energy, WELLS.soft)
    proposal = GuidedTrajectory(guide, WELLS.ensemble, 1.0, 4.0, largest_error=0.1)
    shape = PathShape(1.0, 2, (2, 2))
    start = WELLS.start(1)
    path = proposal.follow(start, shape, np.random.default_rng(13))
    assert proposal.judge_path(start, shape, path, exempt=False).veto is None
    path.trajectories[segment].errors[point] = 0.2
    assert proposal.judge_path(start, shape, path, exempt=False).veto is not None
    assert proposal.judge_path(start, shape, path, exempt=True).veto is None


# Metropolis itself


class TwoLevels:
    """An atom at x = 0 or x = 1 with energies 0 and `gap`."""

    identity = "two levels"

    def __init__(self, gap: float, failure: bool = False) -> None:
        self.gap, self.failure, self.calls = gap, failure, 0

    def evaluate(self, configuration: Any) -> Evaluation:
        self.calls += 1
        if self.failure:
            raise ReferenceFailure("The engine did not converge.", "Look at its log.")
        return Evaluation(self.gap * configuration.positions[0, 0], np.zeros((1, 3)))

    def close(self) -> None:
        pass


class Flip:
    """Up from below with certainty; down from above with probability `down`, else vetoed."""

    def __init__(self, down: float = 1.0) -> None:
        self.down = down

    def propose(self, configuration: Any, rng: np.random.Generator) -> Proposed:
        above = bool(configuration.positions[0, 0])
        veto = "stay" if above and rng.random() >= self.down else None
        log_ratio = -np.log(self.down) if above else np.log(self.down)
        there = configuration.with_positions(1.0 - configuration.positions)
        return Proposed(there, log_ratio, veto)


@pytest.mark.parametrize("down", [1.0, 0.4])
def test_every_state_counts_as_often_as_the_chain_is_there(down: float) -> None:
    ensemble = Canonical(1000.0)
    reference = TwoLevels(0.9 * ensemble.thermal_energy)
    start = isolated([[0.0, 0.0, 0.0]], [1.0])
    chain = sample(Flip(down), reference, ensemble, start, 8000, 11)
    assert len(chain.positions) == len(chain.transitions) == 8000
    above = chain.positions[:, 0, 0]
    expected = np.exp(-0.9) / (1.0 + np.exp(-0.9))
    assert_exact({"above": deviations([above], expected)})
    stayed = above[1:] == above[:-1]
    accepted = np.array([t.accepted for t in chain.transitions])
    np.testing.assert_array_equal(stayed, ~accepted[1:])


def judged(
    proposed_energy: float = 0.0,
    log_ratio: float = 0.0,
    veto: str | None = None,
    fail: bool = False,
) -> Any:
    ensemble = Canonical(1000.0)
    below = isolated([[0.0, 0.0, 0.0]], [1.0])
    state = ChainState(below, Evaluation(0.0, np.zeros((1, 3))))
    above = below.with_positions(np.array([[1.0, 0.0, 0.0]]))
    reference = TwoLevels(proposed_energy, fail)
    rng = np.random.default_rng(12)
    after, transition = metropolis(
        state, Proposed(above, log_ratio, veto), reference, ensemble, rng
    )
    return state, after, transition, reference, rng.random()


def test_a_veto_asks_nothing_but_uses_up_the_same_random_numbers() -> None:
    state, after, transition, reference, following = judged(veto="too uncertain")
    _, moved, other, _, following_other = judged()
    assert after is state
    assert reference.calls == 0
    assert not transition.accepted
    assert transition.log_acceptance == -np.inf
    assert transition.evaluation is None
    assert (transition.uniform, following) == (other.uniform, following_other)
    assert other.accepted
    assert moved.configuration.positions[0, 0] == 1.0


def test_no_answer_is_a_rejection() -> None:
    state, after, transition, _, following = judged(fail=True)
    assert after is state
    assert not transition.accepted
    assert "did not converge" in transition.failure
    assert following == judged()[-1]


def test_a_rejected_proposal_keeps_the_answer_it_was_paid_for() -> None:
    state, after, transition, _, _ = judged(proposed_energy=100.0)
    assert after is state
    assert not transition.accepted
    assert transition.evaluation.energy == 100.0


def test_not_a_number_is_never_accepted() -> None:
    for energy, log_ratio in ((np.nan, 0.0), (0.0, np.nan), (np.inf, 0.0), (0.0, -np.inf)):
        state, after, transition, _, _ = judged(energy, log_ratio)
        assert after is state
        assert not transition.accepted
    assert not accepts(0.0, np.nan)
    assert not accepts(0.0, -np.inf)
    assert accepts(0.999, 0.0)
    assert accepts(0.49, np.log(0.5))
    assert not accepts(0.51, np.log(0.5))
