"""Every stored number of other programs, against ours: the table of docs/conformance.md.

    python benchmarks/conformance.py [--data FOLDER] [--frames N] [--write]

All frames of all cases (or N of each, evenly spread). `--write` renews the table in the document.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from ase.io import read

from figures import Figure, report
from hyperatom.configuration import Configuration
from hyperatom.interchange.aenet import read_aenet
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.interchange.lammps import read_lammps
from hyperatom.interchange.n2p2 import read_n2p2
from hyperatom.interchange.n2p2_folder import UNITS
from hyperatom.interchange.potential_formats import read_potential

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "conformance"
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "conformance.md"
MARKS = ("<!-- table -->", "<!-- end of table -->")
ENERGY, FORCE = 1.0e-6, 1.0e-5
"""eV/atom and eV/Å that are asked for."""

Frame = tuple[Configuration, float, np.ndarray | None]
"""Configuration, stored energy in eV, stored forces in eV/Å."""


@dataclass(frozen=True)
class Case:
    """A potential of another program and what that program says of it."""

    program: str
    name: str
    potential: Any
    frames: list[Frame]
    remark: str = ""


def lammps(folder: Path) -> Iterator[Case]:
    remarks = {"bks_SiO2_dev": "LAMMPS' approximate erfc; corrected for it: 2e-8"}
    for case in sorted((folder / "lammps").iterdir()):
        given = json.loads((case / "case.json").read_text())
        potential = read_lammps(given["commands"], case, given["species"], given["charges"])
        yield Case("LAMMPS", case.name, potential, of_ase(case), remarks.get(case.name, ""))


def of_ase(case: Path) -> list[Frame]:
    """Frames of an extended XYZ file."""
    frames = read(case / "expected.xyz", ":")
    return [(from_ase(a), float(a.get_potential_energy()), a.get_forces()) for a in frames]


def n2p2(folder: Path) -> Iterator[Case]:
    for case in sorted((folder / "n2p2").iterdir()):
        content = json.loads((case / "expected.json").read_text())
        units = "eV-Angstrom" if content["units"].startswith("eV") else "Hartree-Bohr"
        unit = UNITS[units]
        remark, source = "", case
        if case.name == "Carbon_chain_4G":
            remark = "short-range networks of the case are zero; its own files contradict that"
            source = Path(tempfile.mkdtemp()) / case.name
            shutil.copytree(case, source, copy_function=shutil.copyfile)
            for number, n_inputs in ((1, 25), (6, 37)):
                count = (n_inputs + 1) * 15 + 16 * 15 + 16
                (source / f"weights.{number:03d}.data").write_text("0.0\n" * count)
        potential = read_n2p2(source, units)
        frames: list[Frame] = []
        thin = 0
        for here, stored in zip(
            n2p2_configurations(case / "input.data", unit.length),
            content["structures"],
            strict=True,
        ):
            forces = unit.energy / unit.length * np.array(stored["forces_nnp"])
            if shortest_period(here) < potential.cutoff:
                thin += 1
                frames.append((here, unit.energy * stored["energy_nnp"], None))
            else:
                frames.append((here, unit.energy * stored["energy_nnp"], forces))
        if thin:
            remark = f"{thin} thin cells, where n2p2's forces are no derivatives: energies only"
        yield Case("n2p2", case.name, potential, frames, remark)


def n2p2_configurations(path: Path, length: float) -> list[Configuration]:
    """Configurations of n2p2's input.data, whose unit of length is `length` Å."""
    found = []
    cell: list[list[float]] = []
    numbers: list[int] = []
    positions: list[list[float]] = []
    for words in filter(None, map(str.split, path.read_text().splitlines())):
        if words[0] == "begin":
            cell, numbers, positions = [], [], []
        elif words[0] == "lattice":
            cell.append([float(word) for word in words[1:4]])
        elif words[0] == "atom":
            positions.append([float(word) for word in words[1:4]])
            numbers.append(atomic_numbers[words[4]])
        elif words[0] == "end":
            box = length * np.array(cell) if cell else np.zeros((3, 3))
            masses = np.ones(len(numbers))
            there = length * np.array(positions)
            found.append(Configuration(numbers, there, box, [bool(cell)] * 3, masses))
    return found


def shortest_period(here: Configuration) -> float:
    """Length of the shortest lattice vector, Å; infinite for an isolated configuration."""
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    steps = steps[(steps != 0).any(axis=1)]
    lengths = np.linalg.norm(steps @ here.cell, axis=1)
    return float(lengths.min()) if here.periodic.all() else np.inf


def aenet(folder: Path) -> Iterator[Case]:
    for case in sorted((folder / "aenet").iterdir()):
        potential = read_aenet(sorted(case.glob("*.nn*")))
        if (case / "expected.xyz").exists():
            yield Case("aenet", case.name, potential, of_ase(case), "aenet prints forces to 1e-6")
            continue
        frames: list[Frame] = []
        for one in json.loads((case / "expected.json").read_text())["structures"]:
            numbers = [atomic_numbers[symbol] for symbol in one["symbols"]]
            here = Configuration(
                numbers, one["positions"], np.zeros((3, 3)), [False] * 3, np.ones(len(numbers))
            )
            frames.append((here, one["total_energy"], np.array(one["forces"])))
        yield Case("aenet", case.name, potential, frames)


def quip(folder: Path) -> Iterator[Case]:
    case = folder / "gap_quip"
    atoms = read(case / "gap_sample.xyz")
    forces = atoms.arrays["force"] if "force" in atoms.arrays else atoms.get_forces()
    frame = (from_ase(atoms), float(atoms.get_potential_energy()), forces)
    yield Case("QUIP", "gap_quip: GAP of water", read_potential(case / "GAP.xml"), [frame])
    said = json.loads((case / "SW_expected.json").read_text())
    n = len(said["positions"])
    here = Configuration(
        np.full(n, 14), said["positions"], np.diag(said["cell"]), [True] * 3, np.ones(n)
    )
    frames = [(here, said["energy"], np.array(said["forces"]).reshape(-1, 3))]
    potential = read_potential(case / "SW_pot.xml")
    yield Case("QUIP", "gap_quip: Stillinger-Weber", potential, frames)


def nep(folder: Path) -> Iterator[Case]:
    case = folder / "nep" / "PbTe_nep_prediction"
    frames = read(case / "train.xyz", ":")
    energies = np.loadtxt(case / "energy_train.out")[:, 0]
    forces = np.loadtxt(case / "force_train.out")[:, :3].reshape(len(frames), -1, 3)
    yield Case(
        "GPUMD",
        case.name,
        read_potential(case / "nep.txt"),
        [
            (from_ase(a), float(e) * len(a), f)
            for a, e, f in zip(frames, energies, forces, strict=True)
        ],
        "GPUMD works in single precision and prints energies to 1e-5",
    )


def compare(case: Case, limit: int | None) -> tuple[int, float, float]:
    """Number of frames, largest difference of energy (eV/atom) and of a force (eV/Å)."""
    step = 1 if limit is None else max(1, len(case.frames) // limit)
    chosen = sorted(case.frames[::step], key=lambda frame: frame[0].n_atoms)
    energies, forces = [0.0], [0.0]
    # Slots for the densest frame, so that frames of equally many atoms are compiled once.
    model = case.potential.model
    slots = [model.lists(here, 0.0).make(here.positions).slots for here, _, _ in chosen]
    model.capacity = {0.0: tuple(int(n) for n in np.max(slots, axis=0))}
    for here, energy, force in chosen:
        found = case.potential.evaluate(here)
        energies.append(abs(found.energy - energy) / here.n_atoms)
        if force is not None:
            forces.append(float(np.abs(found.forces - force).max()))
    return len(chosen), max(energies), max(forces)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--frames", type=int, help="of each case; all where not given")
    parser.add_argument("--write", action="store_true", help="renew docs/conformance.md")
    given = parser.parse_args()
    rows, figures, details = [], [], []
    for cases in (lammps, n2p2, aenet, quip, nep):
        for case in cases(given.data):
            count, energy, force = compare(case, given.frames)
            within = energy <= ENERGY and force <= FORCE
            remark = case.remark if case.remark or within else "NOT WITHIN the tolerances"
            words = (case.program, case.name, count, f"{energy:.1e}", f"{force:.1e}", remark)
            rows.append("| " + " | ".join(map(str, words)) + " |")
            print(rows[-1], file=sys.stderr, flush=True)
            details.append([case.program, case.name, count, energy, force, remark])
            figures.append(Figure(f"conformance.{case.name}".replace(" ", "_"), energy, "eV/atom"))
    table = [
        "| program | case | frames | energy (eV/atom) | force (eV/Å) | remark |",
        "|---|---|---|---|---|---|",
        *rows,
    ]
    if given.write:
        text = DOCUMENT.read_text()
        before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
        DOCUMENT.write_text("\n".join([before + MARKS[0], "", *table, "", MARKS[1]]) + after)
    report(figures, "conformance", {"cases": details})


if __name__ == "__main__":
    main()
