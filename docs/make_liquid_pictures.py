"""Draw the liquid of observables.md: `python docs/make_liquid_pictures.py NVT NPT SWARM`.

NVT and NPT are the finished runs of `benchmarks/liquid_silica.py`, SWARM a finished `hyperatom md
examples/dynamics/liquid_silica_swarm.yaml`, which starts from NVT.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from hyperatom.analysis.mean_squared_displacement import MeanSquaredDisplacement
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.analysis.statistics import estimate_mean
from hyperatom.analysis.structure_factor import StructureFactor
from hyperatom.report.figures import INK, SERIES, STYLE
from hyperatom.report.samples import run_samples
from hyperatom.simulation.assembly import all_walkers
from hyperatom.trajectory import Trajectory
from hyperatom.units import DALTON

HERE = Path(__file__).parent
PRINTED = {**STYLE, "svg.fonttype": "path", "savefig.dpi": 130, "savefig.facecolor": "white"}


def densities(samples: Trajectory) -> np.ndarray:
    """Density of each sample, g/cm^3."""
    cells = samples.source.read(0, len(samples), 1).cells
    return np.asarray(samples.masses.sum() * DALTON / np.abs(np.linalg.det(cells)))


def of_the_liquid(fixed: Trajectory, free: Trajectory, motion: Trajectory) -> Figure:
    """What is exact: structure and density; and the guide's motion from exact starting points."""
    figure = Figure((8.6, 5.6))
    (near, scattered), (dense, moved) = figure.subplots(2, 2)
    RadialDistribution(5.0, 150).compute(fixed).observation.plot(near, ["Si-O", "O-O", "Si-Si"])
    near.set_title("Radial distribution")
    StructureFactor(q_max=14.0).compute(fixed).plot(scattered, ["neutron", "x-ray"])
    scattered.set_title("Structure factors")
    density = densities(free)
    mean = estimate_mean([density], "g/cm³", "exact")
    dense.plot(density, color=SERIES[0], linewidth=1.0)
    dense.axhline(mean.value, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    dense.set_title(f"Density at 0 GPa: {mean}")
    dense.set_xlabel("sample of the chain")
    dense.set_ylabel("g/cm³")
    found = MeanSquaredDisplacement(largest=0.5).compute(motion)
    found.plot(moved)
    moved.set_xscale("log")
    moved.set_yscale("log")
    moved.set_title("Mean squared displacement")
    return figure


fixed, free, swarm = map(Path, sys.argv[1:4])
with mpl.rc_context({**mpl.rcParamsDefault, **PRINTED}):
    figure = of_the_liquid(run_samples(fixed)[0], run_samples(free)[0], all_walkers(swarm))
    figure.savefig(HERE / "liquid-silica.png")
