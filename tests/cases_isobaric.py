"""Constant pressure in three kinds of cells: exactly known, with guides that are wrong."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from cell_targets import (
    N_ATOMS,
    PRESSURE,
    TEMPERATURE,
    CellGuide,
    CellReference,
    CellTarget,
    measured,
)
from exact_rows import Row, case, rows_of
from hyperatom.analysis.statistics import estimate_mean
from hyperatom.configuration import Configuration
from hyperatom.geometry.cell_moves import CellMoves
from hyperatom.potentials.classical.lennard_jones import lennard_jones
from hyperatom.sampling.cell_move import CellMove
from hyperatom.sampling.displacement import Displacement
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.isobaric import Isobaric
from hyperatom.sampling.metropolis import ChainState, metropolis
from hyperatom.sampling.mixture import Mixture
from hyperatom.sampling.nested_chain import NestedChain
from hyperatom.units import BOLTZMANN

BURN_IN = 30


def chain(
    reference: Any, proposal: Any, ensemble: Isobaric, start: Configuration, seed: int, n: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Cells and energies of every state counted, and the acceptance."""
    rng = np.random.default_rng(seed)
    state = ChainState(start, reference.evaluate(start))
    cells, energies, accepted = [], [], []
    for _ in range(n):
        proposed = proposal.propose(state.configuration, rng)
        state, transition = metropolis(state, proposed, reference, ensemble, rng)
        cells.append(state.configuration.cell)
        energies.append(state.evaluation.energy)
        accepted.append(transition.accepted)
    return np.array(cells[BURN_IN:]), np.array(energies[BURN_IN:]), float(np.mean(accepted))


def guided(target: CellTarget, ensemble: Isobaric, length: float = 24.0) -> GuidedTrajectory:
    return GuidedTrajectory(
        CellGuide(target.wrong), ensemble, 1.2, length, segments=2, check_every=10
    )


def plain(moves: CellMoves, width: float = 0.06) -> Mixture:
    """Moves of the cell and of atoms, without any guide."""
    return Mixture(
        {"cell": CellMove(moves, width), "atoms": Displacement(0.06)}, {"cell": 0.6, "atoms": 0.4}
    )


def nested(target: CellTarget, ensemble: Isobaric) -> NestedChain:
    """A chain on the wrong guide at a temperature and a pressure of its own."""
    within = target.ensemble(temperature=1.2 * TEMPERATURE, pressure=0.9 * PRESSURE)
    path = GuidedTrajectory(CellGuide(target.wrong), within, 1.2, 24.0, segments=1, check_every=10)
    return NestedChain(path.guide, within, [path], rounds=3)


def rows_of_cells(
    target: CellTarget,
    proposal: Any,
    ensemble: Isobaric,
    power: int,
    seeds: Sequence[int],
    n_samples: int,
) -> tuple[list[Row], float]:
    """Volume and edges against quadrature, and the acceptance."""
    reference = CellReference(target.right)
    runs = [
        chain(reference, proposal, ensemble, target.start(seed), seed, n_samples) for seed in seeds
    ]
    found = [measured(cells) for cells, _, _ in runs]
    rows = [
        row
        for name, exact in target.moments(power).items()
        for row in rows_of(name, [one[name] for one in found], exact)
    ]
    return rows, float(np.mean([run[2] for run in runs]))


def _guided_case(moves: CellMoves, spring: float, effort: float, seeds: Sequence[int]) -> list[Row]:
    target = CellTarget(moves, spring)
    ensemble = target.ensemble()
    power = -2 if moves == "triclinic" else 0
    proposal = guided(target, ensemble)
    return rows_of_cells(target, proposal, ensemble, power, seeds, int(450 * effort))[0]


for _moves in ("isotropic", "orthorhombic", "triclinic"):
    for _name, _spring in (("crystal", 3.0), ("gas", 0.0)):
        case(f"isobaric {_name}, {_moves} cell, guided trajectories")(
            partial(_guided_case, _moves, _spring)
        )


@case("isobaric crystal, triclinic cell, plain moves")
def plain_moves(effort: float, seeds: Sequence[int]) -> list[Row]:
    target = CellTarget("triclinic", 3.0)
    proposal = plain("triclinic")
    return rows_of_cells(target, proposal, target.ensemble(), -2, seeds, int(1800 * effort))[0]


@case("isobaric crystal, triclinic cell, nested chain at another temperature and pressure")
def nested_chains(effort: float, seeds: Sequence[int]) -> list[Row]:
    target = CellTarget("triclinic", 3.0)
    proposal = nested(target, target.ensemble())
    return rows_of_cells(target, proposal, target.ensemble(), -2, seeds, int(300 * effort))[0]


@case("isobaric crystal, flat measure of triclinic cells and V^N")
def other_measure(effort: float, seeds: Sequence[int]) -> list[Row]:
    target = CellTarget("triclinic", 3.0)
    ensemble = target.ensemble(measure="flat", centre_of_mass="absolute")
    proposal = guided(target, ensemble)
    return rows_of_cells(target, proposal, ensemble, 1, seeds, int(450 * effort))[0]


@case("isobaric ideal gas, isotropic cell")
def ideal_gas(effort: float, seeds: Sequence[int]) -> list[Row]:
    """<V> = N k_BT / P with resting centre of mass; the guide sees waves and a cell of its own."""
    target = CellTarget("isotropic", 0.0)
    pressure = 0.1 * PRESSURE
    ensemble = Isobaric(TEMPERATURE, pressure, "isotropic", barostat_time=60.0)
    guide = CellGuide((0.0, 0.001 * np.ones((3, 3)), 1.9 * target.mean, 0.005))
    proposal = GuidedTrajectory(guide, ensemble, 5.0, 200.0, segments=2)
    reference = CellReference((0.0, np.zeros((3, 3)), target.mean, 0.0))
    volumes = []
    for seed in seeds:
        start = target.start(seed)
        cells, _, _ = chain(reference, proposal, ensemble, start, seed, int(600 * effort))
        volumes.append(np.abs(np.linalg.det(cells)))
    mean = N_ATOMS * BOLTZMANN * TEMPERATURE / pressure
    return [
        *rows_of("V", volumes, mean),
        *rows_of("V^2", [v**2 for v in volumes], mean**2 * (N_ATOMS + 1) / N_ATOMS),
    ]


def argon(strength: float, size: float) -> Any:
    """Lennard-Jones argon, cut smoothly; 1 and 1 are right."""
    return lennard_jones((18,), strength * 0.0104, size * 3.4, 7.5)


def fluid() -> Configuration:
    """27 atoms on a lattice, thinner than twice the cutoff."""
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3) * 4.0
    jitter = 0.2 * np.random.default_rng(4).standard_normal(grid.shape)
    return Configuration(
        np.full(27, 18), grid + jitter, 12.0 * np.eye(3), np.ones(3, bool), np.full(27, 39.948)
    )


@case("Lennard-Jones fluid: guided trajectories against plain Monte Carlo")
def lennard_jones_fluid(effort: float, seeds: Sequence[int]) -> list[Row]:
    """Argon at 150 K and 60 MPa; `exact` is what plain Monte Carlo found, its error included."""
    ensemble = Isobaric(150.0, 0.06 * 0.006241509, "isotropic", barostat_time=400.0)
    truth, start = argon(1.0, 1.0), fluid()
    path = GuidedTrajectory(argon(0.85, 1.01), ensemble, 8.0, 800.0, segments=2, check_every=50)
    moves = {"cell": CellMove("isotropic", 0.02), "atoms": Displacement(0.15, None)}
    ours, theirs = [], []
    for seed in seeds:
        one = chain(truth, path, ensemble, start, seed, int(120 * effort))
        other = chain(
            truth, Mixture(moves, {"cell": 0.3, "atoms": 0.7}), ensemble, start, 50 + seed,
            int(3000 * effort),
        )  # fmt: skip
        ours.append(one[:2])
        theirs.append((other[0][200:], other[1][200:]))
    rows = []
    for name, of in (
        ("V", lambda run: np.abs(np.linalg.det(run[0]))),
        ("U", lambda run: run[1]),
    ):
        one = estimate_mean([of(run) for run in ours], "", "exact")
        other = estimate_mean([of(run) for run in theirs], "", "exact")
        rows.append(Row(name, other.value, one.value, float(np.hypot(one.error, other.error))))
    return rows
