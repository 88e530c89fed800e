"""Behler-Parrinello potentials written as aenet's network files, in its text format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.interchange.aenet_files import ACTIVATIONS
from hyperatom.potentials.behler_parrinello import (
    BehlerParrinelloEnergy,
    ElementNetwork,
    Features,
    JoinedFeatures,
)
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.potentials.features.chebyshev_features import ChebyshevFeatures

Array = NDArray[np.float64]


def write_aenet(potential: CompiledPotential, folder: str | Path, closest: float = 0.0) -> None:
    """Write a file such as Ti.nn.ascii for each element, which aenet's `nnASCII2bin` takes.

    `closest` is the distance in Å below which aenet shall refuse configurations. Only networks of
    Chebyshev features can be written: raises `InputError` for others, and for activation functions
    that aenet does not have.
    """
    energy = potential.model.atomic_energy
    if not isinstance(energy, BehlerParrinelloEnergy) or potential.model.long_range is not None:
        raise InputError(
            f"The potential '{potential.name}' is not one of networks.",
            "Only networks of Chebyshev features can be written in aenet's format.",
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    offsets = [float(own["offset"]) for own in potential.parameters]
    for place, number in enumerate(potential.species):
        network, own = energy.networks[place], potential.parameters[place]
        features = _chebyshev(energy.features, network)
        lines = _network_lines(network, own["layers"])
        lines += _setup_lines(features, _symbol(number), closest, own)
        lines += ["written by hyperatom", "T", _real(1.0 / float(own["scale"])), _real(0.0)]
        lines += [str(len(potential.species)), " ".join(map(_symbol, potential.species))]
        lines += [*_reals(offsets), "0", "0", *_reals(np.zeros(3))]
        path = folder / f"{_symbol(number)}.nn.ascii"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _chebyshev(features: Features, network: ElementNetwork) -> ChebyshevFeatures:
    # The part of the features that holds exactly the columns of the network.
    parts = features.parts if isinstance(features, JoinedFeatures) else (features,)
    start = 0
    for part in parts:
        columns = tuple(range(start, start + part.n_features))
        if columns == network.columns and isinstance(part, ChebyshevFeatures):
            return part
        start += part.n_features
    raise InputError(
        "The networks do not see all of one set of Chebyshev features.",
        "Only networks of Chebyshev features can be written in aenet's format.",
    )


def _network_lines(network: ElementNetwork, layers: Any) -> list[str]:
    missing = set(network.activations) - set(ACTIVATIONS)
    if missing:
        raise InputError(
            f"aenet has no activation function '{', '.join(sorted(missing))}'.",
            f"It has {', '.join(ACTIVATIONS)}.",
        )
    nodes = [len(layers[0][0]), *(len(biases) for _, biases in layers)]
    weights = [np.vstack([matrix, biases[None]]).ravel() for matrix, biases in layers]
    ends = np.cumsum([0, *(len(own) for own in weights)])
    values = np.cumsum([0, *(count + 1 for count in nodes[:-1])])
    activations = [ACTIVATIONS.index(name) for name in network.activations]
    return [
        *(str(number) for number in (len(nodes), max(nodes), ends[-1], values[-1] + nodes[-1])),
        *_wholes(nodes),
        *_wholes(activations),
        *_wholes(ends.tolist()),
        *_wholes(values.tolist()),
        *_reals(np.concatenate(weights)),
    ]


def _setup_lines(features: ChebyshevFeatures, symbol: str, closest: float, own: Any) -> list[str]:
    # aenet gives its species ascending weights, so that the order of the species says them.
    n_species, n_features = len(features.species), features.n_features
    weights = features.weights or (0.0,) * n_species
    environment = [_symbol(features.species[k]) for k in np.argsort(weights)]
    half = n_species // 2
    ladder = [w for w in range(-half, half + 1) if w != 0 or n_species % 2]
    if features.weights is not None and sorted(weights) != ladder:
        raise InputError(
            f"The species have the weights {weights}; aenet's would be {ladder}.",
            "Only aenet's own weights can be written.",
        )
    settings = np.zeros((n_features, 4))
    settings[0] = (
        features.radial_cutoff,
        features.radial_order,
        features.angular_cutoff,
        features.angular_order,
    )
    mean = np.asarray(own["shift"])
    used = own["stretch"] != 0.0
    square = mean**2 + np.where(used, 1.0 / np.where(used, own["stretch"], 1.0), 0.0) ** 2
    return [
        f"Chebyshev features of {symbol}",
        symbol,
        str(n_species),
        " ".join(environment),
        _real(closest),
        _real(features.cutoff),
        "Chebyshev",
        *(str(n_features), "4"),
        *_wholes([0] * n_features),
        *_reals(settings.ravel()),
        *_wholes([0] * (n_species * n_features)),
        "1",
        *_reals(mean),
        *_reals(mean),
        *_reals(mean),
        *_reals(square),
    ]


def _wholes(values: Sequence[int]) -> list[str]:
    return _fours([f" {value:17d}" for value in values])


def _reals(values: Sequence[float] | Array) -> list[str]:
    return _fours([f" {_real(value)}" for value in values])


def _real(value: float) -> str:
    # Exponents of three digits are too wide for the format ES24.17 of aenet.
    return f"{value if abs(value) > 1e-99 else 0.0:24.17E}"


def _fours(words: list[str]) -> list[str]:
    return ["".join(words[start : start + 4]) for start in range(0, len(words), 4)]


def _symbol(number: int) -> str:
    from ase.data import chemical_symbols

    return str(chemical_symbols[number])
