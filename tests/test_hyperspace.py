"""Lifting to six dimensions: sites, noise, planted phason flips, perpendicular space, nulls."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from hyperatom.analysis.hyperspace.assignment import assign
from hyperatom.analysis.hyperspace.candidate_sites import CandidateSites, candidate_sites
from hyperatom.analysis.hyperspace.density_map import density_map, ghost_overlay
from hyperatom.analysis.hyperspace.lifting import Lifter, LiftingRule
from hyperatom.analysis.hyperspace.null_tests import null_test
from hyperatom.analysis.hyperspace.perpendicular import (
    ghost_occupation,
    perpendicular_displacement,
    shell_occupation,
)
from hyperatom.analysis.hyperspace.phason_jumps import find_jumps
from hyperatom.analysis.hyperspace.time_average import time_average
from hyperatom.errors import InputError
from hyperatom.geometry.icosahedral import PERPENDICULAR
from hyperatom.structures.quasicrystal.approximants import Approximant
from hyperatom.structures.quasicrystal.contacts import close_pairs
from hyperatom.structures.quasicrystal.katz_gratias import EMPTY_BODY_CENTRES, katz_gratias

NOISE = 0.3 / 3.0**0.5
"""Å along each axis: displacements of 0.3 Å rms."""


@pytest.fixture(scope="module")
def large() -> tuple[Approximant, CandidateSites]:
    approximant = katz_gratias(3, 2, 6.45)
    return approximant, candidate_sites(approximant.cut)


@pytest.fixture(scope="module")
def small() -> tuple[Approximant, CandidateSites]:
    approximant = katz_gratias(2, 1, 6.42)
    return approximant, candidate_sites(approximant.cut)


def free_flips(
    approximant: Approximant, candidates: CandidateSites, longest: float
) -> list[tuple[int, int, np.ndarray]]:
    """Atoms, ghost sites nearby at which no other atom is in the way, and the cells of these."""
    positions = approximant.configuration.positions
    numbers, cells, lengths = candidates.nearest(positions, 1.9, 16)
    tree = replace_sites(candidates, np.flatnonzero(candidates.occupied))
    found = []
    for atom, slot in zip(
        *np.nonzero((numbers >= 0) & (lengths > 0.9) & (lengths < longest)), strict=True
    ):
        site = numbers[atom, slot]
        if not candidates.occupied[site]:
            place = candidates.sites.parallel[site] + cells[atom, slot] @ candidates.cut.cell
            around, _, gaps = tree.nearest(place[None], 1.95, 8)
            if (around[0] >= 0).sum() == 1 and gaps[0, 0] < longest:
                found.append((int(atom), int(site), place))
    return found


def replace_sites(candidates: CandidateSites, chosen: np.ndarray) -> CandidateSites:
    return replace(
        candidates,
        sites=candidates.sites.chosen(chosen),
        distance=candidates.distance[chosen],
    )


@pytest.mark.parametrize(("p", "q", "constant"), [(1, 1, 6.36), (2, 1, 6.42), (3, 2, 6.45)])
def test_every_atom_lifts_back_to_its_site(p: int, q: int, constant: float) -> None:
    approximant = katz_gratias(p, q, constant)
    candidates = candidate_sites(approximant.cut)
    assert candidates.occupied.sum() == approximant.n_atoms
    lifted = Lifter(candidates).lift([approximant.configuration.positions])
    np.testing.assert_array_equal(lifted.indices(0), approximant.indices)
    np.testing.assert_allclose(lifted.perpendicular(0), approximant.perpendicular, atol=1e-8)
    assert lifted.residual[0] < 1e-8


def test_atoms_of_other_cells_lift_to_the_sites_there(
    small: tuple[Approximant, CandidateSites],
) -> None:
    approximant, candidates = small
    cells = np.random.default_rng(0).integers(-3, 4, (approximant.n_atoms, 3))
    moved = approximant.configuration.positions + cells @ approximant.cut.cell
    lifted = Lifter(candidates).lift([moved])
    expected = approximant.indices + cells @ approximant.periods.T
    np.testing.assert_array_equal(lifted.indices(0), expected)


def test_noise_of_three_tenths_of_an_angstrom(large: tuple[Approximant, CandidateSites]) -> None:
    """Each frame by itself, without history: at least 99.9 %; with history better still."""
    approximant, candidates = large
    lifter = Lifter(candidates)
    rng = np.random.default_rng(1)
    positions = approximant.configuration.positions
    frames = [positions + rng.normal(0.0, NOISE, positions.shape) for _ in range(15)]
    assert np.mean([((f - positions) ** 2).sum(axis=1).mean() for f in frames]) ** 0.5 > 0.299
    alone = [
        (lifter.lift([f]).indices(0) == approximant.indices).all(axis=1).mean() for f in frames
    ]
    assert np.mean(alone) >= 0.999
    lifted = lifter.lift([positions, *frames])
    right = [
        (lifted.indices(k) == approximant.indices).all(axis=1).mean()
        for k in range(1, lifted.n_frames)
    ]
    assert np.mean(right) >= 0.9998
    assert lifted.residual[1:] == pytest.approx(0.3, abs=0.01)


def test_averages_over_time_lift_where_single_frames_do_not(
    large: tuple[Approximant, CandidateSites],
) -> None:
    """Vibrations of 0.7 Å rms in a wrapped trajectory that starts 0.38 Å off its place."""
    approximant, candidates = large
    lifter, cell = Lifter(candidates), approximant.cut.cell
    rng = np.random.default_rng(8)
    start = approximant.configuration.positions + np.array([0.25, 0.2, -0.2])
    frames = [start + rng.normal(0.0, 0.4, start.shape) for _ in range(24)]
    wrapped = [f - np.floor(f @ np.linalg.inv(cell)) @ cell for f in frames]
    single = lifter.lift(frames[:1])
    assert (single.indices(0) == approximant.indices).all(axis=1).mean() < 0.99
    means = list(time_average(wrapped, cell, 12))
    assert len(means) == 2
    homes = np.rint((means[0] - start) @ np.linalg.inv(cell)).astype(int)
    lifted = lifter.lift(means)
    for k in range(2):
        expected = approximant.indices + homes @ approximant.periods.T
        assert (lifted.indices(k) == expected).all(axis=1).mean() >= 0.999
    with pytest.raises(InputError, match="at least one"):
        list(time_average(frames, cell, 0))


def test_planted_flips_are_found(large: tuple[Approximant, CandidateSites]) -> None:
    """120 atoms jump to free ghost sites 1.0 to 1.9 Å away amid noise of 0.3 Å rms."""
    approximant, candidates = large
    rng = np.random.default_rng(7)
    flips = free_flips(approximant, candidates, 1.9)
    rng.shuffle(flips)
    planted: dict[int, tuple[int, int, np.ndarray]] = {}
    used: set[int] = set()
    blocked: list[np.ndarray] = []
    for atom, site, place in flips:
        apart = all(np.linalg.norm(place - other) > 4.0 for other in blocked)
        if len(planted) < 120 and atom not in planted and site not in used and apart:
            planted[atom] = (int(rng.integers(6, 34)), site, place)
            used.add(site)
            blocked.append(place)
    assert len(planted) > 60
    frames = []
    for k in range(40):
        frame = np.array(approximant.configuration.positions)
        for atom, (when, _, place) in planted.items():
            if k >= when:
                frame[atom] = place
        frames.append(frame + rng.normal(0.0, NOISE, frame.shape) * (k > 0))
    jumps = find_jumps(Lifter(candidates).lift(frames), 0.1)
    truth = {(atom, site) for atom, (_, site, _) in planted.items()}
    found = set(zip(jumps.atom.tolist(), jumps.sites[:, 1].tolist(), strict=True))
    assert len(truth & found) / len(truth) >= 0.99
    assert len(truth & found) / len(jumps) >= 0.99
    late = [abs(int(f) - planted[a][0]) for a, f in zip(jumps.atom, jumps.frame, strict=True)]
    assert np.mean(late) < 0.2
    assert jumps.fraction_hyperatomic() == 1.0
    lengths = np.linalg.norm(jumps.parallel, axis=1)
    steps = np.linalg.norm(jumps.vector @ PERPENDICULAR.T, axis=1)
    assert (lengths < 2.0).all()
    assert (steps > 1.0).all()


def test_rates_have_poisson_errors(small: tuple[Approximant, CandidateSites]) -> None:
    approximant, candidates = small
    atom, site, place = free_flips(approximant, candidates, 1.9)[0]
    frames = []
    for k in range(101):
        frame = np.array(approximant.configuration.positions)
        if (k // 10) % 2:
            frame[atom] = place
        frames.append(frame)
    lifted = Lifter(candidates).lift(frames)
    jumps = find_jumps(lifted, 0.2)
    assert len(jumps) == 10
    rate, error = jumps.rate()
    assert rate == pytest.approx(10.0 / (519 * 20.0))
    assert error == pytest.approx(rate / 10.0**0.5)
    assert sum(r.count for r in jumps.rates()) == 10
    assert {r.length for r in jumps.rates()} == {
        round(float(np.linalg.norm(place - approximant.configuration.positions[atom])), 2)
    }
    quiet = find_jumps(Lifter(candidates).lift(frames[:5]), 0.2)
    assert quiet.rate() == (0.0, pytest.approx(1.14 / (519 * 0.8)))
    # An atom that comes and goes within two frames has not jumped.
    brief = [frames[0]] * 5 + [frames[10]] * 2 + [frames[0]] * 5
    assert len(find_jumps(Lifter(candidates).lift(brief), 0.2)) == 0
    assert len(find_jumps(Lifter(candidates).lift(brief), 0.2, dwell=2)) == 2
    # Half of the time on a ghost site, whose own is then empty.
    ghosts = ghost_occupation(lifted)
    assert sum(ghosts.ghosts.values()) == pytest.approx(50.0 / 101.0)
    assert sum(ghosts.vacancies.values()) == pytest.approx(50.0 / 101.0)
    assert ghosts.ever_occupied == 1
    assert ghosts.interstitials == 0.0
    moved = perpendicular_displacement(lifted, 0.2)
    across = candidates.sites.perpendicular[site] - approximant.perpendicular[atom]
    assert moved.bounded
    assert moved.msd.max() <= (across**2).sum() / 519.0 * (1.0 + 1e-9)
    assert moved.msd.max() < 0.02 * moved.ceiling


def test_a_vacancy_jump_is_not_hyperatomic(small: tuple[Approximant, CandidateSites]) -> None:
    approximant, candidates = small
    positions = np.array(approximant.configuration.positions)
    pairs, lengths = close_pairs(approximant.sites, approximant.cut.cell, 2.7)
    gone, mover = pairs[lengths.argmin()]
    kept = np.delete(np.arange(len(positions)), gone)
    before = positions[kept]
    after = before.copy()
    cell = approximant.cut.cell
    step = positions[gone] - positions[mover]
    step -= np.rint(step @ np.linalg.inv(cell)) @ cell
    after[np.flatnonzero(kept == mover)[0]] += step
    jumps = find_jumps(Lifter(candidates).lift([before] * 4 + [after] * 4), 0.1)
    assert len(jumps) == 1
    assert np.linalg.norm(jumps.parallel[0]) == pytest.approx(lengths.min(), abs=1e-6)
    assert jumps.fraction_hyperatomic() == 0.0
    assert jumps.fraction_hyperatomic(longest=3.0) == 1.0


def test_wandering_atoms_are_not_bounded(small: tuple[Approximant, CandidateSites]) -> None:
    """Random walks along a row of sites: the displacement grows in proportion to time."""
    _, candidates = small
    lifted = Lifter(candidates).lift([candidates.sites.parallel[candidates.occupied]] * 2)
    rng = np.random.default_rng(4)
    n_sites = len(candidates.sites)
    start = rng.integers(300, n_sites - 300, lifted.n_atoms)
    walk = start + np.cumsum(rng.integers(-2, 3, (200, lifted.n_atoms)), axis=0)
    no_cells = np.zeros((200, lifted.n_atoms, 3), dtype=np.int16)
    walked = replace(lifted, site=walk.astype(np.int32), image=no_cells)
    row = np.outer(np.arange(n_sites), [0.01, 0.0, 0.0])
    line = replace(candidates, sites=replace(candidates.sites, perpendicular=row))
    moved = perpendicular_displacement(replace(walked, candidates=line), 0.1)
    assert moved.bounded is False
    assert moved.exponent == pytest.approx(1.0, abs=0.05)
    steps = moved.time / 0.1
    np.testing.assert_allclose(moved.msd, 2.0 * steps * 1e-4, rtol=0.1)


def test_shells_of_the_window_are_full_and_those_outside_empty(
    large: tuple[Approximant, CandidateSites],
) -> None:
    approximant, candidates = large
    lifted = Lifter(candidates).lift([approximant.configuration.positions])
    shells = {s.name: s for s in shell_occupation(lifted)}
    assert set(shells) == {"n", "n'", "bc"}
    edge = candidates.cut.crystal.edge
    for shell, inner in ((shells["n"], 2.2), (shells["n'"], 1.6)):
        np.testing.assert_array_equal(shell.occupation, shell.ideal)
        middle = shell.radius < (inner - 0.1) * edge
        assert (shell.occupation[middle & (shell.sites > 0)] == 1.0).all()
        assert (shell.occupation[shell.radius > 2.7 * edge] == 0.0).all()
    assert sum(s.sites.sum() for s in shells.values()) == len(candidates.sites)


def test_drift_and_wrapping_are_no_jumps(small: tuple[Approximant, CandidateSites]) -> None:
    approximant, candidates = small
    cell = approximant.cut.cell
    positions = approximant.configuration.positions
    path = [positions + 0.08 * k * np.array([1.0, -0.6, 0.3]) for k in range(120)]
    wrapped = [p - np.floor(p @ np.linalg.inv(cell)) @ cell for p in path]
    for frames in (path, wrapped):
        lifted = Lifter(candidates).lift(frames)
        assert len(find_jumps(lifted, 0.1)) == 0
        assert lifted.residual.max() < 1e-6
        np.testing.assert_allclose(lifted.drift[-1], 0.08 * 119 * np.array([1.0, -0.6, 0.3]))
    scaled = [1.02 * positions] * 2
    lifted = Lifter(candidates).lift(scaled, cells=[1.02 * cell] * 2)
    np.testing.assert_array_equal(lifted.indices(1), approximant.indices)


def test_hysteresis_keeps_an_atom_between_two_sites(
    small: tuple[Approximant, CandidateSites],
) -> None:
    approximant, candidates = small
    atom, _, place = min(
        free_flips(approximant, candidates, 1.9), key=lambda f: float(candidates.distance[f[1]])
    )
    start = np.array(approximant.configuration.positions)
    frames = [start]
    for k in range(40):
        frame = start.copy()
        frame[atom] = start[atom] + (0.5 + 0.02 * (-1) ** k) * (place - start[atom])
        frames.append(frame)
    sticky, thorough = (Lifter(candidates, LiftingRule(kappa=0.0, reach=1.0)) for _ in range(2))
    thorough._safe = np.zeros_like(thorough._safe)
    for lifter in (sticky, thorough):
        site = lifter.lift(frames).site[:, atom]
        assert (site == site[0]).all()
    loose = Lifter(candidates, LiftingRule(bonus=0.0, kappa=0.0, reach=1.0)).lift(frames)
    assert (np.diff(loose.site[:, atom]) != 0).sum() > 30


def test_no_two_atoms_share_a_site(small: tuple[Approximant, CandidateSites]) -> None:
    """Amid noise of 0.9 Å rms, by which atoms come nearer to the sites of others."""
    approximant, candidates = small
    rng = np.random.default_rng(12)
    positions = approximant.configuration.positions
    frames = [positions + rng.normal(0.0, 0.52, positions.shape) for _ in range(20)]
    lifted = Lifter(candidates).lift([positions, *frames])
    for site in lifted.site:
        there = site[site >= 0]
        assert len(np.unique(there)) == len(there)
    alone = Lifter(candidates).lift(frames[:1]).site[0]
    assert len(np.unique(alone[alone >= 0])) == (alone >= 0).sum()


def test_leaving_settled_atoms_alone_changes_nothing(
    small: tuple[Approximant, CandidateSites],
) -> None:
    approximant, candidates = small
    rng = np.random.default_rng(13)
    positions = approximant.configuration.positions
    frames = [positions + rng.normal(0.0, NOISE, positions.shape) for _ in range(30)]
    quick, thorough = Lifter(candidates), Lifter(candidates)
    thorough._safe = np.zeros_like(thorough._safe)
    first, second = quick.lift([positions, *frames]), thorough.lift([positions, *frames])
    np.testing.assert_array_equal(first.site, second.site)
    np.testing.assert_array_equal(first.image, second.image)


def test_assignment_is_the_cheapest_of_all() -> None:
    rng = np.random.default_rng(2)
    for _ in range(60):
        candidates = np.array([rng.permutation(6)[:3] for _ in range(4)])
        candidates[rng.random((4, 3)) < 0.15] = -1
        costs = np.where(candidates >= 0, rng.random((4, 3)), np.inf)
        table = np.full((4, 10), np.inf)
        for a in range(4):
            table[a, 6 + a] = 0.9
            for s, c in zip(candidates[a], costs[a], strict=True):
                if s >= 0:
                    table[a, s] = c
        best = min(sum(table[a, s] for a, s in enumerate(p)) for p in permutations(range(10), 4))
        choice = assign(candidates, costs, 0.9)
        sites = [int(candidates[a, c]) for a, c in enumerate(choice) if c >= 0]
        assert len(sites) == len(set(sites))
        total = sum(0.9 if c < 0 else costs[a, c] for a, c in enumerate(choice))
        assert total == pytest.approx(best)


def test_other_body_centres_are_candidates_without_atoms(
    small: tuple[Approximant, CandidateSites],
) -> None:
    approximant, candidates = small
    more = candidate_sites(approximant.cut, ghosts=(EMPTY_BODY_CENTRES,))
    assert more.names == ("n", "n'", "bc", EMPTY_BODY_CENTRES.name)
    assert len(more.sites) > len(candidates.sites)
    extra = more.sites.indices[more.sites.kinds == 3]
    assert (extra % 2 != 0).all()
    assert (extra.sum(axis=1) % 4 == 2).all()
    lifted = Lifter(more).lift([approximant.configuration.positions])
    np.testing.assert_array_equal(lifted.indices(0), approximant.indices)


def test_density_map_and_its_cube_file(
    small: tuple[Approximant, CandidateSites], tmp_path: Path
) -> None:
    approximant, candidates = small
    cell = approximant.cut.cell
    positions = approximant.configuration.positions
    found = density_map([positions + 1e-6, positions + cell[0] + 1e-6], cell, 0.4)
    voxel = approximant.configuration.volume / found.density.size
    assert found.density.sum() * voxel == pytest.approx(519.0)
    overlay = ghost_overlay(found, candidates)
    assert overlay[candidates.occupied].mean() > 50.0
    assert overlay[~candidates.occupied].mean() < 5.0
    ghosts = candidates.sites.parallel[~candidates.occupied][:5]
    path = tmp_path / "density.cube"
    found.write_cube(path, ghosts, np.full(5, 2))
    atoms = read(path, format="cube")
    np.testing.assert_allclose(atoms.cell.array, cell, atol=1e-3)
    np.testing.assert_allclose(atoms.positions, ghosts, atol=1e-5)
    from ase.io.cube import read_cube_data

    data, _ = read_cube_data(str(path))
    assert data.shape == found.density.shape
    assert data.max() == pytest.approx(found.density.max() * 0.529177**3, rel=1e-4)


def test_null_tests_tell_an_approximant_from_what_is_none(
    large: tuple[Approximant, CandidateSites],
) -> None:
    """Random points, fcc aluminium stretched to the cell, the approximant moved off its place."""
    approximant, candidates = large
    rng = np.random.default_rng(9)
    positions = approximant.configuration.positions
    cell = approximant.cut.cell
    real = null_test(candidates, positions + rng.normal(0.0, 0.1, positions.shape), draws=6)
    assert real.passed
    assert real.score.inside > 0.99
    assert real.random.inside < 0.1
    random = null_test(candidates, rng.random((2288, 3)) @ cell, draws=6)
    assert not random.passed
    assert abs(random.inside) < 5.0
    grid = np.stack(np.meshgrid(*[np.arange(8)] * 3), axis=-1).reshape(-1, 1, 3)
    motif = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]])
    crystal = ((grid + motif) / 8.0).reshape(-1, 3) @ cell + [0.3, 0.7, 1.1]
    periodic = null_test(candidates, crystal, draws=6)
    assert not periodic.passed
    assert periodic.score.inside < 0.2
    shifted = null_test(candidates, positions + np.array([1.3, 0.4, 0.9]), draws=6)
    assert not shifted.passed


def test_trajectories_that_cannot_be_lifted(small: tuple[Approximant, CandidateSites]) -> None:
    approximant, candidates = small
    positions = approximant.configuration.positions
    lifter = Lifter(candidates)
    with pytest.raises(InputError, match=r"cell .* is not that of the approximant"):
        lifter.lift([positions], cells=[np.diag([12.38, 12.38, 12.38])])
    with pytest.raises(InputError, match="has 518 atoms, the one before 519"):
        lifter.lift([positions, positions[1:]])
    with pytest.raises(InputError, match=r"Frame 1 .* no numbers"):
        lifter.lift([positions, positions * np.nan])
    with pytest.raises(InputError, match="no frames"):
        lifter.lift([])
    with pytest.raises(InputError, match="lose occupied sites"):
        candidate_sites(approximant.cut, dilation=0.9)
    lifted = lifter.lift([positions] * 5)
    with pytest.raises(InputError, match="impossible"):
        find_jumps(lifted, 0.0)
    with pytest.raises(InputError, match="do not fit"):
        perpendicular_displacement(lifted, 0.1, lags=[9])
    with pytest.raises(InputError, match="too few"):
        perpendicular_displacement(lifter.lift([positions]), 0.1)
