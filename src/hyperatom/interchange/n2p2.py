"""Potentials of n2p2 and RuNNer: a folder with input.nn, scaling.data and weights.*.data.

Formats: the manual of n2p2 (Singraber, Behler and Dellago, J. Chem. Theory Comput. 15, 1827
(2019)). Files do not say in which units they are; whoever reads one does. Hartree and Bohr are
those of `units.py`; stored energies and forces do not depend on the choice, as long as positions
are converted with the same.
"""

from pathlib import Path
from typing import Any

import numpy as np

from hyperatom.errors import InputError
from hyperatom.interchange.n2p2_files import read_number
from hyperatom.interchange.n2p2_folder import (
    UNITS,
    N2p2Folder,
    by_element,
    generation,
    read_folder,
    units_by_name,
    value,
)
from hyperatom.interchange.n2p2_writing import write_n2p2
from hyperatom.interchange.potential_formats import PotentialFormat, Source
from hyperatom.potentials.behler_parrinello import behler_parrinello
from hyperatom.potentials.charge_equilibration import (
    ChargeEquilibration,
    Screening,
    charge_equilibrated,
)
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.potentials.features.symmetry_functions import SymmetryFunctions


def read_n2p2(folder: str | Path, units: str) -> CompiledPotential:
    """The potential of an n2p2 or RuNNer folder; `units` is a name of `UNITS`.

    Second and fourth generation. Raises `InputError`, with file and line, for files that are
    missing, damaged, inconsistent, or that ask for what we do not have.
    """
    content = read_folder(Path(folder), units_by_name(units))
    if generation(content.keywords) == 4:
        return _fourth_generation(content)
    networks, layers = content.networks("short", "weights", 0)
    features = SymmetryFunctions(content.species, content.functions, content.cutoff_function)
    parameters = _energies(content, layers)
    return behler_parrinello(
        features, networks, parameters, f"n2p2 potential {content.folder.name}"
    )


def _energies(content: N2p2Folder, layers: Any) -> list[dict[str, Any]]:
    """Parameters of `BehlerParrinelloEnergy` for networks that give the energy of an atom."""
    keywords, energy = content.keywords, content.units.energy
    mean = value(keywords, "mean_energy", 0.0)
    conversion = value(keywords, "conv_energy", 1.0)
    offsets = by_element(keywords, "atom_energy", content.species)
    return [
        {
            "shift": content.shift[place],
            "stretch": content.stretch[place],
            "layers": own,
            "scale": np.float64(energy / conversion),
            "offset": np.float64(energy * (mean + offsets.get(number, 0.0))),
        }
        for place, (number, own) in enumerate(zip(content.species, layers, strict=True))
    ]


def _fourth_generation(content: N2p2Folder) -> CompiledPotential:
    keywords, units = content.keywords, content.units
    for name in ("mean_energy", "conv_energy", "conv_length"):
        if name in keywords:
            keywords[name][0].fault(
                f"'{name}' is not supported together with charges.", "Train without normalisation."
            )
    energies, layers = content.networks("short", "weights", 1)
    chi, chi_layers = content.networks("electrostatic", "weightse", 0)
    widths = by_element(keywords, "fixed_gausswidth", content.species)
    if set(widths) != set(content.species):
        raise InputError(
            f"{content.folder / 'input.nn'} has no fixed_gausswidth for every element.",
            "The file may be cut off: get it again.",
        )
    hardness = [
        read_number(content.folder / f"hardness.{number:03d}.data") for number in content.species
    ]
    parameters = {
        "energies": _energies(content, layers),
        "electronegativities": [
            {**own, "offset": np.float64(0.0)} for own in _energies(content, chi_layers)
        ],
        "hardness": units.energy * np.array(hardness),
        "width": units.length * np.array([widths[number] for number in content.species]),
    }
    features = SymmetryFunctions(content.species, content.functions, content.cutoff_function)
    equilibration = ChargeEquilibration(features, energies, chi, _screening(content))
    return charge_equilibrated(
        equilibration, parameters, f"n2p2 potential {content.folder.name} with charges"
    )


def _screening(content: N2p2Folder) -> Screening | None:
    if "screen_electrostatics" not in content.keywords:
        return None
    line = content.keywords["screen_electrostatics"][0]
    line.expect(3)
    length = content.units.length
    try:
        return Screening(length * line.real(1), length * line.real(2))
    except InputError as error:
        line.fault(error.problem, error.cure)


def _recognises(path: Path) -> bool:
    return path.is_dir() and (path / "input.nn").is_file()


def _read(source: Source) -> CompiledPotential:
    return read_n2p2(source.path, source.units or "")


FORMATS = [
    PotentialFormat(
        "n2p2",
        "networks of symmetry functions of n2p2 and RuNNer, a folder with input.nn",
        _recognises,
        _read,
        write_n2p2,
        units=tuple(UNITS),
    )
]
