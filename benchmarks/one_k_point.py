"""What a thin cell costs where one k-point is taken for all: zeolites with GFN1-xTB.

    python benchmarks/one_k_point.py [--data FOLDER] [--topologies ewo mtt yug bre edi uoe]

GFN1-xTB sees a periodic cell at the zone centre alone. The first frame of each topology is
calculated in its cell and in two of them along its shortest edge: a converged calculation would say
the same of both. Figures: `one_k_point.TOPOLOGY.edge` (Å), `.energy` (meV/atom, one cell less two)
and `.force` (meV/Å, root mean square). Errors that potentials make of the same frames are told in
docs/accuracy.md.
"""

import argparse
from pathlib import Path

import numpy as np

from accuracy import DATA, SETS
from figures import Figure, report


def main() -> None:
    """Calculate, compare, print."""
    parser = argparse.ArgumentParser(description="One k-point in thin cells.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the reference data")
    thin_and_not = ["ewo", "mtt", "edi", "yug", "bre", "uoe"]
    parser.add_argument("--topologies", nargs="+", default=thin_and_not)
    given = parser.parse_args()
    file = given.data / SETS["zeolites"].file
    if not file.is_file():
        print(f"{file} is missing, no figure")
        return
    from ase.io import read
    from tblite.ase import TBLite

    frames = read(file, ":")
    figures = []
    for topology in given.topologies:
        one = next(atoms for atoms in frames if atoms.info["config_type"] == topology).copy()
        edges = one.cell.lengths()
        two = one.repeat(1 + (np.arange(3) == edges.argmin()))
        energies, forces = [], []
        for atoms in (one, two):
            atoms.calc = TBLite(method="GFN1-xTB", verbosity=0)
            energies.append(atoms.get_potential_energy() / len(atoms))
            forces.append(atoms.get_forces()[: len(one)])
        name, apart = f"one_k_point.{topology}", np.sqrt(np.mean((forces[0] - forces[1]) ** 2))
        figures += [
            Figure(f"{name}.edge", round(float(edges.min()), 2), "A"),
            Figure(f"{name}.energy", round(1e3 * (energies[0] - energies[1]), 2), "meV/atom"),
            Figure(f"{name}.force", round(1e3 * float(apart), 1), "meV/A"),
        ]
    report(figures, "one_k_point")


if __name__ == "__main__":
    main()
