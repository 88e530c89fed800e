"""The rivals, written without hyperatom's samplers: hybrid Monte Carlo and Langevin dynamics on one
potential's own forces. One call of `forces` is one call of the engine.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.units import BOLTZMANN, FEMTOSECOND

Array = NDArray[np.float64]
Forces = Callable[[Array], tuple[float, Array]]
"""positions (n_atoms, 3) Å -> energy eV, forces (n_atoms, 3) eV/Å"""


def tight_binding(configuration: Configuration) -> Forces:
    """GFN1-xTB, straight from tblite, with the settings of the embedded reference."""
    from ase import Atoms
    from tblite.ase import TBLite

    from hyperatom.references.engines.tblite import GFN1_XTB

    def forces(positions: Array) -> tuple[float, Array]:
        atoms = Atoms(
            configuration.numbers, positions, cell=configuration.cell, pbc=configuration.periodic
        )
        atoms.calc = TBLite(**GFN1_XTB.keywords)
        return float(atoms.get_potential_energy()), atoms.get_forces()

    return forces


def of_guide(guide: Any, configuration: Configuration) -> Forces:
    """A guide's forces, at a fraction of a millisecond: to find a rival's best settings."""
    import jax

    model, skin = guide.model, 1.2
    compute = jax.jit(model._forces)
    lists = model.lists(configuration, skin)
    parameters = (guide.parameters, model.species_of(configuration), None)
    made: dict[str, Any] = {}

    def forces(positions: Array) -> tuple[float, Array]:
        if not made or np.abs(positions - made["at"]).max() > 0.25 * skin:
            made.update(at=positions.copy(), list=lists.make(positions))
        with jax.enable_x64(True):
            energy, forces, _ = compute(parameters, positions, configuration.cell, made["list"])
            return float(energy), np.asarray(forces)

    return forces


@dataclass(frozen=True)
class Plain:
    """Samples of a rival.

    | field       | shape                   | unit | meaning                                    |
    |-------------|-------------------------|------|--------------------------------------------|
    | `positions` | (n_samples, n_atoms, 3) | Å    | rejected states again                      |
    | `energies`  | (n_samples,)            | eV   |                                            |
    | `calls`     | scalar                  | -    | of the engine, behind these samples        |
    | `moved`     | scalar                  | -    | fraction accepted; 1 for Langevin dynamics |
    """

    positions: Array
    energies: Array
    calls: int
    moved: float

    def save(self, path: Path) -> None:
        """Write bit for bit."""
        np.savez(path, **self.__dict__)

    @classmethod
    def load(cls, path: Path) -> "Plain":
        """Read what `save` wrote."""
        with np.load(path) as file:
            return cls(
                file["positions"], file["energies"], int(file["calls"]), float(file["moved"])
            )


@dataclass(frozen=True)
class HybridMonteCarlo:
    """Duane et al., Phys. Lett. B 195, 216 (1987): velocity Verlet, accept by the Hamiltonian.

    Time steps (fs) vary by 10 % from one trajectory to the next, so that no mode can resonate.
    """

    time_step: float
    n_steps: int

    def samples(
        self, forces: Forces, start: Configuration, temperature: float, rng: np.random.Generator
    ) -> Iterator[tuple[Array, float, int, bool]]:
        """Positions, energy, calls spent, accepted?"""
        masses = start.masses[:, None]
        x = start.positions.copy()
        energy, force = forces(x)
        while True:
            p = _momenta(masses, temperature, rng)
            step = self.time_step * rng.uniform(0.9, 1.1) * FEMTOSECOND
            kinetic = 0.5 * np.sum(p * p / masses)
            y, f, u = x, force, energy
            for _ in range(self.n_steps):
                p = p + 0.5 * step * f
                y = y + step * p / masses
                u, f = forces(y)
                p = p + 0.5 * step * f
            change = u - energy + 0.5 * np.sum(p * p / masses) - kinetic
            accepted = bool(np.log(rng.random()) < -change / (BOLTZMANN * temperature))
            if accepted:
                x, energy, force = y, u, f
            yield x, energy, self.n_steps, accepted


@dataclass(frozen=True)
class Langevin:
    """BAOAB (Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013)); every step is a sample.

    `time_step` in fs, `friction` in 1/fs. The centre of mass rests.
    """

    time_step: float
    friction: float

    def samples(
        self, forces: Forces, start: Configuration, temperature: float, rng: np.random.Generator
    ) -> Iterator[tuple[Array, float, int, bool]]:
        """Positions, energy, calls spent, True."""
        masses = start.masses[:, None]
        step = self.time_step * FEMTOSECOND
        keep = np.exp(-self.friction * self.time_step)
        x = start.positions.copy()
        p = _momenta(masses, temperature, rng)
        _, force = forces(x)
        while True:
            p = p + 0.5 * step * force
            x = x + 0.5 * step * p / masses
            p = keep * p + np.sqrt(1.0 - keep**2) * _momenta(masses, temperature, rng)
            x = x + 0.5 * step * p / masses
            energy, force = forces(x)
            p = p + 0.5 * step * force
            yield x, energy, 1, True


def run(
    method: HybridMonteCarlo | Langevin,
    forces: Forces,
    start: Configuration,
    temperature: float,
    calls: int,
    seed: int,
    discard: int = 0,
    seconds: float = np.inf,
) -> Plain:
    """Sample for `calls` calls or so many seconds, after discarding `discard` calls."""
    rng = np.random.default_rng(seed)
    positions, energies, moved = [], [], []
    spent = -discard
    began = time.perf_counter()
    for x, energy, cost, accepted in method.samples(forces, start, temperature, rng):
        spent += cost
        if spent > 0:
            positions.append(x)
            energies.append(energy)
            moved.append(accepted)
        if spent >= calls or time.perf_counter() - began > seconds:
            break
    return Plain(np.array(positions), np.array(energies), spent, float(np.mean(moved)))


def _momenta(masses: Array, temperature: float, rng: np.random.Generator) -> Array:
    p = rng.standard_normal((len(masses), 3)) * np.sqrt(masses * BOLTZMANN * temperature)
    drift: Array = masses * p.sum(axis=0) / masses.sum()
    return p - drift
