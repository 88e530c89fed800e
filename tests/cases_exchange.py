"""Replica exchange and ladders from guide to reference: exact averages at every rung."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.integrate import quad

from cases_composite import Formula
from exact_rows import Row, case, rows_of
from hyperatom.configuration import Configuration
from hyperatom.contracts import Ensemble, Proposed
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.guide_ladder import Between
from hyperatom.sampling.metropolis import ChainState
from hyperatom.sampling.replica_exchange import Exchange, ReplicaExchange, Round, Rung
from targets import isolated

UNIT = Canonical(300.0).thermal_energy
"""k_BT at 300 K, eV."""


@dataclass(frozen=True)
class Along:
    """x of the only atom moves by up to `step` Å."""

    step: float

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        positions = configuration.positions.copy()
        positions[0, 0] += rng.uniform(-self.step, self.step)
        return Proposed(configuration.with_positions(positions), 0.0)


def deep_well(x: float) -> float:
    """Two wells at -1 and 1 Å, six k_BT (300 K) deep, the left one favoured; eV."""
    return UNIT * (6.0 * (x * x - 1.0) ** 2 + 0.7 * x)


def shallow_well(x: float) -> float:
    """A guide that sees a low barrier, in the wrong place, and favours the wrong well; eV."""
    return UNIT * (1.5 * (x * x - 1.2) ** 2 - 0.2 * x)


def of_one_atom(energy: object) -> Formula:
    """An atom of which only x matters."""

    def total(configuration: Configuration) -> float:
        return float(energy(float(configuration.positions[0, 0])))  # type: ignore[operator]

    return Formula(total)


DEEP, SHALLOW = of_one_atom(deep_well), of_one_atom(shallow_well)


@cache
def moment(power: int, temperature: float, share: float = 1.0) -> float:
    thermal_energy = Canonical(temperature).thermal_energy

    def weight(x: float) -> float:
        energy = share * deep_well(x) + (1.0 - share) * shallow_well(x)
        return float(np.exp(-energy / thermal_energy))

    above = quad(lambda x: x**power * weight(x), -4.0, 4.0, limit=200)[0]
    return float(above / quad(weight, -4.0, 4.0, limit=200)[0])


def random_numbers(seed: int, number: int):  # type: ignore[no-untyped-def]
    return lambda rung: np.random.default_rng([seed, rung, number])


def run_ladder(
    ladder: ReplicaExchange, seed: int, n_rounds: int, exchanging: bool = True
) -> tuple[np.ndarray, list[list[Exchange]], list[Round]]:
    """x of every rung, (n_rounds, n_rungs); all begin in the right-hand well."""
    start = isolated([[1.0, 0.0, 0.0]], [1.0])
    state = ChainState(start, ladder.reference.evaluate(start))
    states = [state] * len(ladder.rungs)
    x, rounds = [], []
    for number in range(n_rounds):
        done = ladder.round(states, number, random_numbers(seed, number))
        states = done.states if exchanging else states
        x.append([one.configuration.positions[0, 0] for one in states])
        rounds.append(done)
    return np.array(x), [done.exchanges for done in rounds], rounds


def temperature_ladder(temperatures: Sequence[float]) -> ReplicaExchange:
    rungs = [
        Rung(
            f"{t:.0f} K",
            Canonical(t, fixed_centre_of_mass=False),
            Along(0.4 * t / 300.0),
        )
        for t in temperatures
    ]
    return ReplicaExchange(rungs, DEEP, moves=2)


TEMPERATURES = (300.0, 600.0, 1200.0, 2400.0)
BURN_IN = 30


@case("replica exchange in temperature, a barrier that the coldest rung cannot cross", long=True)
def temperatures(effort: float, seeds: Sequence[int]) -> list[Row]:
    n = int(500 * effort)
    ladder = temperature_ladder(TEMPERATURES)
    found = [run_ladder(ladder, seed, n + BURN_IN)[0][BURN_IN:] for seed in seeds]
    rows = []
    for k, temperature in enumerate(TEMPERATURES):
        for power in (1, 2, 3):
            series = [x[:, k] ** power for x in found]
            rows += rows_of(f"x^{power} at {temperature:.0f} K", series, moment(power, temperature))
    return rows


SHARES = (0.0, 0.3, 0.6, 1.0)


def share_ladder() -> ReplicaExchange:
    ensemble = Canonical(300.0, fixed_centre_of_mass=False)
    move = Along(1.9)
    rungs = [Rung(f"lambda = {share}", Between(ensemble, share, SHALLOW), move) for share in SHARES]
    return ReplicaExchange(rungs, DEEP, moves=2)


@case("ladder from a shallow guide to a reference with a high barrier")
def shares(effort: float, seeds: Sequence[int]) -> list[Row]:
    n = int(800 * effort)
    found = [run_ladder(share_ladder(), seed, n + BURN_IN)[0][BURN_IN:] for seed in seeds]
    rows = []
    for k, share in enumerate(SHARES):
        for power in (1, 2, 3):
            series = [x[:, k] ** power for x in found]
            rows += rows_of(f"x^{power} at lambda {share}", series, moment(power, 300.0, share))
    return rows


class Pulled:
    """exp[-(U - f x)/k_BT], f eV/Å: an ensemble that is not a function of the energy alone.

    A pressure acts on the volume as f does on x.
    """

    def __init__(self, force: float) -> None:
        self.force = force

    def log_density(self, configuration: Configuration, evaluation: Evaluation) -> float:
        return (self.force * float(configuration.positions[0, 0]) - evaluation.energy) / UNIT


@case("replica exchange in a force that acts beside the energy, as a pressure does")
def forces(effort: float, seeds: Sequence[int]) -> list[Row]:
    n = int(500 * effort)
    pulls = (0.0, 1.0, 2.0)
    ensembles: list[Ensemble] = [Pulled(pull * UNIT) for pull in pulls]
    move = Along(1.9)
    rungs = [Rung(f"{p} kT/Å", e, move) for p, e in zip(pulls, ensembles, strict=True)]
    ladder = ReplicaExchange(rungs, SHALLOW, moves=2)
    found = [run_ladder(ladder, seed, n + BURN_IN)[0][BURN_IN:] for seed in seeds]
    rows = []
    for k, pull in enumerate(pulls):

        def weight(x: float, pull: float = pull) -> float:
            return float(np.exp(pull * x - shallow_well(x) / UNIT))

        norm = quad(weight, -4.0, 4.0)[0]
        for power in (1, 2):
            above = quad(lambda x, p=power: x**p * weight(x), -4.0, 4.0)[0]
            series = [x[:, k] ** power for x in found]
            rows += rows_of(f"x^{power} at {pull} kT/Å", series, above / norm)
    return rows
