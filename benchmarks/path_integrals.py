"""Quantum nuclei: ring-polymer self-learning hybrid Monte Carlo against what is known otherwise.

    python benchmarks/path_integrals.py [--parts hydrogen water liquid] [--minutes 4] [--folder DIR]

All with GFN1-xTB, each run from zero labels, guide frozen before anything counts.

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
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.append(str(Path(__file__).parents[1] / "examples"))
sys.path.append(str(Path(__file__).parents[1] / "tests"))

import numpy as np
from scipy.interpolate import CubicSpline
from water_beads import RingRun, set_up, water

from figures import Figure, report
from hyperatom.analysis.path_integrals import PathIntegralResult, squared_spread
from hyperatom.analysis.statistics import Estimate, estimate_mean
from hyperatom.configuration import Configuration
from hyperatom.units import BOLTZMANN, MILLI
from plain_path_integrals import PlainRings, plain_rings
from plain_sampling import tight_binding
from ring_targets import dimer_energy


def difference(one: Estimate, other: Estimate) -> float:
    """In standard errors."""
    return float((one.value - other.value) / np.hypot(one.error, other.error))


def sampled(
    start: Configuration,
    n_beads: int,
    temperature: float,
    folder: Path,
    learning: int,
    proposals: int,
    **settings: Any,
) -> tuple[RingRun, int]:
    """A run from zero labels, and the calls that learning took."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        run = set_up(start, n_beads, temperature, folder, stack, **settings)

        def note(text: str) -> None:
            print(f"{folder.name}: call {run.calls}, {text}", file=sys.stderr, flush=True)

        guide = run.learn(learning, 0.6, note)
        learned = run.calls
        run.produce(guide, proposals, note)
    return run, learned


def texts(found: PathIntegralResult) -> dict[str, str]:
    """Every average with its error."""
    return {name: str(number) for name, number in found.observation.numbers.items()}


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
    run, learned = sampled(
        start, n_beads, temperature, folder, learning=40, proposals=400, length=40.0, time_step=0.5
    )
    found = run.averages()
    z = (found.energy.value - exact) / found.energy.error
    primitive = (found.energy_primitive.value - exact) / found.energy_primitive.error
    details = {
        "beads": n_beads, "temperature (K)": temperature, "exact energy (eV)": exact,
        "primitive estimator, z": primitive, "acceptance": run.acceptance,
        "calls to learn": learned, **texts(found),
    }  # fmt: skip
    return [Figure("path_integrals.energy_vs_exact_z", float(z))], details


def molecule(folder: Path, minutes: float) -> tuple[list[Figure], dict[str, Any]]:
    """H2O against plain path-integral Monte Carlo."""
    n_beads, temperature = 8, 300.0
    start = water(1, heavy=False, rng=np.random.default_rng(3))
    run, learned = sampled(start, n_beads, temperature, folder, learning=40, proposals=600)
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
    found = run.averages()
    hydrogens = np.array([1, 2])
    spread = np.array([squared_spread(s.configuration)[hydrogens].mean() for s in run.states])

    def mean(values: np.ndarray, unit: str) -> Estimate:
        return estimate_mean(values, unit, "exact")

    energy = mean(plain.energy, "eV")
    kinetic = mean(plain.kinetic[:, hydrogens].mean(axis=1), "eV")
    size = mean(plain.spread[:, hydrogens].mean(axis=1), "Å^2")
    details = {
        "beads": n_beads, "temperature (K)": temperature, "acceptance": run.acceptance,
        "calls to learn": learned, "plain calls": int(plain.calls),
        "plain energy": str(energy), "plain primitive": str(mean(plain.primitive, "eV")),
        "plain kinetic energy per H": str(kinetic), "plain squared radius": str(size),
        **texts(found),
    }  # fmt: skip
    figures = [
        Figure("path_integrals.energy_vs_plain_z", difference(found.energy, energy)),
        Figure("path_integrals.kinetic_vs_plain_z", difference(found.kinetic_of["H"], kinetic)),
        Figure("path_integrals.gyration_vs_plain_z", difference(mean(spread, "Å^2"), size)),
    ]
    return figures, details


def liquid(folder: Path, proposals: int) -> tuple[list[Figure], dict[str, Any]]:
    """Eight molecules in a periodic cube."""
    n_beads, temperature = 8, 300.0
    start = water(8, heavy=False, rng=np.random.default_rng(1))
    run, learned = sampled(start, n_beads, temperature, folder, learning=130, proposals=proposals)
    found = run.averages(discard=proposals // 5)
    length = float(np.mean([t.proposed.record["length"] for t in run.judged]))
    kinetic = found.kinetic_of["H"]
    details = {"temperature (K)": temperature, "mean length (fs)": length, **texts(found)}
    figures = [
        Figure("path_integrals.acceptance", run.acceptance),
        Figure("path_integrals.beads", n_beads),
        Figure("path_integrals.calls_to_learn", learned, "rings"),
        Figure("path_integrals.fs_per_call", run.acceptance * length, "fs"),
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
