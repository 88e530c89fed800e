"""Constant pressure: exactly known ensembles in every kind of cell, with guides that are wrong.

Mutations tried by hand, with what then fails: see the history of this file.
"""

from itertools import product
from typing import Any

import numpy as np
import pytest

from cases_isobaric import (
    chain,
    guided,
    ideal_gas,
    nested_chains,
    other_measure,
    plain,
    rows_of_cells,
)
from cell_targets import (
    DYNAMICS,
    MASSES,
    N_ATOMS,
    PRESSURE,
    CellGuide,
    CellReference,
    CellTarget,
)
from exact_rows import SEEDS, Row, assert_all_within
from hyperatom.configuration import Configuration
from hyperatom.dynamics.compiled_dynamics import at_rest
from hyperatom.errors import InputError
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.isobaric import Isobaric
from hyperatom.units import FEMTOSECOND

MOVES = ("isotropic", "orthorhombic", "triclinic")


def assert_exact(rows: list[Row]) -> None:
    """All seeds within 3 errors; a short chain knows its own error to a fifth at best."""
    together = [row for row in rows if " of " not in row.name]
    assert_all_within(together, 3.0)
    assert_all_within(rows, 4.0)


def cells_and_springs() -> list[Any]:
    """Every kind of cell with springs and without; `make test` takes one of each."""
    short = {("isotropic", 0.0), ("triclinic", 3.0)}
    return [
        pytest.param(*one, marks=() if one in short else pytest.mark.slow)
        for one in product(MOVES, (3.0, 0.0))
    ]


@pytest.mark.parametrize(("moves", "spring"), cells_and_springs())
def test_guided_trajectories_sample_the_cells_of_theory(moves: str, spring: float) -> None:
    target = CellTarget(moves, spring)
    ensemble = target.ensemble()
    power = -2 if moves == "triclinic" else 0
    proposal = guided(target, ensemble)
    rows, acceptance = rows_of_cells(target, proposal, ensemble, power, SEEDS, 450)
    assert 0.2 < acceptance < 0.97
    assert_exact(rows)


@pytest.mark.parametrize("moves", MOVES)
def test_plain_moves_sample_the_same(moves: str) -> None:
    target = CellTarget(moves, 3.0)
    power = -2 if moves == "triclinic" else 0
    assert_exact(rows_of_cells(target, plain(moves), target.ensemble(), power, SEEDS, 1800)[0])


def test_plain_moves_of_a_gas_show_a_wrong_power_of_the_volume() -> None:
    """Long enough that one power of V more or less in the log ratio is five errors off."""
    target, proposal = CellTarget("isotropic", 0.0), plain("isotropic", 0.12)
    assert_exact(rows_of_cells(target, proposal, target.ensemble(), 0, SEEDS, 9000)[0])


@pytest.mark.slow
def test_nested_chains_at_another_temperature_and_pressure() -> None:
    assert_exact(nested_chains(0.8, SEEDS))


def test_measures_and_centre_of_mass_are_what_they_say() -> None:
    target = CellTarget("triclinic", 3.0)
    assert abs(target.moments(power=1)["V"] / target.moments(power=-2)["V"] - 1.0) > 0.02
    assert_exact(other_measure(1.0, SEEDS))


@pytest.mark.slow
def test_ideal_gas_has_its_volume() -> None:
    assert_exact(ideal_gas(1.0, SEEDS))


@pytest.mark.slow
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
    proposal, reference = guided(target, ensemble), CellReference(target.right)
    cells = chain(reference, proposal, ensemble, target.start(1), 1, 600)[0]
    assert cells[:, 0, 0].mean() > target.moments(power=0)["L_1"] + 0.1


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
