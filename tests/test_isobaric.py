"""Constant pressure: exactly known ensembles in every kind of cell, with guides that are wrong.

Mutations tried by hand, with what then fails: see the commit that brought this file.
"""

from typing import Any

import numpy as np
import pytest

from cell_targets import (
    DYNAMICS,
    MASSES,
    N_ATOMS,
    PRESSURE,
    TEMPERATURE,
    CellGuide,
    CellReference,
    CellTarget,
    measured,
)
from hyperatom.analysis.statistics import estimate_mean
from hyperatom.configuration import Configuration
from hyperatom.dynamics.compiled_dynamics import at_rest
from hyperatom.errors import InputError
from hyperatom.sampling.cell_move import CellMove
from hyperatom.sampling.displacement import Displacement
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.isobaric import Isobaric
from hyperatom.sampling.metropolis import ChainState, metropolis
from hyperatom.sampling.mixture import Mixture
from hyperatom.units import BOLTZMANN, FEMTOSECOND

SEEDS = (1, 2, 3)
MOVES = ("isotropic", "orthorhombic", "triclinic")


def chain(
    target: CellTarget, proposal: Any, ensemble: Isobaric, seed: int, n: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Cells and energies of every state counted, and the acceptance."""
    rng = np.random.default_rng(seed)
    reference = CellReference(target.right)
    start = target.start(seed)
    state = ChainState(start, reference.evaluate(start))
    cells, energies, accepted = [], [], []
    for _ in range(n):
        proposed = proposal.propose(state.configuration, rng)
        state, transition = metropolis(state, proposed, reference, ensemble, rng)
        cells.append(state.configuration.cell)
        energies.append(state.evaluation.energy)
        accepted.append(transition.accepted)
    return np.array(cells[30:]), np.array(energies[30:]), float(np.mean(accepted))


def guided(target: CellTarget, ensemble: Isobaric, length: float = 24.0) -> GuidedTrajectory:
    return GuidedTrajectory(
        CellGuide(target.wrong), ensemble, 1.2, length, segments=2, check_every=10
    )


def deviations(series: list[np.ndarray], exact: float) -> np.ndarray:
    estimates = [estimate_mean(series, "", "exact")]
    estimates += [estimate_mean(one, "", "exact") for one in series]
    return np.array([(e.value - exact) / e.error for e in estimates])


def assert_exact(name: str, series: list[np.ndarray], exact: float) -> None:
    z = deviations(series, exact)
    assert abs(z[0]) < 3.0, f"{name}: {z.round(2)}"
    # A short chain knows its own error to a fifth at best.
    assert np.all(np.abs(z[1:]) < 4.0), f"{name}: {z.round(2)}"


@pytest.mark.parametrize("spring", [3.0, 0.0], ids=["crystal", "gas"])
@pytest.mark.parametrize("moves", MOVES)
def test_guided_trajectories_sample_the_cells_of_theory(moves: str, spring: float) -> None:
    target = CellTarget(moves, spring)
    ensemble = target.ensemble()
    runs = [chain(target, guided(target, ensemble), ensemble, seed, 450) for seed in SEEDS]
    acceptance = np.mean([run[2] for run in runs])
    assert 0.2 < acceptance < 0.97
    exact = target.moments(power=-2 if moves == "triclinic" else 0)
    found = [measured(cells) for cells, _, _ in runs]
    for name, value in exact.items():
        assert_exact(f"{moves} {name}", [one[name] for one in found], value)


@pytest.mark.parametrize("moves", MOVES)
def test_plain_moves_sample_the_same(moves: str) -> None:
    target = CellTarget(moves, 3.0)
    ensemble = target.ensemble()
    proposal = Mixture(
        {"cell": CellMove(moves, 0.06), "atoms": Displacement(0.06)}, {"cell": 0.6, "atoms": 0.4}
    )
    runs = [chain(target, proposal, ensemble, seed, 1800) for seed in SEEDS]
    exact = target.moments(power=-2 if moves == "triclinic" else 0)
    found = [measured(cells) for cells, _, _ in runs]
    for name, value in exact.items():
        assert_exact(f"{moves} {name}", [one[name] for one in found], value)


def test_measures_and_centre_of_mass_are_what_they_say() -> None:
    target = CellTarget("triclinic", 3.0)
    ensemble = target.ensemble(measure="flat", centre_of_mass="absolute")
    runs = [chain(target, guided(target, ensemble), ensemble, seed, 450) for seed in SEEDS]
    exact = target.moments(power=1)
    assert abs(exact["V"] / target.moments(power=-2)["V"] - 1.0) > 0.02
    found = [measured(cells) for cells, _, _ in runs]
    for name, value in exact.items():
        assert_exact(name, [one[name] for one in found], value)


def test_ideal_gas_has_its_volume() -> None:
    """<V> = N k_BT / P with resting centre of mass; the guide sees waves and a cell of its own."""
    target = CellTarget("isotropic", 0.0)
    free = (0.0, np.zeros((3, 3)), target.mean, 0.0)
    pressure = 0.1 * PRESSURE
    ensemble = Isobaric(TEMPERATURE, pressure, "isotropic", barostat_time=60.0)
    guide = CellGuide((0.0, 0.001 * np.ones((3, 3)), 1.9 * target.mean, 0.005))
    proposal = GuidedTrajectory(guide, ensemble, 5.0, 200.0, segments=2)
    series = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        reference = CellReference(free)
        start = target.start(seed)
        state = ChainState(start, reference.evaluate(start))
        volumes = []
        for _ in range(600):
            state, _ = metropolis(
                state, proposal.propose(state.configuration, rng), reference, ensemble, rng
            )
            volumes.append(state.configuration.volume)
        series.append(np.array(volumes[50:]))
    expected = N_ATOMS * BOLTZMANN * TEMPERATURE / pressure
    assert_exact("<V>", series, expected)
    assert_exact("<V^2>", [v**2 for v in series], expected**2 * (N_ATOMS + 1) / N_ATOMS)


def test_external_stress_pulls_one_axis() -> None:
    """Its work is part of the density: a Gaussian axis moves by what the work says."""
    stress = np.array([0.02, 0.0, 0.0, 0.0, 0.0, 0.0])
    target = CellTarget("orthorhombic", 3.0)
    ensemble = target.ensemble(home=target.mean, stress=stress)
    home, volume = np.diag(target.mean), np.prod(np.diag(target.mean))
    start = target.start(1)
    stretched = start.with_cell(start.positions, start.cell * np.array([1.1, 1.0, 1.0]))
    lengths = np.array([np.diag(c.cell) for c in (start, stretched)])
    strain = 0.5 * ((lengths[:, 0] / home[0]) ** 2 - 1.0)
    expected = PRESSURE * np.prod(lengths, axis=1) - volume * stress[0] * strain
    assert ensemble.work(stretched) - ensemble.work(start) == pytest.approx(np.diff(expected)[0])
    runs = [chain(target, guided(target, ensemble), ensemble, seed, 300) for seed in SEEDS]
    without = target.moments(power=0)["L_1"]
    assert np.mean([cells[:, 0, 0].mean() for cells, _, _ in runs]) > without + 0.1


def flow(target: CellTarget, ensemble: Isobaric, start: Configuration, momenta: Any, n: int) -> Any:
    dynamics = ensemble.dynamics(momenta, start)
    return DYNAMICS.run(
        target.wrong,
        at_rest(start.positions, momenta.atoms, start.cell, dynamics.variables),
        MASSES,
        1.5 * FEMTOSECOND,
        n,
        n,
        None,
        dynamics.integrator,
        dynamics.parameters,
    )


@pytest.mark.parametrize("moves", MOVES)
def test_trajectories_run_backwards_and_conserve_their_enthalpy(moves: str) -> None:
    target = CellTarget(moves, 3.0)
    ensemble = target.ensemble()
    rng = np.random.default_rng(3)
    start = target.start(1)
    momenta = ensemble.draw(start, rng)
    proposal = GuidedTrajectory(CellGuide(target.wrong), ensemble, 0.15, 30.0, spread=0.0)
    shape, _ = proposal.draw_shape(rng)
    there = proposal.follow(start, shape, [momenta])
    back = proposal.follow(there.end, shape, [there.ended[0].flipped()])
    assert abs(there.end.volume / start.volume - 1.0) > 0.01
    np.testing.assert_allclose(back.end.positions, start.positions, atol=1e-10)
    np.testing.assert_allclose(back.end.cell, start.cell, atol=1e-10)
    np.testing.assert_allclose(back.ended[0].cell, -momenta.cell, atol=1e-9)
    drifts = []
    for refinement in (1, 2):
        finer = GuidedTrajectory(
            CellGuide(target.wrong), ensemble, 0.6 / refinement, 30.0, spread=0.0
        )
        shape, _ = finer.draw_shape(rng)
        path = finer.follow(start, shape, [momenta])
        proposed = finer.judge_path(start, shape, path, exempt=True)
        drifts.append(proposed.record["guide_drift"])
    assert drifts[0] / drifts[1] == pytest.approx(4.0, rel=0.3)


@pytest.mark.parametrize("moves", MOVES)
def test_the_jacobian_is_the_one_of_the_docstring(moves: str) -> None:
    """det of d(r, p, h, p_g)' / d(r, p, h, p_g) by automatic differentiation of the flow."""
    target = CellTarget(moves, 3.0)
    ensemble = target.ensemble()
    start = target.start(1)
    momenta = ensemble.draw(start, np.random.default_rng(5))
    n_relative = 3 * N_ATOMS - 3
    weights = MASSES / MASSES.sum()
    # Bases of relative coordinates and of momenta that add up to nothing.
    basis = np.linalg.svd(weights[None])[2][1:]
    opposite = np.linalg.svd(np.ones((1, N_ATOMS)))[2][1:]
    centre = weights @ start.positions
    shapes = {
        "isotropic": [np.eye(3)],
        "orthorhombic": [np.diag(row) for row in np.eye(3)],
        "triclinic": [
            np.maximum(np.outer(a, b), np.outer(b, a))
            for i, a in enumerate(np.eye(3))
            for b in np.eye(3)[i:]
        ],
    }[moves]
    cells = {
        "isotropic": [start.cell],
        "orthorhombic": [np.diag(row) for row in np.eye(3)],
        "triclinic": [np.outer(a, b) for a in np.eye(3) for b in np.eye(3)],
    }[moves]

    def unpack(z: np.ndarray) -> tuple[Configuration, Any]:
        r, p, h, g = np.split(z, np.cumsum([n_relative, n_relative, len(cells)]))
        cell = start.cell + np.tensordot(h, cells, 1)
        if moves == "isotropic":
            # The coordinate is the volume.
            cell = start.cell * np.cbrt(1.0 + h[0] / start.volume)
        positions = start.positions + basis.T @ r.reshape(-1, 3)
        positions = positions - weights @ positions + centre
        atoms = momenta.atoms + opposite.T @ p.reshape(-1, 3)
        return (
            start.with_cell(positions, cell),
            type(momenta)(atoms, momenta.cell + np.tensordot(g, shapes, 1)),
        )

    def pack(path: Any) -> np.ndarray:
        if moves == "isotropic":
            h = [abs(np.linalg.det(path.cell))]
        elif moves == "orthorhombic":
            h = np.diag(path.cell)
        else:
            h = path.cell.ravel()
        g = np.asarray(path.variables)
        packed = [g[0, 0]] if moves == "isotropic" else [g[s != 0].mean() for s in shapes]
        return np.concatenate(
            [(basis @ path.positions).ravel(), (opposite @ path.momenta).ravel(), h, packed]
        )

    size = 2 * n_relative + len(cells) + len(shapes)
    matrix = np.empty((size, size))
    step = 1e-5
    for k in range(size):
        sides = []
        for sign in (1.0, -1.0):
            z = np.zeros(size)
            z[k] = sign * step
            sides.append(pack(flow(target, ensemble, *unpack(z), 4)))
        matrix[:, k] = (sides[0] - sides[1]) / (2.0 * step)
    end = flow(target, ensemble, start, momenta, 4)
    after = start.with_cell(end.positions, end.cell)
    assert abs(np.log(after.volume / start.volume)) > 0.003
    expected = ensemble.log_jacobian(start, after)
    assert np.linalg.slogdet(matrix)[1] == pytest.approx(expected, abs=3e-6)


def test_what_has_no_pressure_is_refused() -> None:
    isolated = Configuration(
        np.full(2, 18), np.array([[0.0, 0, 0], [3.0, 0, 0]]), np.zeros((3, 3)), np.zeros(3, bool),
        np.ones(2),
    )  # fmt: skip
    with pytest.raises(InputError, match="periodic in all three"):
        Isobaric(300.0, 0.0).check(isolated)
    with pytest.raises(InputError, match="changes its shape"):
        Isobaric(300.0, 0.0, stress=np.ones(6))
    one = Configuration([18], np.zeros((1, 3)), np.eye(3), np.ones(3, bool), np.ones(1))
    with pytest.raises(InputError, match="single atom"):
        Isobaric(300.0, 0.0).check(one)
