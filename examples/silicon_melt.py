"""Liquid silicon with the potential of Stillinger and Weber: melted and averaged in minutes.

    python examples/silicon_melt.py                # 216 atoms
    python examples/silicon_melt.py --quick        # 8 atoms, a few steps: does it run?

Diamond-structure silicon at the density of the liquid, 2.53 g/cm^3, is melted at 3500 K, brought to
1800 K at constant volume, and its radial distribution function is averaged there. Dynamics:
velocity Verlet with 1 fs, and new Maxwell momenta for all atoms every 50 fs (Andersen's
thermostat). Published first peaks: 2.50 Å by diffraction (Waseda and Suzuki, Z. Phys. B 20, 339
(1975)), 2.46 Å from first principles (Štich, Car and Parrinello, Phys. Rev. Lett. 63, 2240 (1989)).
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hyperatom.analysis.radial_distribution import RadialDistribution, RadialDistributionResult
from hyperatom.configuration import Configuration
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.potentials.classical.stillinger_weber import silicon
from hyperatom.sampling.canonical import Canonical
from hyperatom.structures.crystals import rattle
from hyperatom.units import FEMTOSECOND

MELTING, LIQUID = 3500.0, 1800.0  # K
LATTICE_CONSTANT = 5.284  # Å, 2.53 g/cm^3
SEGMENT = 50  # steps of 1 fs between new momenta
SHELL = 3.0  # Å, the first minimum of g(r)
PUBLISHED_PEAK = (2.46, 2.50)
"""First peak of g(r) in Å: first principles, diffraction."""


def crystal(repeat: int) -> Configuration:
    """Diamond-structure silicon at the density of the liquid."""
    from ase.build import bulk

    return from_ase(bulk("Si", "diamond", a=LATTICE_CONSTANT, cubic=True).repeat(repeat))


def first_peak(result: RadialDistributionResult) -> float:
    """Where the parabola through the upper tenth of the peak is highest, Å.

    The peak of this liquid is lopsided and the minimum behind it shallow.
    """
    g = result.g["Si-Si"]
    upper = g > 0.9 * g.max()
    curvature, slope, _ = np.polyfit(result.r[upper], g[upper], 2)
    return float(-slope / (2.0 * curvature))


def write(result: RadialDistributionResult, folder: Path) -> None:
    """g(r) as a table and as a figure with the published peak."""
    from matplotlib.figure import Figure

    result.to_csv(folder / "silicon_liquid_rdf.csv")
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    result.plot(axes, ["Si-Si"])
    axes.axvspan(*PUBLISHED_PEAK, color="0.85")
    axes.set_title("Liquid silicon at 1800 K (band: published first peak)")
    figure.savefig(folder / "silicon_liquid_rdf.png", dpi=150)


def main() -> None:
    """Read the options, run, print the peak."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="8 atoms and a few steps")
    parser.add_argument(
        "--output", type=Path, default=Path("."), help="folder for table and figure"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    console = Console()
    rng = np.random.default_rng(options.seed)
    counts = (1, 1, 2) if options.quick else (200, 200, 400)
    plan = [("melting", MELTING)] * counts[0] + [("cooling", LIQUID)] * counts[1]
    plan += [("liquid", LIQUID)] * counts[2]

    potential = silicon()
    here = rattle(crystal(1 if options.quick else 3), 0.05, rng)
    potential.model.reserve(here)
    liquid = []
    columns = [TextColumn("{task.description}"), *Progress.get_default_columns()[1:3]]
    columns += [
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    ]
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(plan))
        for phase, temperature in plan:
            momenta = Canonical(temperature).draw_momenta(here.masses, rng)
            path = potential.trajectory(here, momenta, FEMTOSECOND, SEGMENT, SEGMENT)
            if not np.isfinite(path.positions).all():
                raise SystemExit("The trajectory left the numbers: choose a shorter time step.")
            here = here.with_positions(path.positions)
            if phase == "liquid":
                liquid.append(here)
            progress.update(task, advance=1, description=f"{phase} at {temperature:.0f} K")

    result = RadialDistribution(r_max=7.0, bins=280).compute(liquid)
    write(result, options.output)
    low, high = PUBLISHED_PEAK
    neighbours = result.coordination("Si-Si", SHELL)
    console.print(
        f"First peak at {first_peak(result):.3f} Å (published: {low:.2f} and {high:.2f} Å); "
        f"{neighbours.value:.2f} neighbours within {SHELL} Å."
    )


if __name__ == "__main__":
    main()
