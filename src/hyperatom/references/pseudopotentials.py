"""Pseudopotentials by species: found in a folder, named in the identity, told apart by content."""

import re
from collections.abc import Mapping
from pathlib import Path

from ase.data import chemical_symbols

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError

_OTHER_FUNCTIONALS = ("pz", "pbesol", "blyp", "tpss", "lda", "pw91", "revpbe", "rel-", "coulomb")


def symbols_of(configuration: Configuration) -> list[str]:
    """Chemical symbols of the species, by ascending atomic number."""
    return [chemical_symbols[z] for z in configuration.species]


def choose_pseudopotentials(
    engine: str, folder: Path, ending: str, symbols: list[str], given: Mapping[str, str]
) -> dict[str, str]:
    """A file for each species: the one given, else a PBE one whose name begins with the symbol.

    Where several fit, the latest of the pslibrary is taken, else the first by name; the choice is
    part of the labels' identity. Raises `InputError` where none fits.
    """
    return {
        symbol: _existing(engine, folder, symbol, given[symbol])
        if symbol in given
        else _found(engine, folder, ending, symbol)
        for symbol in symbols
    }


def _existing(engine: str, folder: Path, symbol: str, name: str) -> str:
    if not (folder / name).is_file():
        near = sorted(path.name for path in folder.glob(f"{symbol}[._-]*"))
        raise InputError(
            f"{engine}: the pseudopotential {name} of {symbol} is not in {folder}.",
            f"There are: {', '.join(near)}." if near else "Put it there, or correct its name.",
        )
    return name


def _found(engine: str, folder: Path, ending: str, symbol: str) -> str:
    pattern = re.compile(rf"{symbol}([._-].*)?\.{ending}", re.IGNORECASE)
    named = [path.name for path in folder.iterdir() if pattern.fullmatch(path.name)]
    fitting = sorted(
        name for name in named if not any(other in name.lower() for other in _OTHER_FUNCTIONALS)
    )
    if not fitting:
        raise InputError(
            f"{engine}: there is no PBE pseudopotential of {symbol} in {folder}"
            + (f" (only {', '.join(sorted(named))})." if named else "."),
            "Put one there, or name a file for it under "
            f"reference.keywords: {{pseudopotentials: {{{symbol}: FILE}}}}.",
        )
    explicit = [name for name in fitting if "pbe" in name.lower()] or fitting
    library = [name for name in explicit if "_psl" in name]
    return library[-1] if library else explicit[0]
