"""The four kinds of files of an n2p2 or RuNNer potential, as they stand: numbers, not meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError

Array = NDArray[np.float64]

USED = {
    *("number_of_elements", "elements", "atom_energy", "cutoff_type", "symfunction_short"),
    *("symfunction", "scale_symmetry_functions", "scale_min_short", "scale_max_short"),
    *("center_symmetry_functions", "scale_symmetry_functions_sigma"),
    *("global_hidden_layers_short", "global_nodes_short", "global_activation_short"),
    *("normalize_nodes", "mean_energy", "conv_energy", "conv_length"),
    *("nnp_type", "nnp_generation", "fixed_gausswidth", "screen_electrostatics"),
    *("global_hidden_layers_electrostatic", "global_nodes_electrostatic"),
    "global_activation_electrostatic",
}
"""Keywords of input.nn that decide the energy and that we know."""

REPEATED = {"symfunction_short", "symfunction", "atom_energy", "fixed_gausswidth"}
"""Keywords that may come more than once."""

IGNORED = {
    *("random_seed", "epochs", "test_fraction", "use_short_forces", "energy_fraction"),
    *("force_fraction", "charge_fraction", "short_energy_fraction", "short_force_fraction"),
    *("short_energy_error_threshold", "short_force_error_threshold", "force_energy_ratio"),
    *("use_old_weights_short", "use_old_weights_charge", "precondition_weights", "updater_type"),
    *("parallel_mode", "jacobian_mode", "update_strategy", "main_error_metric", "force_weight"),
    *("memorize_symfunc_results", "repeated_energy_update", "normalize_data_set"),
    *("nguyen_widrow_weights_short", "nguyen_widrow_weights_charge", "initial_hardness"),
    *("use_electrostatics", "ewald_prec", "ewald_truncation_error_method", "calculate_forces"),
}
IGNORED_BEGINNINGS = (
    *("kalman_", "gradient_", "write_", "rmse_threshold", "task_batch_size_", "selection_mode"),
    *("weights_", "weightse_", "optmode_", "print_", "runner_mode", "debug_mode"),
)
"""Keywords of training and of output, which no energy depends on."""


@dataclass(frozen=True)
class Line:
    """A line of a file without its comment: its words and where it is."""

    path: Path
    number: int
    words: tuple[str, ...]

    def fault(self, problem: str, cure: str) -> NoReturn:
        """Raise an `InputError` that names file and line."""
        raise InputError(f"{self.path}, line {self.number}: {problem}", cure)

    def real(self, position: int) -> float:
        """The word at `position` as a finite number."""
        try:
            value = float(self.words[position])
        except (IndexError, ValueError):
            found = " ".join(self.words) or "nothing"
            self.fault(
                f"a number is expected as word {position + 1} of '{found}'.",
                "The file may be cut off or damaged: get it again.",
            )
        if not np.isfinite(value):
            self.fault(f"'{self.words[position]}' is not finite.", "Train the potential again.")
        return value

    def whole(self, position: int) -> int:
        """The word at `position` as a whole number."""
        value = self.real(position)
        if value != round(value):
            self.fault(f"{value:g} is not a whole number.", "The file may be damaged.")
        return round(value)

    def expect(self, n_words: int) -> None:
        """Refuse the line unless it has so many words."""
        if len(self.words) != n_words:
            self.fault(
                f"'{' '.join(self.words)}' has {len(self.words)} words where {n_words} are"
                " expected.",
                "The file may be cut off or damaged: get it again.",
            )


def read_lines(path: Path) -> list[Line]:
    """The lines of a text file that are more than a comment (# or !); any line ends will do."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(
            f"The file {path} cannot be read ({error.strerror}).",
            "Give the folder that holds input.nn, scaling.data and weights.*.data.",
        ) from error
    lines = []
    for number, content in enumerate(text.splitlines(), start=1):
        words = content.split("#")[0].split("!")[0].split()
        if words:
            lines.append(Line(path, number, tuple(words)))
    return lines


def read_keywords(path: Path) -> dict[str, list[Line]]:
    """The lines of input.nn by keyword.

    Raises `InputError` for a keyword that is unknown, or that is there twice and must not be.
    """
    keywords: dict[str, list[Line]] = {}
    for line in read_lines(path):
        name = line.words[0]
        if name in IGNORED or name.startswith(IGNORED_BEGINNINGS):
            continue
        if name not in USED:
            line.fault(
                f"the keyword '{name}' is not supported.",
                "Remove it if it only concerns training; otherwise this potential cannot be used.",
            )
        if name in keywords and name not in REPEATED:
            line.fault(f"the keyword '{name}' is there twice.", "Keep one of them.")
        keywords.setdefault(name, []).append(line)
    return keywords


def read_scaling(path: Path, n_functions: Sequence[int]) -> list[Array]:
    """Minimum, maximum, mean and sigma of each element's functions: (n_functions, 4) each.

    Sigma is not a number where the file has none. Raises `InputError` unless the functions of all
    elements are there in order.
    """
    tables = [np.full((count, 4), np.nan) for count in n_functions]
    expected = [(e, f) for e, count in enumerate(n_functions) for f in range(count)]
    lines = read_lines(path)
    if len(lines) == len(expected) + 1 and len(lines[-1].words) == 2:
        lines.pop()  # RuNNer ends the file with the range of energies.
    for line, (element, function) in zip(lines, expected, strict=False):
        if len(line.words) != 5:
            line.expect(6)
        if (line.whole(0), line.whole(1)) != (element + 1, function + 1):
            line.fault(
                f"function {line.words[1]} of element {line.words[0]} comes where function"
                f" {function + 1} of element {element + 1} is expected.",
                "scaling.data must belong to the symmetry functions of input.nn.",
            )
        tables[element][function, : len(line.words) - 2] = [
            line.real(position) for position in range(2, len(line.words))
        ]
    if len(lines) != len(expected):
        raise InputError(
            f"{path} has {len(lines)} lines for {len(expected)} symmetry functions.",
            "scaling.data must belong to the symmetry functions of input.nn.",
        )
    return tables


def read_network(path: Path, nodes: Sequence[int]) -> list[tuple[Array, Array]]:
    """Weights (n_in, n_out) and biases (n_out,) of each layer between `nodes`.

    The file holds, layer by layer, the weights (all that leave a node together), then the biases.
    Raises `InputError` for another number of them.
    """
    lines = read_lines(path)
    layers, start = [], 0
    sizes = list(pairwise(nodes))
    total = sum((n_in + 1) * n_out for n_in, n_out in sizes)
    if len(lines) != total:
        raise InputError(
            f"{path} has {len(lines)} weights and biases; a network of"
            f" {'-'.join(map(str, nodes))} nodes has {total}.",
            "The file may be cut off, or input.nn may belong to another potential.",
        )
    for layer, (n_in, n_out) in enumerate(sizes):
        middle, end = start + n_in * n_out, start + (n_in + 1) * n_out
        for kind, part in (("a", lines[start:middle]), ("b", lines[middle:end])):
            for line in part:
                _check_place(line, kind, layer)
        weights = np.array([line.real(0) for line in lines[start:middle]])
        biases = np.array([line.real(0) for line in lines[middle:end]])
        layers.append((weights.reshape(n_in, n_out), biases))
        start = end
    return layers


def read_number(path: Path) -> float:
    """The one number of a file."""
    lines = read_lines(path)
    if len(lines) != 1:
        raise InputError(f"{path} has {len(lines)} lines where one is expected.", "Get it again.")
    lines[0].expect(1)
    return lines[0].real(0)


def _check_place(line: Line, kind: str, layer: int) -> None:
    # n2p2 says after each number what it is; RuNNer does not always.
    if len(line.words) == 1:
        return
    found = (line.words[1], line.whole(3) if len(line.words) > 3 else None)
    if found != (kind, layer if kind == "a" else layer + 1):
        line.fault(
            f"'{' '.join(line.words)}' comes where a"
            f" {'weight' if kind == 'a' else 'bias'} of layer {layer + 1} is expected.",
            "Numbers must stand in the order of n2p2.",
        )
