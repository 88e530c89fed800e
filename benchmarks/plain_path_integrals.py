"""Plain path-integral Monte Carlo, written without hyperatom's samplers, rings or estimators: whole
rings of one atom displaced, pieces of them drawn anew by Levy's construction. One call of `forces`
is one call of the engine, for one bead.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.units import BOLTZMANN
from plain_sampling import Array, Forces


@dataclass(frozen=True)
class PlainRings:
    """Samples, one for each sweep.

    | field       | shape                | unit | meaning                                        |
    |-------------|----------------------|------|------------------------------------------------|
    | `potential` | (n_sweeps,)          | eV   | mean over the beads                            |
    | `energy`    | (n_sweeps,)          | eV   | total, by the centroid virial                  |
    | `primitive` | (n_sweeps,)          | eV   | total, by the primitive estimator              |
    | `kinetic`   | (n_sweeps, n_atoms)  | eV   | of each atom, by the centroid virial           |
    | `spread`    | (n_sweeps, n_atoms)  | Å^2  | squared radius of gyration                     |
    | `calls`     | scalar               | -    | of the engine, for one bead each               |
    """

    potential: Array
    energy: Array
    primitive: Array
    kinetic: Array
    spread: Array
    calls: int
    accepted: dict[str, float]


def plain_rings(
    forces: Forces,
    start: Configuration,
    temperature: float,
    n_beads: int,
    seed: int,
    seconds: float,
    sweeps: int = 10**9,
    length: int | None = None,
    displacement: float = 0.06,
    burn_in: int = 100,
) -> PlainRings:
    """Sample for so many seconds or sweeps. `length` beads of a bridge, `displacement` in Å."""
    from ase import units

    rng = np.random.default_rng(seed)
    hbar = units._hbar * units.J * units.s
    kt = BOLTZMANN * temperature
    masses = start.masses
    n_atoms = len(masses)
    spring = masses * n_beads * (kt / hbar) ** 2  # m P / (beta hbar)^2
    length = length or max(1, n_beads // 2)
    x: NDArray[np.float64] = np.repeat(start.positions[None], n_beads, axis=0)
    energy, force = forces(x[0])
    energies = np.full(n_beads, energy)
    force = np.repeat(force[None], n_beads, axis=0)
    calls = 0
    tried = {"bridge": 0, "displacement": 0}
    accepted = {"bridge": 0, "displacement": 0}

    def judge(move: str, y: Array, beads: list[int]) -> None:
        nonlocal calls
        found = {bead: forces(y[bead]) for bead in beads}
        calls += len(beads)
        change = sum(found[bead][0] - energies[bead] for bead in beads) / n_beads
        tried[move] += 1
        if np.log(rng.random()) < -change / kt:
            accepted[move] += 1
            for bead in beads:
                x[bead] = y[bead]
                energies[bead], force[bead] = found[bead]

    samples = []
    began = time.perf_counter()
    number = 0
    while number < burn_in + sweeps and time.perf_counter() - began < seconds:
        for atom in range(n_atoms):
            y = x.copy()
            y[:, atom] += rng.uniform(-displacement, displacement, 3)
            judge("displacement", y, list(range(n_beads)))
            for _ in range(max(1, n_beads // length)):
                y = x.copy()
                first = int(rng.integers(n_beads))
                beads = [(first + k) % n_beads for k in range(1, length + 1)]
                end = y[(first + length + 1) % n_beads, atom].copy()
                for k, bead in enumerate(beads):
                    left = length - k
                    width = np.sqrt(kt / spring[atom] * left / (left + 1))
                    mean = (left * y[bead - 1, atom] + end) / (left + 1)
                    y[bead, atom] = mean + width * rng.standard_normal(3)
                judge("bridge", y, beads)
        number += 1
        if number <= burn_in:
            continue
        off = x - x.mean(axis=0)
        links = ((x - np.roll(x, 1, axis=0)) ** 2).sum(axis=(0, 2))
        kinetic = 1.5 * kt - 0.5 * (off * force).sum(axis=(0, 2)) / n_beads
        potential = energies.mean()
        primitive = 1.5 * n_atoms * n_beads * kt - 0.5 * (spring * links).sum() + potential
        samples.append(
            (potential, potential + kinetic.sum(), primitive, kinetic, (off**2).sum(2).mean(0))
        )
    columns = [np.array(column) for column in zip(*samples, strict=True)]
    return PlainRings(
        *columns, calls, {move: accepted[move] / max(1, tried[move]) for move in tried}
    )
