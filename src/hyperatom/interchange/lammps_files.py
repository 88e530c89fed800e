"""LAMMPS potentials as one file: the commands of an input, or a potential file that says it all.

A file of commands holds `pair_style`, `pair_coeff` and their like, and where the style has Coulomb
forces `set type N charge Q`. Of a potential file alone (`Si.sw`, `AlCu.eam.alloy`, `Ta.snapcoeff`
with its `.snapparam` beside it) the commands follow from its ending.
"""

import re
from pathlib import Path

from hyperatom.errors import InputError
from hyperatom.interchange.lammps import read_lammps
from hyperatom.interchange.potential_formats import PotentialFormat, Source, head_of
from hyperatom.potentials.compiled_potential import CompiledPotential

STYLES = {
    ".sw": "sw",
    ".tersoff": "tersoff",
    ".eam.alloy": "eam/alloy",
    ".eam.fs": "eam/fs",
    ".eam": "eam",
    ".vashishta": "vashishta",
    ".snapcoeff": "snap",
}

CHARGE = re.compile(r"^\s*set\s+type\s+(\d+)\s+charge\s+(\S+)\s*(#.*)?$")


def read_lammps_file(source: Source) -> CompiledPotential:
    """The potential of a file of commands, or of a potential file, for these species.

    Raises `InputError` for commands that are not understood, and for bad files.
    """
    commands, charges = _commands(source)
    return read_lammps(commands, source.path.parent, source.species, charges)


def _style(path: Path) -> str | None:
    return next((style for end, style in STYLES.items() if path.name.endswith(end)), None)


def _commands(source: Source) -> tuple[list[str], dict[str, float] | None]:
    style, name = _style(source.path), source.path.name
    names = " ".join(source.species)
    if style == "snap":
        name = f"{name} {name.removesuffix('coeff')}param"
    if style == "eam":
        return [f"pair_style {style}", f"pair_coeff 1 1 {name}"], None
    if style is not None:
        return [f"pair_style {style}", f"pair_coeff * * {name} {names}"], None
    commands, charges = [], {}
    text = source.path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        found = CHARGE.match(line)
        if not found:
            commands.append(line)
            continue
        place = int(found.group(1))
        try:
            charges[source.species[place - 1]] = float(found.group(2))
        except (IndexError, ValueError):
            raise InputError(
                f"{source.path}, line {number}: '{line.strip()}' gives no charge of one of the "
                f"{len(source.species)} species.",
                "Expected 'set type N charge Q' with N from 1.",
            ) from None
    return commands, charges or None


def _recognises(path: Path) -> bool:
    if path.is_file() and _style(path) is not None:
        return True
    return re.search(r"^\s*pair_style\s", head_of(path), re.M) is not None


FORMATS = [
    PotentialFormat(
        "lammps",
        "LAMMPS: a file of pair_style commands, or .sw .tersoff .eam* .vashishta .snapcoeff",
        _recognises,
        read_lammps_file,
        species=True,
    )
]
