"""A potential that was fitted here: it knows its family, may know its own error, and is saved.

The file is a `.npz` without pickle: a header in JSON with family, settings and species, and the
arrays of the parameters. What is loaded gives energies that are bit-equal.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation
from hyperatom.potentials.compiled_potential import CompiledPotential

FORMAT: Final = "hyperatom potential 1"

Array = NDArray[np.float64]
Errors = Callable[["FittedPotential", Configuration, Array, Array], Array]
"""(potential, configuration, waypoints, cells) -> standard deviation of each energy, eV"""


@dataclass(frozen=True, eq=False)
class FittedPotential(CompiledPotential):
    """A compiled potential with family and settings.

    `knowledge` is a tree of arrays from which `known_errors` tells the standard deviation of a
    total energy; without it the error is unknown. `provenance` says in JSON what it was fitted to.
    """

    family: str
    settings: Any
    knowledge: Any = None
    known_errors: Errors | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Energy with its standard deviation where that is known, forces, stress."""
        found = super().evaluate(configuration)
        if self.known_errors is None:
            return found
        return replace(found, energy_error=self.error(configuration))

    def error(self, configuration: Configuration) -> float:
        """Standard deviation of the total energy, eV; 0: unknown."""
        here = configuration.positions[None], configuration.cell[None]
        return float(self.errors(configuration, *here)[0])

    def errors(self, configuration: Configuration, waypoints: Array, cells: Array) -> Array:
        """Standard deviation of the total energy at each waypoint, eV, (n_points,); 0: unknown."""
        if self.known_errors is None:
            return super().errors(configuration, waypoints, cells)
        return self.known_errors(self, configuration, waypoints, cells)

    @cached_property
    def _digest(self) -> str:
        content = hashlib.sha256(self._header().encode())
        for array in self._arrays().values():
            content.update(f"{array.dtype}{array.shape}".encode())
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()

    def _arrays(self) -> dict[str, Array]:
        arrays: dict[str, Array] = {}
        described({"parameters": self.parameters, "knowledge": self.knowledge}, arrays)
        return arrays

    def _header(self) -> str:
        tree = described({"parameters": self.parameters, "knowledge": self.knowledge}, {})
        header = {
            "family": self.family,
            "settings": self.settings.model_dump(mode="json"),
            "species": list(self.species),
            "tree": tree,
        }
        return json.dumps(header)

    def save(self, path: Path) -> None:
        """Write it, atomically."""
        header = {
            "format": FORMAT,
            **json.loads(self._header()),
            "name": self.name,
            "provenance": dict(self.provenance),
            "capacity": [[skin, slots] for skin, slots in self.model.capacity.items()],
        }
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            np.savez(
                file, header=np.array(json.dumps(header)), allow_pickle=False, **self._arrays()
            )
        part.replace(path)


def described(tree: Any, arrays: dict[str, Array]) -> Any:
    """A tree of arrays in JSON; the arrays themselves go to `arrays`, numbered."""
    if tree is None:
        return None
    if isinstance(tree, Mapping):
        return {"dict": {key: described(tree[key], arrays) for key in tree}}
    if isinstance(tree, tuple | list):
        kind = "tuple" if isinstance(tree, tuple) else "list"
        return {kind: [described(one, arrays) for one in tree]}
    name = f"array_{len(arrays)}"
    arrays[name] = np.asarray(tree)
    return {"array": name}
