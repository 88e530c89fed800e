"""Draw the pictures of observables.md: `python docs/make_analysis_pictures.py RUN SWARM`.

RUN is a finished `hyperatom run examples/quartz_demo.yaml`, SWARM a finished `hyperatom md
examples/dynamics/quartz_swarm.yaml`, which starts from it.
"""

import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from hyperatom.analysis.heat_capacity import HeatCapacity
from hyperatom.analysis.mean_squared_displacement import MeanSquaredDisplacement
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.analysis.structure_factor import StructureFactor
from hyperatom.analysis.vibrations import VibrationalDensityOfStates
from hyperatom.report.figures import INK, SERIES, STYLE
from hyperatom.report.samples import run_samples
from hyperatom.simulation.assembly import all_walkers
from hyperatom.trajectory import Trajectory

HERE = Path(__file__).parent
PRINTED = {**STYLE, "svg.fonttype": "path", "savefig.dpi": 130, "savefig.facecolor": "white"}


def of_the_run(samples: Trajectory, temperature: float) -> Figure:
    """What is exact: structure and heat capacity."""
    figure = Figure((8.6, 5.4))
    (near, far), (scattered, heat) = figure.subplots(2, 2)
    rdf = RadialDistribution(8.0, 200).compute(samples).observation
    rdf.plot(near, ["Si-O"])
    rdf.plot(far, ["O-O", "Si-Si"])
    near.set_title("Radial distribution, Si–O")
    far.set_title("Radial distribution, O–O and Si–Si")
    sq = StructureFactor(q_max=14.0).compute(samples)
    sq.plot(scattered, ["neutron", "x-ray"])
    scattered.set_title("Structure factors")
    c = HeatCapacity(temperature).compute(samples)
    for place, (name, number) in enumerate(c.numbers.items()):
        heat.errorbar(number.value, -place, xerr=number.error, fmt="o", capsize=4,
                      color=SERIES[place])  # fmt: skip
        heat.annotate(f"{name}: {number}", (number.value, -place), xytext=(0, 9),
                      textcoords="offset points", ha="center")  # fmt: skip
    n = samples.n_atoms
    heat.axvline(3.0 * (n - 1) / n, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    heat.set_title("Heat capacity (dashed: Dulong and Petit)")
    heat.set_xlabel("k_B per atom")
    heat.set_yticks([])
    heat.set_xlim(0.4, 3.6)
    heat.set_ylim(0.7 - len(c.numbers), 0.7)
    return figure


def of_the_swarm(motion: Trajectory) -> Figure:
    """What is dynamics of the guide, from exact starting points."""
    figure = Figure((8.6, 2.9))
    left, right = figure.subplots(1, 2)
    vdos = VibrationalDensityOfStates(0.5).compute(motion)
    vdos.plot(left)
    left.set_xlim(0.0, 45.0)
    left.set_title("Vibrational density of states")
    msd = MeanSquaredDisplacement(largest=0.5).compute(motion)
    msd.plot(right)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_title("Mean squared displacement")
    return figure


run, swarm = map(Path, sys.argv[1:3])
samples, held = run_samples(run)
assert held.temperature is not None
with mpl.rc_context({**mpl.rcParamsDefault, **PRINTED}):
    of_the_run(samples, held.temperature).savefig(HERE / "quartz-statics.png")
    of_the_swarm(all_walkers(swarm)).savefig(HERE / "quartz-motion.png")
