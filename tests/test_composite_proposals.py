"""Proposals made of others, and those of alloys: exact averages, and what their proofs rest on."""

from dataclasses import dataclass

import numpy as np
import pytest

import cases_composite
from cases_composite import CUBE, LAYER, SWAP, TRUTH, WELLS, Formula, layer_hop, nested_wells
from exact_rows import CASES, SEEDS, assert_all_within, cases_of, rows_of
from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.errors import InputError, ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.displacement import Displacement
from hyperatom.sampling.metropolis import ChainState, metropolis
from hyperatom.sampling.mixture import Mixture
from hyperatom.sampling.nested_chain import NestedChain
from hyperatom.sampling.swap import Swap
from hyperatom.sampling.vacancy_hop import VacancyHop
from targets import isolated, sample


@pytest.mark.parametrize("name", cases_of(cases_composite))
def test_exact(name: str) -> None:
    assert_all_within(CASES[name](1.0, SEEDS))


def test_the_nested_chain_is_neither_too_good_nor_too_bad_to_tell() -> None:
    chain = sample(nested_wells(), TRUTH, WELLS.ensemble, WELLS.start(1), 500, 1)
    assert 0.2 < chain.acceptance < 0.9


def test_the_outer_log_ratio_is_the_guides_own_at_its_own_temperature() -> None:
    nested = nested_wells(heat=2.0)
    start = WELLS.start(2)
    proposed = nested.propose(start, np.random.default_rng(3))
    rise = (
        nested.guide.evaluate(proposed.configuration).energy - nested.guide.evaluate(start).energy
    )
    assert proposed.log_ratio == pytest.approx(rise / (2.0 * WELLS.thermal_energy))
    assert proposed.record["transitions"] == 4


def test_with_the_reference_as_guide_every_nested_proposal_is_accepted() -> None:
    nested = NestedChain(TRUTH, WELLS.ensemble, [Displacement(1.1)], rounds=6)
    chain = sample(nested, TRUTH, WELLS.ensemble, WELLS.start(1), 200, 1)
    asked = [t for t in chain.transitions if t.proposed.veto is None]
    assert len(asked) > 150
    assert max(abs(t.log_acceptance) for t in asked) < 1e-9


class Still:
    """Proposes to stay, at impossible odds."""

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        return Proposed(configuration, -np.inf)


def test_a_chain_that_did_not_move_costs_no_call() -> None:
    nested = NestedChain(TRUTH, WELLS.ensemble, [Still()], rounds=3)
    reference = Formula(TRUTH.energy)
    start = WELLS.start(1)
    state = ChainState(start, TRUTH.evaluate(start))
    after, transition = metropolis(
        state, nested.propose(start, np.random.default_rng(1)), reference, WELLS.ensemble,
        np.random.default_rng(1),
    )  # fmt: skip
    assert after is state
    assert reference.calls == 0
    assert "did not move" in str(transition.proposed.veto)


class Silent(Formula):
    """Has no energy on the right."""

    def evaluate(self, configuration: Configuration) -> Evaluation:
        if configuration.positions[0, 0] > 0.0:
            raise ReferenceFailure("The engine did not converge.", "")
        return super().evaluate(configuration)


def test_no_way_leads_out_of_where_no_way_leads_in() -> None:
    nested = NestedChain(Silent(TRUTH.energy), WELLS.ensemble, [cases_composite.HOP], rounds=4)
    right = WELLS.start(1).with_positions(np.array([[1.0, 0, 0], [1.0, 0, 0]]))
    left = right.with_positions(np.array([[-1.0, 0, 0], [-1.0, 0, 0]]))
    rng = np.random.default_rng(4)
    assert "no energy here" in str(nested.propose(right, rng).veto)
    ends = [nested.propose(left, rng).configuration.positions[0, 0] for _ in range(100)]
    assert max(ends) <= 0.0


@dataclass(frozen=True)
class Exchange:
    """On levels 0, 1, 2 of a ladder of heights x: exchanges two of them, every other time."""

    one: int
    other: int

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        level = round(configuration.positions[0, 0])
        levels = {self.one: self.other, self.other: self.one}
        there = levels.get(level, level) if rng.random() < 0.5 else level
        return Proposed(configuration.with_positions(np.array([[float(there), 0, 0]])), 0.0)


def test_unlike_moves_go_there_and_back() -> None:
    """In one direction only, they would lead round and round: 0 -> 2 -> 1 -> 0."""
    flat = Formula(lambda configuration: 0.0)
    energies = WELLS.thermal_energy * np.array([0.0, 1.0, 0.3])
    steep = Formula(lambda configuration: float(energies[round(configuration.positions[0, 0])]))
    nested = NestedChain(flat, WELLS.ensemble, [Exchange(0, 1), Exchange(1, 2)])
    start = isolated([[0.0, 0.0, 0.0]], [1.0])
    chain = sample(nested, steep, WELLS.ensemble, start, 20_000, 8)
    levels = np.rint(chain.positions[:, 0, 0])
    exact = np.exp(-energies / WELLS.thermal_energy)
    rows = []
    for level, share in enumerate(exact / exact.sum()):
        rows += rows_of(f"level {level}", [(levels == level).astype(float)], float(share))
    assert_all_within(rows)


def test_the_moves_of_a_mixture_are_made_as_often_as_wanted() -> None:
    mixture = Mixture({"swap": SWAP, "stay": Still()}, {"swap": 3.0, "stay": 1.0})
    rng = np.random.default_rng(5)
    start = CUBE.start(1)
    moves = [mixture.propose(start, rng).record["move"] for _ in range(2000)]
    assert moves.count("swap") / 2000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    "proposal",
    [Swap(), Swap((28, 13)), Displacement(0.4, atoms=3), Displacement(0.4, atoms=None)],
)
def test_the_centre_of_mass_can_be_held(proposal: Swap | Displacement) -> None:
    start = CUBE.start(1)
    moved = proposal.propose(start, np.random.default_rng(6)).configuration
    assert np.abs(moved.positions - start.positions).max() > 0.1
    np.testing.assert_allclose(
        start.masses @ moved.positions, start.masses @ start.positions, atol=1e-9
    )
    np.testing.assert_array_equal(moved.numbers, start.numbers)


def test_a_swap_exchanges_two_unlike_atoms_and_undoes_itself() -> None:
    start = CUBE.start(1)
    pairs = set()
    for seed in range(300):
        rng = np.random.default_rng(seed)
        there = Swap((44, 13), fixed_centre_of_mass=False).propose(start, rng)
        i, j = there.record["first"], there.record["second"]
        assert {int(start.numbers[i]), int(start.numbers[j])} == {13, 44}
        pairs.add((i, j))
        expected = start.positions.copy()
        expected[[i, j]] = expected[[j, i]]
        np.testing.assert_array_equal(there.configuration.positions, expected)
    assert len(pairs) == 6


def test_hops_count_their_ways_back() -> None:
    rng = np.random.default_rng(7)
    ratios = set()
    for seed in range(40):
        there = layer_hop().propose(LAYER.start(seed), rng)
        ratios.add(round(there.log_ratio, 6))
    assert len(ratios) > 4
    assert min(ratios) < 0.0 < max(ratios)


def test_a_hop_keeps_the_displacement_and_crosses_the_boundary() -> None:
    """Four sites in a row, periodic and skewed; one atom, three vacancies."""
    cell = np.array([[12.0, 0.0, 0.0], [1.0, 9.0, 0.0], [0.5, 0.3, 9.0]])
    sites = np.array([[k / 4, 0.0, 0.0] for k in range(4)])
    off = np.array([0.2, -0.1, 0.3])
    one = Configuration([13], off[None] - cell[0], cell, [True] * 3, [27.0])
    hop = VacancyHop(sites, capture=1.0, reach=3.1)
    found = {}
    for seed in range(20):
        there = hop.propose(one, np.random.default_rng(seed))
        found[there.record["to_site"]] = there.configuration.positions[0] - one.positions[0]
        assert there.log_ratio == 0.0
    assert set(found) == {1, 3}
    np.testing.assert_allclose(found[1], [3.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(found[3], [-3.0, 0.0, 0.0], atol=1e-12)


def test_a_hop_without_a_way_back_is_vetoed() -> None:
    """Two atoms at one site: neither can come back to it while the other is there."""
    cell = 12.0 * np.eye(3)
    sites = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
    pair = Configuration([13, 13], [[0.5, 0, 0], [-0.5, 0, 0]], cell, [True] * 3, [27.0] * 2)
    proposed = VacancyHop(sites, capture=1.0).propose(pair, np.random.default_rng(1))
    assert proposed.veto == "the hop has no way back"
    full = pair.with_positions(np.array([[0.0, 0, 0], [6.0, 0, 0]]))
    proposed = VacancyHop(sites, capture=1.0).propose(full, np.random.default_rng(1))
    assert proposed.veto == "no atom has a vacancy to hop to"


def test_plain_words() -> None:
    pure = Configuration([13, 13], np.zeros((2, 3)), 9 * np.eye(3), [True] * 3, [27.0] * 2)
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match="no two unlike atoms"):
        Swap().propose(pure, rng)
    with pytest.raises(InputError, match="only \\(13, 79\\) may be swapped"):
        Swap((13, 79)).propose(CUBE.start(1), rng)
    with pytest.raises(InputError, match="could belong to both"):
        VacancyHop(np.array([[0.0, 0, 0], [0.1, 0, 0]]), capture=1.0).propose(pure, rng)
    with pytest.raises(InputError, match="need a cell"):
        layer_hop().propose(WELLS.start(1), rng)
    with pytest.raises(InputError, match="shape"):
        VacancyHop(np.zeros(3), capture=1.0)
    with pytest.raises(InputError, match="goes nowhere"):
        NestedChain(TRUTH, WELLS.ensemble, [], 3)
    with pytest.raises(InputError, match="has weights for hop"):
        Mixture({"swap": SWAP}, {"hop": 1.0})
    with pytest.raises(InputError, match="weight of 'swap' is -1"):
        Mixture({"swap": SWAP}, {"swap": -1.0})
    with pytest.raises(InputError, match="is none"):
        Displacement(0.0)
    assert Canonical(300.0).thermal_energy > 0.0
