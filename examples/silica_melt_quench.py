"""Melt and quench of silica with the BKS potential: a glass in minutes, on one core.

    python examples/silica_melt_quench.py                # 648 atoms
    python examples/silica_melt_quench.py --quick        # 24 atoms, a few steps: does it run?

Beta-cristobalite at 2.20 g/cm^3 is melted at 6000 K, cooled to 300 K at constant volume, and its
radial distribution functions are averaged at 300 K. Dynamics: velocity Verlet with 1.5 fs, and new
Maxwell momenta for all atoms every 75 fs (Andersen's thermostat), at a temperature that falls
linearly. Published: Vollmayr, Kob and Binder, Phys. Rev. B 54, 15808 (1996) for this potential
(cooled far more slowly), and diffraction as they collect it there.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from hyperatom.analysis.radial_distribution import RadialDistribution, RadialDistributionResult
from hyperatom.configuration import Configuration
from hyperatom.potentials.classical.buckingham import bks_silica
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.momenta import kinetic_energy
from hyperatom.structures.crystals import rattle
from hyperatom.units import BOLTZMANN, FEMTOSECOND

MELT, GLASS = 6000.0, 300.0  # K
LATTICE_CONSTANT = 7.133  # Å, 2.20 g/cm^3
TIME_STEP = 1.5  # fs
SEGMENT = 50  # steps between new momenta
PUBLISHED = {"Si-O": (1.595, 1.608), "O-O": (2.590, 2.626), "Si-Si": (3.155, 3.077)}
"""First peaks in Å: BKS glass, and experiment."""


def beta_cristobalite(repeat: int) -> Configuration:
    """Ideal beta-cristobalite: silicon on a diamond lattice, oxygen between neighbours."""
    centres = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0]]) / 4
    bonds = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 8
    oxygen = (centres[:, None] + bonds).reshape(-1, 3)
    basis = np.concatenate([centres, centres + 0.25, oxygen])
    numbers = np.repeat([14, 8], [8, 16])
    masses = np.repeat([28.085, 15.999], [8, 16])
    corners = np.stack(np.meshgrid(*[np.arange(repeat)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = LATTICE_CONSTANT * (corners[:, None] + basis).reshape(-1, 3)
    return Configuration(
        np.tile(numbers, len(corners)),
        positions,
        LATTICE_CONSTANT * repeat * np.eye(3),
        np.ones(3, dtype=bool),
        np.tile(masses, len(corners)),
    )


def temperatures(picoseconds: tuple[float, float, float]) -> list[tuple[str, float]]:
    """What happens in each segment, and at which temperature: melting, cooling, the glass."""
    counts = [max(2, round(1000.0 * t / (SEGMENT * TIME_STEP))) for t in picoseconds]
    plan = [("melting", MELT)] * counts[0]
    plan += [("cooling", float(t)) for t in np.linspace(MELT, GLASS, counts[1])]
    return plan + [("glass", GLASS)] * counts[2]


def run(
    potential: CompiledPotential,
    here: Configuration,
    plan: list[tuple[str, float]],
    rng: np.random.Generator,
) -> Iterator[tuple[Configuration, float]]:
    """The configuration and its kinetic temperature in K at the end of every segment."""
    potential.model.reserve(rattle(here, 0.1, rng))
    for _, temperature in plan:
        ensemble = Canonical(temperature)
        momenta = ensemble.draw_momenta(here.masses, rng)
        path = potential.trajectory(here, momenta, TIME_STEP * FEMTOSECOND, SEGMENT, SEGMENT)
        if not np.isfinite(path.positions).all():
            raise SystemExit("The trajectory left the numbers: choose a shorter time step.")
        here = here.with_positions(path.positions)
        kinetic = kinetic_energy(path.momenta, here.masses)
        yield here, 2.0 * kinetic / (BOLTZMANN * ensemble.degrees_of_freedom(here.n_atoms))


def write(result: RadialDistributionResult, folder: Path) -> None:
    """g(r) as a table and as a figure with the published peaks."""
    from matplotlib.figure import Figure

    result.to_csv(folder / "silica_glass_rdf.csv")
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    pairs = [pair for pair in PUBLISHED if pair in result.pairs]
    result.plot(axes, pairs)
    for _, experiment in PUBLISHED.values():
        axes.axvline(experiment, color="0.5", linewidth=0.8, linestyle=":")
    axes.set_ylim(0.0, 12.0)
    axes.set_title("Silica glass at 300 K, BKS (dotted: peaks of diffraction)")
    axes.legend(frameon=False)
    figure.savefig(folder / "silica_glass_rdf.png", dpi=150)


def main() -> None:
    """Read the options, run, print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="24 atoms and a few steps")
    parser.add_argument(
        "--output", type=Path, default=Path("."), help="folder for table and figure"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    console = Console()
    rng = np.random.default_rng(options.seed)
    plan = temperatures((0.0, 0.0, 0.0) if options.quick else (5.0, 20.0, 3.0))
    potential = bks_silica(8.0, accuracy=1e-5, precision="float32")

    columns = [TextColumn("{task.description}"), *Progress.get_default_columns()[1:3]]
    columns += [
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    ]
    glass = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(plan))
        start = beta_cristobalite(1 if options.quick else 3)
        steps = run(potential, start, plan, rng)
        for (phase, target), (here, seen) in zip(plan, steps, strict=True):
            label = f"{phase} {target:6.0f} K (found {seen:6.0f} K)"
            progress.update(task, advance=1, description=label)
            if phase == "glass":
                glass.append(here)

    # The first quarter of the glass is left out: it still remembers the cooling.
    result = RadialDistribution(r_max=8.0, bins=320).compute(glass[len(glass) // 4 :])
    write(result, options.output)
    table = Table("pair", "first peak (Å)", "BKS 1996 (Å)", "experiment (Å)", "neighbours")
    for pair, (published, experiment) in PUBLISHED.items():
        peak = result.first_peak(pair)
        table.add_row(
            pair,
            f"{peak.position.value:.3f}",
            f"{published:.3f}",
            f"{experiment:.3f}",
            f"{peak.coordination.value:.2f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
