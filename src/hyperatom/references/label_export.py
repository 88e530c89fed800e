"""Labels as extended XYZ, the text that most other programs read; floats in full."""

from collections.abc import Iterable
from pathlib import Path

from hyperatom.references.label import Label


def write_extended_xyz(labels: Iterable[Label], path: Path | str) -> int:
    """Write labels (Å, eV, eV/Å, eV/Å^3; stress in ASE's sign) to a file; returns how many."""
    count = 0
    with Path(path).open("w", encoding="utf-8") as file:
        for label in labels:
            file.write(extended_xyz(label))
            count += 1
    return count


def extended_xyz(label: Label) -> str:
    """One frame of extended XYZ."""
    from ase.data import chemical_symbols

    configuration, evaluation = label.configuration, label.evaluation
    header = [
        "Properties=species:S:1:pos:R:3:masses:R:1:forces:R:3",
        f"energy={evaluation.energy!r}",
        f'pbc="{" ".join("T" if periodic else "F" for periodic in configuration.periodic)}"',
        f"label_key={label.key}",
    ]
    if configuration.cell.any():
        header.insert(0, f'Lattice="{_numbers(configuration.cell.ravel())}"')
    if evaluation.energy_error is not None:
        header.append(f"energy_error={evaluation.energy_error!r}")
    if evaluation.stress is not None:
        full = evaluation.stress[[0, 5, 4, 5, 1, 3, 4, 3, 2]]
        header.append(f'stress="{_numbers(full)}"')
    atoms = zip(
        configuration.numbers,
        configuration.positions,
        configuration.masses,
        evaluation.forces,
        strict=True,
    )
    lines = [
        f"{chemical_symbols[number]} {_numbers(position)} {float(mass)!r} {_numbers(force)}"
        for number, position, mass, force in atoms
    ]
    return "\n".join([str(configuration.n_atoms), " ".join(header), *lines, ""])


def _numbers(values: Iterable[float]) -> str:
    return " ".join(repr(float(value)) for value in values)
