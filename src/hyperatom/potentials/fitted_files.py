"""Reads the files of fitted potentials, whatever their family."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from hyperatom.errors import InputError
from hyperatom.potentials.family_catalogue import checked_settings, find_family
from hyperatom.potentials.fitted import FORMAT, Array, FittedPotential


def read_header(path: Path) -> dict[str, Any] | None:
    """The header of a file that `FittedPotential.save` wrote, None for any other file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            header: dict[str, Any] = json.loads(str(file["header"]))
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        return None
    return header if header.get("format") == FORMAT else None


def load_fitted(path: Path) -> FittedPotential:
    """The potential of a file that `save` wrote.

    Raises `InputError` where it is missing, cut off, of another format or of an unknown family.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            arrays = {name: np.array(file[name]) for name in file.files if name != "header"}
        if header.get("format") != FORMAT:
            raise InputError(
                f"{path} has format {header.get('format')!r}, expected {FORMAT!r}.",
                "Give a potential that 'hyperatom fit' wrote.",
            )
        tree = _rebuilt(header["tree"], arrays)
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as problem:
        raise InputError(
            f"{path} is not a readable potential ({type(problem).__name__}).",
            "Give a file that 'hyperatom fit' wrote, whole.",
        ) from problem
    family = find_family(header["family"])
    settings = checked_settings(family, header["settings"])
    species = tuple(header["species"])
    potential = family.assemble(settings, species, tree["parameters"], tree["knowledge"])
    potential.model.capacity = {skin: tuple(slots) for skin, slots in header["capacity"]}
    loaded: FittedPotential = replace(
        potential, name=header["name"], provenance=header["provenance"]
    )
    return loaded


def _rebuilt(described: Any, arrays: Mapping[str, Array]) -> Any:
    if described is None:
        return None
    ((kind, content),) = described.items()
    if kind == "array":
        return arrays[content]
    if kind == "dict":
        return {key: _rebuilt(one, arrays) for key, one in content.items()}
    made = [_rebuilt(one, arrays) for one in content]
    return tuple(made) if kind == "tuple" else made
