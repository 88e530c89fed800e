"""LAMMPS potentials as users have them: the commands of the input, and the files that they name.

    read_lammps(["pair_style sw", "pair_coeff * * Si.sw Si"], folder, ("Si",))

Understood are pair_style, pair_coeff, pair_modify (shift, mix, table), kspace_style (ewald, pppm:
the Coulomb sum is complete here, whatever LAMMPS approximates it with) and comments, in metal
units; styles are those of `STYLES`, alone or together (hybrid/overlay). Everything else is refused.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.interchange.lammps_eam import read_eam, read_eam_alloy
from hyperatom.interchange.lammps_snap import read_snap
from hyperatom.interchange.lammps_stillinger_weber import read_stillinger_weber
from hyperatom.interchange.lammps_tersoff import read_tersoff
from hyperatom.interchange.lammps_vashishta import LAMMPS_COULOMB_CONSTANT, read_vashishta
from hyperatom.potentials.classical.buckingham import buckingham
from hyperatom.potentials.classical.lennard_jones import lennard_jones
from hyperatom.potentials.classical.morse import morse
from hyperatom.potentials.classical.ziegler_biersack_littmark import ziegler_biersack_littmark
from hyperatom.potentials.combined_potentials import total
from hyperatom.potentials.compiled_potential import CompiledPotential

Array = NDArray[np.float64]

MACHINES = re.compile(r"/(omp|opt|gpu|kk|intel)$")
"""Endings of styles that say on what LAMMPS works, not what it computes."""


@dataclass
class Style:
    """One pair style: its arguments, and the words of its pair_coeff commands."""

    name: str
    settings: list[str]
    coefficients: list[list[str]] = field(default_factory=list)


@dataclass
class Input:
    """What the commands say, and what they say it of."""

    folder: Path
    species: tuple[int, ...]
    charges: tuple[float, ...] | None
    styles: list[Style] = field(default_factory=list)
    modifications: dict[str, str] = field(default_factory=dict)
    long_range: bool = False

    @property
    def truncation(self) -> Any:
        """What happens at the cutoffs of pairs, in the words of `pair_sum`."""
        return "shifted" if self.modifications.get("shift") == "yes" else "cut"


def read_lammps(
    commands: Sequence[str],
    folder: Path,
    species: Sequence[str],
    charges: Mapping[str, float] | None = None,
) -> CompiledPotential:
    """The potential that LAMMPS makes of these commands.

    `species` are the chemical symbols of LAMMPS's atom types 1, 2, ...; `charges` in elementary
    charges, of the symbols, where the style has Coulomb forces. Files are looked for in `folder`.
    Raises `InputError` for commands and styles that are not understood, and for bad files.
    """
    from ase.data import atomic_numbers

    unknown = [symbol for symbol in species if symbol not in atomic_numbers]
    if unknown:
        raise InputError(
            f"{', '.join(unknown)}: no chemical symbol.", "Name the element of each atom type."
        )
    given = Input(
        Path(folder),
        tuple(int(atomic_numbers[symbol]) for symbol in species),
        None if charges is None else tuple(float(charges[symbol]) for symbol in species),
    )
    for command in commands:
        words = command.partition("#")[0].split()
        if words:
            _obey(given, words, command)
    if not given.styles:
        raise InputError("There is no pair_style among the commands.", "Give one.")
    parts = []
    for style in given.styles:
        if not style.coefficients:
            raise InputError(f"There is no pair_coeff for {style.name}.", "Give one.")
        parts.append(STYLES[style.name](given, style))
    return parts[0] if len(parts) == 1 else total(parts)


def _obey(given: Input, words: list[str], command: str) -> None:
    name, *rest = words
    if name == "pair_style" and rest:
        given.styles = _styles(rest, command)
    elif name == "pair_coeff" and len(rest) > 2:
        _coefficients(given, rest, command)
    elif name == "pair_modify":
        allowed = {"shift": ("yes", "no"), "mix": ("geometric", "arithmetic"), "table": ("0",)}
        for key, value in zip(rest[::2], rest[1::2], strict=False):
            if value not in allowed.get(key, ()):
                raise _refused(command, f"{key} {value}")
            given.modifications[key] = value
    elif name == "kspace_style" and rest and rest[0] in ("ewald", "pppm"):
        given.long_range = True
    elif words != ["units", "metal"]:
        raise _refused(command, name)


def _refused(command: str, what: str) -> InputError:
    return InputError(
        f"'{command.strip()}': {what} is not understood.",
        f"Styles are {', '.join(STYLES)} and hybrid/overlay of them; other commands are pair_coeff,"
        " pair_modify shift, mix and table 0, kspace_style ewald or pppm.",
    )


def _styles(words: list[str], command: str) -> list[Style]:
    if words[0] != "hybrid/overlay":
        name = MACHINES.sub("", words[0])
        if name not in STYLES:
            raise _refused(command, words[0])
        return [Style(name, words[1:])]
    styles: list[Style] = []
    for word in words[1:]:
        name = MACHINES.sub("", word)
        if name in STYLES:
            if any(style.name == name for style in styles):
                raise _refused(command, f"{name} twice")
            styles.append(Style(name, []))
        elif styles and not word[0].isalpha():
            styles[-1].settings.append(word)
        else:
            raise _refused(command, word)
    return styles


def _coefficients(given: Input, words: list[str], command: str) -> None:
    if not given.styles:
        raise _refused(command, "pair_coeff before pair_style")
    style = given.styles[0]
    if len(given.styles) > 1:
        named = [s for s in given.styles if s.name == MACHINES.sub("", words[2])]
        if not named:
            raise _refused(command, words[2])
        style = named[0]
        words = [*words[:2], *words[3:]]
    style.coefficients.append(words)


def _numbers(words: Sequence[str], count: int, what: str) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise InputError(
            f"'{' '.join(words)}' stands where {count} numbers should be: {what}.",
            "Give them as in LAMMPS' manual.",
        )
    return values


def _types(word: str, n_types: int) -> list[int]:
    # Types as LAMMPS writes them: 2, *, *3, 2*, 2*3; from zero here.
    first, star, last = word.partition("*")
    try:
        low = int(first) if first else 1
        high = int(last) if last else (n_types if star else low)
    except ValueError:
        low, high = 0, 0
    if not 1 <= low <= high <= n_types:
        raise InputError(
            f"'{word}' names no atom types.", f"There are {n_types} species: 1 ... {n_types}."
        )
    return list(range(low - 1, high))


def _tables(given: Input, style: Style, names: tuple[str, ...], defaults: Sequence[float]) -> Array:
    # Parameters of all pairs, (n_parameters, n_species, n_species); NaN where none are given.
    n_types = len(given.species)
    tables = np.full((len(names), n_types, n_types), np.nan)
    required = len(names) - len(defaults)
    for first, second, *words in style.coefficients:
        count = len(words) if required <= len(words) <= len(names) else len(names)
        values = _numbers(words, count, " ".join(names)) + list(defaults)[count - required :]
        for i in _types(first, n_types):
            for j in _types(second, n_types):
                if i <= j or first == second:
                    tables[:, i, j] = tables[:, j, i] = values
                else:
                    raise InputError(
                        f"pair_coeff {first} {second}: the first type is the greater one.",
                        "Give the smaller type first.",
                    )
    return tables


def _complete(tables: Array, style: Style) -> Array:
    if np.isnan(tables).any():
        i, j = np.argwhere(np.isnan(tables[0]))[0] + 1
        raise InputError(
            f"There is no pair_coeff of {style.name} for types {i} and {j}.", "Give one."
        )
    return tables


def _lennard_jones(given: Input, style: Style) -> CompiledPotential:
    default = _numbers(style.settings, 1, "the cutoff")
    tables = _tables(given, style, ("epsilon", "sigma", "cutoff"), default)
    own = np.einsum("pii->pi", tables)
    geometric = np.sqrt(own[:, :, None] * own[:, None, :])
    mixed = geometric.copy()
    if given.modifications.get("mix") == "arithmetic":
        mixed[1:] = 0.5 * (own[1:, :, None] + own[1:, None, :])
    epsilon, sigma, cutoff = _complete(np.where(np.isnan(tables), mixed, tables), style)
    return lennard_jones(given.species, epsilon, sigma, cutoff, given.truncation)


def _morse(given: Input, style: Style) -> CompiledPotential:
    default = _numbers(style.settings, 1, "the cutoff")
    tables = _tables(given, style, ("D0", "alpha", "r0", "cutoff"), default)
    depth, stiffness, minimum, cutoff = _complete(tables, style)
    return morse(given.species, depth, stiffness, minimum, cutoff, given.truncation)


def _buckingham(given: Input, style: Style) -> CompiledPotential:
    default = _numbers(style.settings, 1, "the cutoff")
    tables = _tables(given, style, ("A", "rho", "C", "cutoff"), default)
    amplitude, length, dispersion, cutoff = _complete(tables, style)
    return buckingham(
        given.species, amplitude, length, dispersion, cutoff, truncation=given.truncation
    )


def _buckingham_coulomb(given: Input, style: Style) -> CompiledPotential:
    if given.charges is None or not given.long_range:
        raise InputError(
            "buck/coul/long needs charges and a kspace_style.",
            "Give the charge of each species, and kspace_style ewald as in the LAMMPS input.",
        )
    count = min(max(len(style.settings), 1), 2)
    cutoffs = _numbers(style.settings, count, "the cutoffs of pairs and of the screened charges")
    tables = _tables(given, style, ("A", "rho", "C", "cutoff"), cutoffs[:1])
    amplitude, length, dispersion, cutoff = _complete(tables, style)
    return buckingham(
        given.species,
        amplitude,
        length,
        dispersion,
        cutoff,
        charges=given.charges,
        truncation=given.truncation,
        coulomb_cutoff=cutoffs[-1],
        coulomb_constant=LAMMPS_COULOMB_CONSTANT,
    )


def _ziegler_biersack_littmark(given: Input, style: Style) -> CompiledPotential:
    inner, outer = _numbers(style.settings, 2, "the inner and the outer cutoff")
    tables = _tables(given, style, ("Z", "Z of the other"), ())
    own = np.einsum("pii->pi", tables)
    for i, j in np.argwhere(~np.isnan(tables[0])):
        if i <= j and (tables[0, i, j] != own[0, i] or tables[1, i, j] != own[0, j]):
            raise InputError(
                f"zbl has charges {tables[0, i, j]:g} and {tables[1, i, j]:g} for types {i + 1} "
                f"and {j + 1}, which are not those of the types by themselves.",
                "Give each species one charge, in a pair_coeff for itself first.",
            )
    if np.isnan(own).any():
        raise InputError("zbl lacks a species.", "Give a pair_coeff for each type with itself.")
    return ziegler_biersack_littmark(
        given.species, inner, outer, own[0], coulomb_constant=LAMMPS_COULOMB_CONSTANT
    )


def _file_and_elements(
    given: Input, style: Style, n_files: int = 1
) -> tuple[list[Path], list[str]]:
    # pair_coeff * * file ... element ...
    (first, second, *words), *more = style.coefficients
    names = words[n_files:]
    if more or (first, second) != ("*", "*") or style.settings:
        raise InputError(
            f"{style.name} takes one command 'pair_coeff * * file element ...' and no settings.",
            "Leave out the others.",
        )
    if len(names) != len(given.species) or "NULL" in names:
        raise InputError(
            f"pair_coeff of {style.name} names {' '.join(names) or 'no elements'} for "
            f"{len(given.species)} species.",
            "Name the element of each atom type; NULL is not available.",
        )
    return [given.folder / name for name in words[:n_files]], names


def _of_one_file(
    read: Callable[[Path, Sequence[int], Sequence[str]], CompiledPotential],
) -> Callable[[Input, Style], CompiledPotential]:
    def build(given: Input, style: Style) -> CompiledPotential:
        (path,), names = _file_and_elements(given, style)
        return read(path, given.species, names)

    return build


def _snap(given: Input, style: Style) -> CompiledPotential:
    (coefficients, parameters), names = _file_and_elements(given, style, 2)
    return read_snap(coefficients, parameters, given.species, names)


def _eam(given: Input, style: Style) -> CompiledPotential:
    paths: dict[int, Path] = {}
    n_types = len(given.species)
    for first, second, *words in style.coefficients:
        rows = _types(first, n_types)
        if rows != _types(second, n_types) or len(words) != 1:
            raise InputError(
                f"pair_coeff {first} {second} {' '.join(words)} of eam is not understood.",
                "Give one funcfl file for each type with itself.",
            )
        paths.update(dict.fromkeys(rows, given.folder / words[0]))
    if len(paths) != n_types or style.settings:
        raise InputError("eam needs one funcfl file for each species, and no settings.")
    return read_eam([paths[i] for i in range(n_types)], given.species)


def _finnis_sinclair(
    path: Path, species: Sequence[int], elements: Sequence[str]
) -> CompiledPotential:
    return read_eam_alloy(path, species, elements, finnis_sinclair=True)


STYLES: dict[str, Callable[[Input, Style], CompiledPotential]] = {
    "lj/cut": _lennard_jones,
    "morse": _morse,
    "buck": _buckingham,
    "buck/coul/long": _buckingham_coulomb,
    "zbl": _ziegler_biersack_littmark,
    "sw": _of_one_file(read_stillinger_weber),
    "tersoff": _of_one_file(read_tersoff),
    "vashishta": _of_one_file(read_vashishta),
    "eam": _eam,
    "eam/alloy": _of_one_file(read_eam_alloy),
    "eam/fs": _of_one_file(_finnis_sinclair),
    "snap": _snap,
}
