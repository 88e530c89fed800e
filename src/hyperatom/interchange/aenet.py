"""Potentials of aenet: a network file for each element, text or binary.

Formats: the manual of aenet (Artrith and Urban, Computational Materials Science 114, 135 (2016)).
Energies in eV with those of free atoms, lengths in Å.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hyperatom.errors import InputError
from hyperatom.interchange.aenet_files import (
    ACTIVATIONS,
    AenetNetwork,
    looks_like_network,
    read_network_file,
)
from hyperatom.interchange.aenet_writing import write_aenet
from hyperatom.interchange.potential_formats import PotentialFormat, Source
from hyperatom.potentials.behler_parrinello import (
    ElementNetwork,
    Features,
    JoinedFeatures,
    behler_parrinello,
)
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.potentials.features.chebyshev_features import ChebyshevFeatures
from hyperatom.potentials.features.cutoff_functions import CutoffFunction
from hyperatom.potentials.features.symmetry_functions import (
    AngularFunction,
    Function,
    RadialFunction,
    SymmetryFunctions,
)

FLAT = 1.0e-10
"""A feature with a smaller standard deviation is not used, as in aenet."""


def read_aenet(files: Sequence[str | Path]) -> CompiledPotential:
    """The potential of aenet's network files, one for each element.

    Distances below the shortest of the training set (RMIN), which aenet refuses, are evaluated.
    Raises `InputError`, naming the file, for what is damaged or what we do not have.
    """
    networks = [read_network_file(Path(file)) for file in files]
    by_number: dict[int, AenetNetwork] = {}
    for network in networks:
        number = _number(network, network.symbol)
        if number in by_number:
            raise InputError(
                f"{by_number[number].path} and {network.path} are both for {network.symbol}.",
                "Give one file for each element.",
            )
        by_number[number] = network
    if not by_number:
        raise InputError("No network files were given.", "Give one for each element.")
    species = tuple(sorted(by_number))
    parts: dict[Any, tuple[Features, int]] = {}
    elements, parameters = [], []
    n_features = 0
    for number in species:
        network = by_number[number]
        key, part = _features(network, species)
        if key not in parts:
            parts[key] = (part, n_features)
            n_features += part.n_features
        start = parts[key][1]
        columns = tuple(range(start, start + part.n_features))
        elements.append(ElementNetwork(columns, _activations(network)))
        parameters.append(_parameters(network))
    features = JoinedFeatures([part for part, _ in parts.values()])
    names = ", ".join(by_number[number].path.name for number in species)
    return behler_parrinello(features, elements, parameters, f"aenet potential {names}")


def _features(network: AenetNetwork, species: tuple[int, ...]) -> tuple[Any, Features]:
    around = [_number(network, symbol) for symbol in network.environment]
    if not set(species) <= set(around):
        raise InputError(
            f"{network.path} is for the environment {' '.join(network.environment)}, which lacks"
            " a species of the other networks.",
            "Give networks that were trained together.",
        )
    if network.basis.lower() == "chebyshev":
        return _chebyshev(network, species, around)
    if network.basis.lower() == "behler2011":
        if len(network.statistics) == 4 and list(network.environment) != list(network.atoms):
            raise InputError(
                f"{network.path} lists the species as {' '.join(network.environment)} in the set-up"
                f" and as {' '.join(network.atoms)} in the training set; which set-up aenet then"
                " takes for which element depends on its other input.",
                "Train with the same order in both.",
            )
        functions = _behler(network, around)
        return functions, SymmetryFunctions(species, functions, CutoffFunction("cosine"))
    raise InputError(
        f"{network.path} uses the basis '{network.basis}', which is not supported.",
        "Chebyshev and Behler2011 are.",
    )


def _chebyshev(
    network: AenetNetwork, species: tuple[int, ...], around: list[int]
) -> tuple[Any, Features]:
    radial_cutoff, radial_order, angular_cutoff, angular_order = network.settings[0, :4].tolist()
    # Weights of n species: -n/2 ... n/2 without zero if n is even, in the order of the file.
    half = len(around) // 2
    ladder = [w for w in range(-half, half + 1) if w != 0 or len(around) % 2]
    weight_of = dict(zip(around, ladder, strict=True))
    weights = tuple(weight_of[number] for number in species) if len(around) > 1 else None
    key = (species, weights, radial_cutoff, radial_order, angular_cutoff, angular_order)
    part = ChebyshevFeatures(
        species, weights, radial_cutoff, round(radial_order), angular_cutoff, round(angular_order)
    )
    if part.n_features != network.nodes[0]:
        raise InputError(
            f"{network.path} has {network.nodes[0]} inputs for {part.n_features} Chebyshev"
            " features.",
            "The file is damaged, or of a version of aenet that is not known.",
        )
    return key, part


def _behler(network: AenetNetwork, around: list[int]) -> tuple[Function, ...]:
    # aenet's inputs are sorted: by the first neighbour species; radial before angular; by the
    # second neighbour species; by kind; then as they stand in the file.
    if len(network.statistics) == 3:
        # Versions before 1.0 count the species as in the training set.
        rank = [list(network.atoms).index(symbol) + 1 for symbol in network.environment]
    else:
        rank = list(range(1, len(around) + 1))
    around = [number for _, number in sorted(zip(rank, around, strict=True))]
    rows = []
    for place, kind in enumerate(network.kinds.tolist()):
        angular = kind in (4, 5)
        # The second neighbour of a radial function is not set: anything may stand there.
        partners = network.partners[place, : 2 if angular else 1].tolist()
        if kind not in (1, 2, 4, 5) or not all(1 <= n <= len(around) for n in partners):
            raise InputError(
                f"{network.path} has a symmetry function G{kind} of the neighbours {partners},"
                " which is not supported.",
                "G1, G2, G4 and G5 of the species of the environment are.",
            )
        ranks = sorted(rank[partner - 1] for partner in partners)
        low, high = ranks[0], ranks[-1] if angular else 0
        rows.append(((low, angular, high, kind, place), network.settings[place].tolist()))
    functions: list[Function] = []
    for (low, angular, high, kind, _), (cutoff, second, third, fourth) in sorted(rows):
        if angular:
            partners = (around[low - 1], around[high - 1])
            functions.append(
                AngularFunction(partners, fourth, second, third, cutoff, narrow=kind == 4)
            )
        else:
            shift, eta = (second, third) if kind == 2 else (0.0, 0.0)
            functions.append(RadialFunction(around[low - 1], eta, shift, cutoff))
    return tuple(functions)


def _activations(network: AenetNetwork) -> tuple[str, ...]:
    if not all(0 <= number < len(ACTIVATIONS) for number in network.activations):
        raise InputError(
            f"{network.path} has activation functions {network.activations}.",
            f"Only numbers up to {len(ACTIVATIONS) - 1} are known.",
        )
    return tuple(ACTIVATIONS[number] for number in network.activations)


def _parameters(network: AenetNetwork) -> dict[str, Any]:
    layers, start = [], 0
    for n_in, n_out in zip(network.nodes[:-1], network.nodes[1:], strict=True):
        end = start + (n_in + 1) * n_out
        matrix = network.weights[start:end].reshape(n_in + 1, n_out)
        layers.append((matrix[:-1], matrix[-1]))
        start = end
    low, high, mean = network.statistics[:3]
    if len(network.statistics) == 4:
        deviation = np.sqrt(np.maximum(network.statistics[3] - mean**2, 0.0))
    else:
        # Versions before 1.0 bring the features into [-1, 1].
        deviation = np.maximum(high - mean, mean - low)
    used = deviation > FLAT
    if network.symbol not in network.atoms or network.scale == 0.0:
        raise InputError(
            f"{network.path} has no energy of a free {network.symbol} atom, or a scale of zero.",
            "The file is damaged: get it again.",
        )
    scale, shift = (network.scale, network.shift) if network.normalised else (1.0, 0.0)
    return {
        "shift": mean,
        "stretch": np.where(used, 1.0 / np.where(used, deviation, 1.0), 0.0),
        "layers": layers,
        "scale": np.float64(1.0 / scale),
        "offset": np.float64(shift + network.atoms[network.symbol]),
    }


def _number(network: AenetNetwork, symbol: str) -> int:
    from ase.data import atomic_numbers

    if symbol not in atomic_numbers or symbol == "X":
        raise InputError(
            f"{network.path} is for '{symbol}', which is no chemical element.",
            "The file is damaged, or of a version of aenet that is not known.",
        )
    return int(atomic_numbers[symbol])


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in sorted(path.iterdir()) if ".nn" in file.name and file.is_file()]


def _recognises(path: Path) -> bool:
    files = _files(path)
    return bool(files) and all(map(looks_like_network, files))


def _read(source: Source) -> CompiledPotential:
    return read_aenet(_files(source.path))


FORMATS = [
    PotentialFormat(
        "aenet",
        "aenet's networks of Chebyshev features or symmetry functions, a folder of *.nn files",
        _recognises,
        _read,
        write_aenet,
    )
]
