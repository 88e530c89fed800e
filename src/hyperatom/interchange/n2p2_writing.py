"""Behler-Parrinello potentials written as an n2p2 folder, in n2p2's own number formats."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.interchange.n2p2_folder import (
    ACTIVATION_LETTERS,
    CUTOFF_TYPES,
    n2p2_order,
    n2p2_type,
    units_by_name,
)
from hyperatom.potentials.behler_parrinello import BehlerParrinelloEnergy, ElementNetwork
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.potentials.features.symmetry_functions import (
    ANY,
    Function,
    RadialFunction,
    SymmetryFunctions,
)

LETTERS = {name: letter for letter, name in ACTIVATION_LETTERS.items()}


def write_n2p2(
    potential: CompiledPotential, folder: str | Path, units: str = "eV-Angstrom"
) -> None:
    """Write input.nn, scaling.data and weights.*.data; `units` is a name of `UNITS`.

    Features are scaled by mean and sigma, energies of free atoms become atom_energy. Raises
    `InputError` for what these files cannot hold: other features than symmetry functions, networks
    of different shapes, activation functions that n2p2 does not have.
    """
    unit = units_by_name(units)
    energy, features = _symmetry_function_energy(potential)
    hidden, activations = _common_shape(energy.networks, potential.parameters)
    scale = _common_scale(activations, potential.parameters)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"# {potential.name}",
        f"# Units: {units.replace('-', ', ')}.",
        f"number_of_elements {len(potential.species)}",
        f"elements {' '.join(map(_symbol, potential.species))}",
    ]
    for number, own in zip(potential.species, potential.parameters, strict=True):
        offset = float(own["offset"]) / unit.energy
        lines.append(f"atom_energy {_symbol(number)} {offset:24.16E}")
    if scale != 1.0:
        lines += ["mean_energy 0.0", f"conv_energy {unit.energy / scale:24.16E}", "conv_length 1.0"]
    window = features.cutoff_function
    lines += [
        f"cutoff_type {CUTOFF_TYPES.index(window.shape)} {window.inner!r}",
        "scale_symmetry_functions_sigma",
        "scale_min_short 0.0",
        "scale_max_short 1.0",
        f"global_hidden_layers_short {len(hidden)}",
        f"global_nodes_short {' '.join(map(str, hidden))}",
        f"global_activation_short {' '.join(LETTERS[name] for name in activations)}",
    ]
    scaling = []
    elements = zip(potential.species, energy.networks, potential.parameters, strict=True)
    ascending = sorted(elements, key=lambda element: element[0])
    for place, (number, network, own) in enumerate(ascending):
        functions = [features.functions[column] for column in network.columns]
        converted = [_line(_symbol(number), function, unit.length) for function in functions]
        order = sorted(range(len(functions)), key=lambda k: n2p2_order(functions[k]))
        lines += [converted[k] for k in order]
        used = own["stretch"] != 0.0
        sigma = 1.0 / np.where(used, own["stretch"], 1.0)
        for rank, k in enumerate(order):
            mean = float(own["shift"][k])
            numbers = " ".join(f"{value:24.16E}" for value in (mean, mean, mean, sigma[k]))
            scaling.append(f"{place + 1:10d} {rank + 1:10d} {numbers}")
        layers = [(np.array(weights), np.array(biases)) for weights, biases in own["layers"]]
        layers[0] = (np.where(used[:, None], layers[0][0], 0.0)[order], layers[0][1])
        if activations[-1] == "linear":
            factor = float(own["scale"]) / unit.energy
            layers[-1] = (layers[-1][0] * factor, layers[-1][1] * factor)
        _write(folder / f"weights.{number:03d}.data", _weight_lines(layers))
    _write(folder / "input.nn", lines)
    _write(folder / "scaling.data", scaling)


def _symmetry_function_energy(
    potential: CompiledPotential,
) -> tuple[BehlerParrinelloEnergy, SymmetryFunctions]:
    energy = potential.model.atomic_energy
    if (
        not isinstance(energy, BehlerParrinelloEnergy)
        or not isinstance(energy.features, SymmetryFunctions)
        or potential.model.long_range is not None
    ):
        raise InputError(
            f"The potential '{potential.name}' is not one of networks of symmetry functions.",
            "Only these can be written in n2p2's format.",
        )
    for function in energy.features.functions:
        if isinstance(function, RadialFunction) or function.narrow:
            continue
        if ANY in function.neighbours:
            raise InputError(
                f"n2p2 has no weighted wide function like {function}.",
                "Only symmetry functions of n2p2 can be written.",
            )
    return energy, energy.features


def _common_shape(
    networks: Sequence[ElementNetwork], parameters: Any
) -> tuple[list[int], tuple[str, ...]]:
    shapes = {
        (tuple(len(biases) for _, biases in own["layers"][:-1]), network.activations)
        for network, own in zip(networks, parameters, strict=True)
    }
    if len(shapes) != 1:
        raise InputError(
            "The networks of the elements have different shapes.",
            "n2p2's input.nn holds one shape for all.",
        )
    ((hidden, activations),) = shapes
    missing = set(activations) - set(LETTERS)
    if missing:
        raise InputError(
            f"n2p2 has no activation function '{', '.join(sorted(missing))}'.",
            f"It has {', '.join(LETTERS)}.",
        )
    return list(hidden), activations


def _common_scale(activations: tuple[str, ...], parameters: Any) -> float:
    # A linear output takes the scale into its weights; others need one conv_energy for all.
    if activations[-1] == "linear":
        return 1.0
    scales = {float(own["scale"]) for own in parameters}
    if len(scales) != 1:
        raise InputError(
            "The networks of the elements have different scales and an output that is not linear.",
            "n2p2 has one conv_energy for all.",
        )
    return scales.pop()


def _line(centre: str, function: Function, length: float) -> str:
    eta, shift = function.eta * length * length, function.shift / length
    cutoff, kind = function.cutoff / length, n2p2_type(function)
    start = f"symfunction_short {centre:2s} {kind:2d}"
    if isinstance(function, RadialFunction):
        around = "" if kind == 12 else f" {_symbol(function.neighbour):2s}"
        return f"{start}{around} {eta:24.16E} {shift:24.16E} {cutoff:24.16E}"
    angle = f"{function.sign:24.16E} {function.zeta:24.16E}"
    if kind == 13:
        return f"{start} {eta:24.16E} {shift:24.16E} {angle} {cutoff:24.16E}"
    around = " ".join(f"{_symbol(number):2s}" for number in function.neighbours)
    return f"{start} {around} {eta:24.16E} {angle} {cutoff:24.16E} {shift:24.16E}"


def _weight_lines(layers: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> list[str]:
    lines: list[str] = []
    for layer, (weights, biases) in enumerate(layers):
        for (start, end), value in np.ndenumerate(weights):
            place = f"{len(lines) + 1:9d} {layer:5d} {start + 1:5d} {layer + 1:5d} {end + 1:5d}"
            lines.append(f"{value:24.16E} a {place}")
        for end, value in enumerate(biases):
            lines.append(f"{value:24.16E} b {len(lines) + 1:9d} {layer + 1:5d} {end + 1:5d}")
    return lines


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _symbol(number: int) -> str:
    from ase.data import chemical_symbols

    return str(chemical_symbols[number])
