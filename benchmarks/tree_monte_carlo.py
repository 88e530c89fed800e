"""Does an independent program sample the same ensemble? CP2K's tree Monte Carlo of solid argon.

    python benchmarks/tree_monte_carlo.py [--elements 100000] [--seed 12] [--proposals 1500]
                                          [--folder DIR]

32 Lennard-Jones atoms (Debian's cp2k; `apt-get install --no-install-recommends cp2k`), 40 K and
1000 bar in a cubic cell that breathes. CP2K moves atoms and volumes and judges them itself (M.
Schoenherr, B. Slater, J. Hutter and J. VandeVondele, J. Phys. Chem. B 118, 590 (2014)); our side is
a campaign with a guide that learns from zero, judged by ASE's Lennard-Jones calculator. They share
nothing but the formula. Both weigh a volume by V^N.

| figure      | unit     | meaning                                                         |
|-------------|----------|-----------------------------------------------------------------|
| `.energy_z` |          | difference of mean energies over its standard error             |
| `.volume_z` |          | the same of the volumes                                         |
| `.energy_difference`, `.energy_error` | meV/atom | the difference and that error         |
| `.volume_difference`, `.volume_error` | percent  | the same, of the mean volume          |
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.units import Hartree
from numpy.typing import NDArray

from campaign_runs import production, run_campaign
from figures import Figure, report
from hyperatom.analysis.statistics import Estimate, estimate_mean
from hyperatom.units import MILLI

TEMPERATURE, PRESSURE = 40.0, 0.1  # K, GPa
SIGMA, EPSILON, CUTOFF = 3.4, 0.0104, 6.0  # Å, eV, Å

CAMPAIGN = """
configuration: {{file: {file}}}
temperature: {temperature}
pressure: {pressure}
cell: {{moves: isotropic, centre_of_mass: absolute}}
reference:
  calculator: ase:ase.calculators.lj.LennardJones
  keywords: {{sigma: {sigma}, epsilon: {epsilon}, rc: {cutoff}}}
guide: {{cutoff: 6.0, radial_functions: 10, power_channels: 3, power_degree: 2,
        bispectrum_channels: 0}}
sampling: {{time_step: 8, length: 800, segments: 2}}
seed: 3
produce: {{proposals: {proposals}, guide_samples: 0}}
"""

TREE = """
&GLOBAL
  PROJECT argon
  PROGRAM_NAME TMC
  RUN_TYPE TMC
  PRINT_LEVEL SILENT
  WALLTIME 36000
&END GLOBAL
&MOTION
  &TMC
    GROUP_ENERGY_SIZE 1
    GROUP_ENERGY_NR 1
    GROUP_ANLYSIS_NR 0
    NUM_MC_ELEM {elements}
    RND_DETERMINISTIC {seed}
    TEMPERATURE {temperature}
    PRESSURE {bar}
    VOLUME_ISOTROPIC T
    ENERGY_FILE_NAME forces.inp
    RESTART_OUT 0
    PRINT_ONLY_ACC F
    PRINT_COORDS F
    PRINT_CELL T
    PRINT_ENERGIES T
    INFO_OUT_STEP_SIZE 10000
    &MOVE_TYPE ATOM_TRANS
      SIZE 0.03
      PROB 10
    &END MOVE_TYPE
    &MOVE_TYPE VOL_MOVE
      SIZE 0.1
      PROB 1
    &END MOVE_TYPE
  &END TMC
&END MOTION
"""

FORCES = """
&GLOBAL
  PROJECT forces
  RUN_TYPE ENERGY_FORCE
  PRINT_LEVEL SILENT
&END GLOBAL
&FORCE_EVAL
  METHOD FIST
  &MM
    &FORCEFIELD
      &NONBONDED
        &LENNARD-JONES
          ATOMS Ar Ar
          EPSILON [eV] {epsilon}
          SIGMA [angstrom] {sigma}
          RCUT [angstrom] {cutoff}
        &END LENNARD-JONES
      &END NONBONDED
      &CHARGE
        ATOM Ar
        CHARGE 0
      &END CHARGE
      &SPLINE
        EPS_SPLINE 1e-9
      &END SPLINE
    &END FORCEFIELD
    &POISSON
      &EWALD
        EWALD_TYPE NONE
      &END EWALD
    &END POISSON
  &END MM
  &SUBSYS
    &CELL
      ABC {edge} {edge} {edge}
    &END CELL
    &COORD
{atoms}
    &END COORD
  &END SUBSYS
&END FORCE_EVAL
"""

Array = NDArray[np.float64]


def tree(start: Atoms, elements: int, seed: int, folder: Path) -> tuple[Array, Array]:
    """Energies (n_elements,) in eV and volumes (n_elements,) in Å^3 of CP2K's chain."""
    energies = folder / f"tmc_trajectory_T{TEMPERATURE:.2f}.ener"
    if not energies.exists():
        folder.mkdir(parents=True, exist_ok=True)
        lines = (f"Ar {x:.10f} {y:.10f} {z:.10f}" for x, y, z in start.positions)
        (folder / "tree.inp").write_text(
            TREE.format(elements=elements, seed=seed, temperature=TEMPERATURE, bar=1e4 * PRESSURE)
        )
        (folder / "forces.inp").write_text(
            FORCES.format(
                epsilon=EPSILON,
                sigma=SIGMA,
                cutoff=CUTOFF,
                edge=start.cell[0, 0],
                atoms="\n".join(lines),
            )
        )
        root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        command = "mpirun --oversubscribe -np 2 cp2k.psmp -i tree.inp -o tree.out"  # master, worker
        subprocess.run(command.split(), cwd=folder, env=os.environ | root, check=True)
    found = np.loadtxt(energies)[:, 1] * Hartree
    return found, np.loadtxt(energies.with_suffix(".cell"))[:, -1]


def _means(energies: Array, volumes: Array) -> tuple[Estimate, Estimate]:
    return estimate_mean([energies], "eV", "exact"), estimate_mean([volumes], "Å^3", "exact")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=100_000, help="of CP2K's chain")
    parser.add_argument("--seed", type=int, default=12, help="of CP2K's chain")
    parser.add_argument("--proposals", type=int, default=1500, help="of the frozen guide")
    parser.add_argument("--folder", type=Path, help="keep both runs here, or take them from here")
    given = parser.parse_args()
    if not (shutil.which("cp2k.psmp") and shutil.which("mpirun")):
        sys.exit("CP2K is not here: apt-get install --no-install-recommends cp2k cp2k-data")
    start = bulk("Ar", "fcc", a=5.4, cubic=True) * (2, 2, 2)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "argon.extxyz"
        write(file, start)
        text = CAMPAIGN.format(
            file=file.resolve(),
            temperature=TEMPERATURE,
            pressure=PRESSURE,
            sigma=SIGMA,
            epsilon=EPSILON,
            cutoff=CUTOFF,
            proposals=given.proposals,
        )
        guided = production(run_campaign(text, folder / "campaign"))
        energies, volumes = tree(start, given.elements, given.seed, folder / "tree")

    discard = len(energies) // 20  # on the way from the perfect crystal
    volumes_of_guided = np.array([one.volume for one in guided.configurations])
    ours = _means(guided.energies, volumes_of_guided)
    theirs = _means(energies[discard:], volumes[discard:])
    difference = [a.value - b.value for a, b in zip(ours, theirs, strict=True)]
    error = [float(np.hypot(a.error, b.error)) for a, b in zip(ours, theirs, strict=True)]
    per_atom, percent = 1.0 / (MILLI * len(start)), 100.0 / theirs[1].value
    report(
        [
            Figure("tree_monte_carlo.energy_z", round(difference[0] / error[0], 2)),
            Figure("tree_monte_carlo.volume_z", round(difference[1] / error[1], 2)),
            Figure(
                "tree_monte_carlo.energy_difference", round(difference[0] * per_atom, 4), "meV/atom"
            ),
            Figure("tree_monte_carlo.energy_error", round(error[0] * per_atom, 4), "meV/atom"),
            Figure("tree_monte_carlo.volume_difference", round(difference[1] * percent, 4), "%"),
            Figure("tree_monte_carlo.volume_error", round(error[1] * percent, 4), "%"),
        ],
        "tree_monte_carlo",
        {
            "atoms": len(start),
            "temperature_k": TEMPERATURE,
            "pressure_gpa": PRESSURE,
            "campaign": {
                "energy_ev": asdict(ours[0]),
                "volume_angstrom3": asdict(ours[1]),
                "acceptance": guided.acceptance,
                "calls": guided.calls + guided.learning_calls,
            },
            "cp2k": {
                "energy_ev": asdict(theirs[0]),
                "volume_angstrom3": asdict(theirs[1]),
                "elements": len(energies),
            },
        },
    )


if __name__ == "__main__":
    main()
