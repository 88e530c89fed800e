"""Network files of aenet (1.0, 2.0 and its PyTorch trainer), text or Fortran's binary records."""

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError

Array = NDArray[np.float64]

ACTIVATIONS = ("linear", "tanh", "logistic", "scaled tanh", "twisted tanh")
"""Names of the activation functions, at the position of aenet's number."""

LENGTHS = {"description": 1024, "symbol": 2, "basis": 100, "set": 1024}
"""Characters of each text in a binary file."""


@dataclass(frozen=True)
class AenetNetwork:
    """What a network file says, in aenet's own order and units (eV, Å).

    | field           | shape              | meaning                                            |
    |-----------------|--------------------|----------------------------------------------------|
    | `nodes`         | (n_layers,)        | nodes of each layer, inputs and output included    |
    | `activations`   | (n_layers - 1,)    | aenet's numbers                                    |
    | `weights`       | (n_weights,)       | layer by layer, columns of (n_out, n_in + 1)       |
    | `environment`   | (n_environment,)   | symbols of the species around                      |
    | `closest`       | scalar             | Å; aenet refuses shorter distances                 |
    | `basis`         | -                  | 'Chebyshev' or 'Behler2011'                        |
    | `kinds`         | (n,)               | number of each function in Behler's paper          |
    | `settings`      | (n, n_settings)    | parameters of each function                        |
    | `partners`      | (n, 2)             | species of its neighbours, from 1 in `environment` |
    | `statistics`    | (4, n) or (3, n)   | minimum, maximum, mean, mean square of features;   |
    |                 |                    | versions before 1.0 had no mean square             |
    | `scale`, `shift`| scalars            | E = y / scale + shift + energy of the free atom    |
    | `atoms`         | -                  | energies of free atoms by symbol, eV               |
    """

    path: Path
    nodes: tuple[int, ...]
    activations: tuple[int, ...]
    weights: Array
    description: str
    symbol: str
    environment: tuple[str, ...]
    closest: float
    cutoff: float
    basis: str
    kinds: NDArray[np.int64]
    settings: Array
    partners: NDArray[np.int64]
    n_evaluations: int
    statistics: Array
    training_set: str
    normalised: bool
    scale: float
    shift: float
    atoms: dict[str, float]
    n_atoms: int
    n_structures: int
    energies: Array


class _Source(Protocol):
    def whole(self, count: int) -> list[int]: ...

    def real(self, count: int) -> Array: ...

    def text(self, name: str) -> str: ...

    def words(self, count: int) -> list[str]: ...

    def logical(self) -> bool: ...

    def early(self) -> bool: ...

    def partners(self, n_functions: int, n_environment: int) -> NDArray[np.int64]: ...

    def close(self) -> None: ...

    def fault(self, problem: str, cure: str) -> NoReturn: ...


def read_network_file(path: Path) -> AenetNetwork:
    """A network file, text or binary.

    Raises `InputError` for a file that is missing, cut off or contradicts itself.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"The file {path} cannot be read ({error.strerror}).", "Give the file of a network."
        ) from error
    source: _Source = _Records(path, content) if b"\0" in content[:64] else _Text(path, content)
    network = _parse(path, source)
    source.close()
    return network


def looks_like_network(path: Path) -> bool:
    """Does the file begin like a network file, text or binary?"""
    with path.open("rb") as file:
        start = file.read(64)
    marker = start[:4] == start[8:12] and start[:4] in (b"\4\0\0\0", b"\0\0\0\4")
    return marker or start.split(b"\n")[0].strip().isdigit()


def _parse(path: Path, source: _Source) -> AenetNetwork:
    n_layers, _, n_weights, _ = (source.whole(1)[0] for _ in range(4))
    if not 2 <= n_layers <= 100:
        source.fault(f"a network of {n_layers} layers.", "This is no network file of aenet.")
    nodes = tuple(source.whole(n_layers))
    activations = tuple(source.whole(n_layers - 1))
    source.whole(n_layers), source.whole(n_layers)
    expected = sum((a + 1) * b for a, b in pairwise(nodes))
    if n_weights != expected or nodes[-1] != 1:
        source.fault(
            f"{n_weights} weights for a network of {'-'.join(map(str, nodes))} nodes, which has"
            f" {expected}.",
            "The file is damaged: get it again.",
        )
    weights = source.real(n_weights)
    description, symbol = source.text("description"), source.text("symbol")
    environment = tuple(source.words(source.whole(1)[0]))
    closest, cutoff = source.real(1)[0], source.real(1)[0]
    basis = source.text("basis")
    n_functions, n_settings = source.whole(1)[0], source.whole(1)[0]
    if n_functions != nodes[0]:
        source.fault(
            f"{n_functions} functions for {nodes[0]} inputs.", "The file is damaged: get it again."
        )
    kinds = np.array(source.whole(n_functions))
    settings = source.real(n_functions * n_settings).reshape(n_functions, n_settings)
    partners = source.partners(n_functions, len(environment))
    n_evaluations = source.whole(1)[0]
    n_statistics = 3 if source.early() else 4
    statistics = np.array([source.real(n_functions) for _ in range(n_statistics)])
    training_set, normalised = source.text("set"), source.logical()
    scale, shift = source.real(1)[0], source.real(1)[0]
    names = source.words(source.whole(1)[0])
    atoms = dict(zip(names, source.real(len(names)).tolist(), strict=True))
    n_atoms, n_structures = source.whole(1)[0], source.whole(1)[0]
    return AenetNetwork(
        path=path,
        nodes=nodes,
        activations=activations,
        weights=weights,
        description=description,
        symbol=symbol,
        environment=environment,
        closest=float(closest),
        cutoff=float(cutoff),
        basis=basis,
        kinds=kinds,
        settings=settings,
        partners=partners,
        n_evaluations=n_evaluations,
        statistics=statistics,
        training_set=training_set,
        normalised=normalised,
        scale=float(scale),
        shift=float(shift),
        atoms=atoms,
        n_atoms=n_atoms,
        n_structures=n_structures,
        energies=source.real(3),
    )


class _Text:
    """Numbers over as many lines as they need; texts have a line of their own."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self.lines = content.decode("utf-8", errors="replace").splitlines()
        self.next = 0

    def fault(self, problem: str, cure: str) -> NoReturn:
        raise InputError(f"{self.path}, line {self.next}: {problem}", cure)

    def _line(self) -> str:
        if self.next >= len(self.lines):
            self.fault("the file ends too early.", "It is cut off: get it again.")
        self.next += 1
        return self.lines[self.next - 1]

    def words(self, count: int) -> list[str]:
        found: list[str] = []
        while len(found) < count:
            found += self._line().split()
        if len(found) > count:
            self.fault(f"{len(found)} values where {count} are expected.", "Get the file again.")
        return found

    def real(self, count: int) -> Array:
        words = self.words(count)
        try:
            values = np.array([float(word.lower().replace("d", "e")) for word in words])
        except ValueError:
            self.fault(
                f"'{' '.join(words)[:60]}' are not all numbers.",
                "The file is damaged: get it again.",
            )
        return _finite(self, values)

    def whole(self, count: int) -> list[int]:
        values = self.real(count)
        if (values != np.round(values)).any():
            self.fault(f"{values} are not whole.", "This is no network file of aenet.")
        return [int(value) for value in values]

    def text(self, name: str) -> str:
        line = self._line().strip()
        if len(line) > LENGTHS[name]:
            self.fault(f"a {name} of {len(line)} letters.", "Get the file again.")
        return line

    def logical(self) -> bool:
        word = self._line().strip().strip(".").upper()
        if word not in ("T", "TRUE", "F", "FALSE"):
            self.fault(f"'{word}' is neither true nor false.", "Get the file again.")
        return word.startswith("T")

    def early(self) -> bool:
        return False

    def partners(self, n_functions: int, n_environment: int) -> NDArray[np.int64]:
        # The text format has as many columns as there are species; only two ever mean something.
        values = np.array(self.whole(n_environment * n_functions)).reshape(n_functions, -1)
        return np.pad(values, ((0, 0), (0, 1)))[:, :2]

    def close(self) -> None:
        if any(line.strip() for line in self.lines[self.next :]):
            self.next += 1
            self.fault("there is more than a network file holds.", "Get the file again.")


class _Records:
    """Fortran's sequential records: each between two copies of its length, either endianness."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self.content = content
        self.at = 0
        self.order = "<" if content[:4] == struct.pack("<i", 4) else ">"

    def fault(self, problem: str, cure: str) -> NoReturn:
        raise InputError(f"{self.path}, byte {self.at}: {problem}", cure)

    def _record(self, size: int) -> bytes:
        start, end = self.at + 4, self.at + 4 + size
        length = struct.pack(self.order + "i", size)
        if self.content[self.at : start] != length or self.content[end : end + 4] != length:
            self.fault(
                f"a record of {size} bytes is expected and not there.",
                "The file is cut off, or no network file of aenet: get it again.",
            )
        self.at = end + 4
        return self.content[start:end]

    def whole(self, count: int) -> list[int]:
        return [int(v) for v in np.frombuffer(self._record(4 * count), self.order + "i4")]

    def real(self, count: int) -> Array:
        values = np.frombuffer(self._record(8 * count), self.order + "f8")
        return _finite(self, values.astype(np.float64))

    def text(self, name: str) -> str:
        return self._record(LENGTHS[name]).decode("utf-8", errors="replace").strip()

    def words(self, count: int) -> list[str]:
        content = self._record(2 * count).decode("utf-8", errors="replace")
        return [content[2 * i : 2 * i + 2].strip() for i in range(count)]

    def logical(self) -> bool:
        return self.whole(1)[0] != 0

    def partners(self, n_functions: int, n_environment: int) -> NDArray[np.int64]:
        del n_environment
        return np.array(self.whole(2 * n_functions)).reshape(n_functions, 2)

    def early(self) -> bool:
        # Three records as long as the next one, then the name of the training set?
        size = struct.unpack(self.order + "i", self.content[self.at : self.at + 4].ljust(4))[0]
        fourth = self.content[self.at + 3 * (size + 8) :][:4]
        return fourth == struct.pack(self.order + "i", LENGTHS["set"])

    def close(self) -> None:
        if self.at != len(self.content):
            self.fault("there is more than a network file holds.", "Get the file again.")


def _finite(source: _Source, values: Array) -> Array:
    if not np.isfinite(values).all():
        source.fault("a value is not finite.", "Train the potential again.")
    return values
