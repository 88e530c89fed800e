"""Quantum nuclei: ring-polymer self-learning hybrid Monte Carlo against what is known otherwise.

    python benchmarks/path_integrals.py [--parts hydrogen water liquid] [--minutes 4] [--folder DIR]

All with GFN1-xTB, each a campaign from zero labels, guide frozen before anything counts.

hydrogen: H2, 500 K, 16 beads, against matrix products of the free kernel on tblite's own curve.
water: H2O, 300 K, 8 beads, against plain path-integral Monte Carlo on tblite's own energies, a code
path that shares nothing with hyperatom's samplers, rings, guides or estimators.
liquid: eight molecules at 1 g/cm^3, 300 K, 8 beads.

| figure                 | unit  | meaning                                                    |
|------------------------|-------|------------------------------------------------------------|
| `.energy_vs_exact_z`   |       | H2: energy (virial) minus the exact one, in its errors     |
| `.energy_vs_plain_z`   |       | H2O: difference of the energies over its standard error    |
| `.kinetic_vs_plain_z`  |       | the same of the hydrogens' kinetic energy                  |
| `.gyration_vs_plain_z` |       | the same of their squared radius of gyration               |
| `.acceptance`          |       | liquid: of the frozen guide                                |
| `.beads`               |       | liquid                                                     |
| `.calls_to_learn`      | rings | liquid: calls before the freeze, each of as many labels    |
| `.fs_per_call`         | fs    | liquid: acceptance times mean length of the paths          |
| `.kinetic_h`           | meV   | liquid: kinetic energy of a hydrogen atom; classical: 38.8 |
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.append(str(Path(__file__).parents[1] / "tests"))

import ase.io
import numpy as np
import yaml
from scipy.interpolate import CubicSpline

from campaign_runs import Production, production, run_campaign
from figures import Figure, report
from hyperatom.analysis.path_integrals import PathIntegralResult, PathIntegrals, squared_spread
from hyperatom.analysis.statistics import Estimate, estimate_mean
from hyperatom.configuration import Configuration
from hyperatom.interchange.ase_atoms import to_ase
from hyperatom.ring_polymer import RingPolymer
from hyperatom.sampling.quantum_canonical import as_ring
from hyperatom.units import BOLTZMANN, MILLI
from plain_path_integrals import PlainRings, plain_rings
from plain_sampling import tight_binding
from ring_targets import dimer_energy

MASS_OF_WATER = 18.015  # amu
BOND, ANGLE = 0.96, np.radians(104.5)  # Å
GUIDE = {"cutoff": 4.5}
PATHS = {"length": 100.0, "segments": 2, "time_step": 0.7}


def difference(one: Estimate, other: Estimate) -> float:
    """In standard errors."""
    return float((one.value - other.value) / np.hypot(one.error, other.error))


def water(n_molecules: int, rng: np.random.Generator) -> Configuration:
    """One molecule in free space, or a periodic cube of them at 1 g/cm^3, turned at random."""
    half = 0.5 * ANGLE
    molecule = BOND * np.array(
        [[0.0, 0.0, 0.0], [np.sin(half), np.cos(half), 0.0], [-np.sin(half), np.cos(half), 0.0]]
    )
    numbers = np.tile([8, 1, 1], n_molecules)
    masses = np.tile([15.999, 1.008, 1.008], n_molecules)
    if n_molecules == 1:
        return Configuration(numbers, molecule, np.zeros((3, 3)), np.zeros(3, bool), masses)
    edge = (n_molecules * MASS_OF_WATER / 0.602214) ** (1.0 / 3.0)
    side = int(np.ceil(n_molecules ** (1.0 / 3.0) - 1e-9))
    sites = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions: list[np.ndarray] = []
    for site in sites[:n_molecules] * edge / side:
        placed = best = None
        for _ in range(200):  # the turn that keeps hydrogens farthest from what is there
            turn, upper = np.linalg.qr(rng.standard_normal((3, 3)))
            placed = site + molecule @ (turn * np.sign(np.diag(upper)))
            others = np.concatenate([np.array(positions).reshape(-1, 3), sites[:0]])
            if not len(others):
                best = (0.0, placed)
                break
            apart = placed[:, None] - others
            apart -= edge * np.round(apart / edge)
            closest = float(np.linalg.norm(apart, axis=-1).min())
            if best is None or closest > best[0]:
                best = (closest, placed)
        assert best is not None
        positions.append(best[1])
    return Configuration(
        numbers, np.concatenate(positions), edge * np.eye(3), np.ones(3, dtype=bool), masses
    )


@dataclass(frozen=True)
class Sampled:
    """What a campaign of ring polymers counted, after the first `discard` states."""

    run: Path
    temperature: float
    discard: int = 0

    @cached_property
    def production(self) -> Production:
        """As it is on disk."""
        return production(self.run)

    @cached_property
    def rings(self) -> list[RingPolymer]:
        """Successive states."""
        return [as_ring(one) for one in self.production.configurations[self.discard :]]

    @cached_property
    def averages(self) -> PathIntegralResult:
        """Energies, kinetic energies, sizes."""
        evaluations = self.production.evaluations[self.discard :]
        return PathIntegrals(self.temperature).compute(self.rings, evaluations)

    @property
    def texts(self) -> dict[str, Any]:
        """Every average with its error, and what it cost."""
        return {
            "acceptance": self.production.acceptance,
            "calls to learn": self.production.learning_calls,
            **{name: str(number) for name, number in self.averages.observation.numbers.items()},
        }


def sampled(
    start: Configuration, temperature: float, folder: Path, discard: int = 0, **settings: Any
) -> Sampled:
    """A campaign in `folder`, run to its end."""
    folder.mkdir(parents=True, exist_ok=True)
    ase.io.write(folder / "start.extxyz", to_ase(start))
    content = {
        "configuration": {"file": str(folder / "start.extxyz")},
        "temperature": temperature,
        "seed": 1,
        **settings,
    }
    run = run_campaign(yaml.safe_dump(content), folder / "run")
    return Sampled(run, temperature, discard)


def hydrogen(folder: Path) -> tuple[list[Figure], dict[str, Any]]:
    """H2 against matrix products."""
    n_beads, temperature = 16, 500.0
    start = Configuration(
        np.array([1, 1]), np.array([[0.0, 0.0, 0.0], [0.45, 0.4, 0.45]]), np.zeros((3, 3)),
        np.zeros(3, dtype=bool), np.array([1.008, 1.008]),
    )  # fmt: skip
    forces = tight_binding(start)
    distances = np.linspace(0.42, 1.5, 73)
    curve = CubicSpline(
        distances, [forces(np.array([[0.0, 0.0, 0.0], [r, 0.0, 0.0]]))[0] for r in distances]
    )
    grid = np.linspace(0.42, 1.5, 150)
    exact = dimer_energy(curve, 0.504, temperature, n_beads, grid) + 1.5 * BOLTZMANN * temperature
    found = sampled(
        start, temperature, folder, beads=n_beads, guide=GUIDE,
        sampling={"length": 40.0, "segments": 2, "time_step": 0.5}, learn={"calls": 40},
        produce={"proposals": 400},
    )  # fmt: skip
    averages = found.averages
    z = (averages.energy.value - exact) / averages.energy.error
    primitive = (averages.energy_primitive.value - exact) / averages.energy_primitive.error
    details = {
        "beads": n_beads, "temperature (K)": temperature, "exact energy (eV)": exact,
        "primitive estimator, z": primitive, **found.texts,
    }  # fmt: skip
    return [Figure("path_integrals.energy_vs_exact_z", float(z))], details


def molecule(folder: Path, minutes: float) -> tuple[list[Figure], dict[str, Any]]:
    """H2O against plain path-integral Monte Carlo."""
    n_beads, temperature = 8, 300.0
    start = water(1, np.random.default_rng(3))
    found = sampled(
        start, temperature, folder, beads=n_beads, guide=GUIDE, sampling=PATHS,
        learn={"calls": 40}, produce={"proposals": 600},
    )  # fmt: skip
    file = folder / "plain.npz"
    if not file.exists():
        chain = plain_rings(
            tight_binding(start), start, temperature, n_beads, 7, 60.0 * minutes, displacement=0.09
        )
        np.savez(
            file, **{name: np.asarray(x) for name, x in asdict(chain).items() if name != "accepted"}
        )
    with np.load(file) as stored:
        plain = PlainRings(**{name: stored[name] for name in stored.files}, accepted={})
    hydrogens = np.array([1, 2])
    spread = np.array([squared_spread(ring)[hydrogens].mean() for ring in found.rings])

    def mean(values: np.ndarray, unit: str) -> Estimate:
        return estimate_mean(values, unit, "exact")

    energy = mean(plain.energy, "eV")
    kinetic = mean(plain.kinetic[:, hydrogens].mean(axis=1), "eV")
    size = mean(plain.spread[:, hydrogens].mean(axis=1), "Å^2")
    details = {
        "beads": n_beads, "temperature (K)": temperature, "plain calls": int(plain.calls),
        "plain energy": str(energy), "plain primitive": str(mean(plain.primitive, "eV")),
        "plain kinetic energy per H": str(kinetic), "plain squared radius": str(size),
        **found.texts,
    }  # fmt: skip
    ours = found.averages
    figures = [
        Figure("path_integrals.energy_vs_plain_z", difference(ours.energy, energy)),
        Figure("path_integrals.kinetic_vs_plain_z", difference(ours.kinetic_of["H"], kinetic)),
        Figure("path_integrals.gyration_vs_plain_z", difference(mean(spread, "Å^2"), size)),
    ]
    return figures, details


def liquid(folder: Path, proposals: int) -> tuple[list[Figure], dict[str, Any]]:
    """Eight molecules in a periodic cube."""
    n_beads, temperature = 8, 300.0
    found = sampled(
        water(8, np.random.default_rng(1)), temperature, folder, proposals // 5, beads=n_beads,
        guide=GUIDE, sampling=PATHS, learn={"calls": 130, "acceptance": 0.6},
        produce={"proposals": proposals},
    )  # fmt: skip
    made = found.production
    lengths = [step.record["length"] for step in made.steps if step.phase == "produce"]
    length = float(np.mean(lengths))
    kinetic = found.averages.kinetic_of["H"]
    details = {"temperature (K)": temperature, "mean length (fs)": length, **found.texts}
    figures = [
        Figure("path_integrals.acceptance", made.acceptance),
        Figure("path_integrals.beads", n_beads),
        Figure("path_integrals.calls_to_learn", made.learning_calls, "rings"),
        Figure("path_integrals.fs_per_call", made.acceptance * length, "fs"),
        Figure("path_integrals.kinetic_h", kinetic.value / MILLI, "meV"),
        Figure("path_integrals.kinetic_h_error", kinetic.error / MILLI, "meV"),
    ]
    return figures, details


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that are wanted, and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("hydrogen", "water", "liquid")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--minutes", type=float, default=4.0, help="of plain Monte Carlo")
    parser.add_argument("--proposals", type=int, default=80, help="in the liquid")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(arguments)
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for part in options.parts:
            if part == "hydrogen":
                found = hydrogen(folder / part)
            elif part == "water":
                found = molecule(folder / part, options.minutes)
            else:
                found = liquid(folder / part, options.proposals)
            (folder / f"{part}.json").write_text(json.dumps(found))
        # Parts that an earlier run left in the folder are reported with those of this one.
        for part in parts:
            if (folder / f"{part}.json").exists():
                kept, details[part] = json.loads((folder / f"{part}.json").read_text())
                figures += [Figure(*one) for one in kept]
    report(figures, "path_integrals", details)


if __name__ == "__main__":
    main()
