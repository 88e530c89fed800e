"""What the doctor looks at, and what it says: one line for each question."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Reference
from hyperatom.evaluation import Evaluation

Status = Literal["fine", "fault", "not asked"]


@dataclass(frozen=True)
class Finding:
    """One line: the question, the answer in a sentence, and what to do where it is a fault.

    `numbers` holds what was measured; names end in their units.
    """

    question: str
    status: Status
    sentence: str
    cure: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Patient:
    """An engine, the configuration it will judge, and what the run will ask of it.

    | field           | unit | meaning                                                         |
    |-----------------|------|-----------------------------------------------------------------|
    | `reference`     | -    | the engine                                                      |
    | `configuration` | -    | where the run starts                                            |
    | `thermal_energy`| eV   | kT: the scale below which nothing matters                       |
    | `cutoff`        | Å    | how far the guide sees                                          |
    | `mesh`          | -    | k-points along each lattice vector, None: unknown               |
    | `planned_calls` | -    | what the run may cost at most                                   |
    | `at_once`       | -    | calls that run at the same time                                 |
    | `time_out`      | s    | after which a call has failed                                   |
    | `watch`         | -    | called after each call with the number so far                   |
    """

    reference: Reference
    configuration: Configuration
    thermal_energy: float
    cutoff: float
    mesh: tuple[int, int, int] | None
    planned_calls: int
    at_once: int
    time_out: float
    watch: Callable[[int], None] = lambda calls: None  # noqa: ARG005
    calls: int = 0
    energies: list[float] = field(default_factory=list)

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Ask the engine; raises `ReferenceFailure`."""
        try:
            evaluation = self.reference.evaluate(configuration)
        finally:
            self.calls += 1
            self.watch(self.calls)
        self.energies.append(evaluation.energy)
        return evaluation

    def shaken(self, seed: int, size: float = 0.06) -> Configuration:
        """The configuration with every coordinate displaced by about `size` Å.

        In a perfect crystal the forces vanish, and nothing could be learned of them.
        """
        noise = np.random.default_rng(seed).normal(size=self.configuration.positions.shape)
        return self.configuration.with_positions(self.configuration.positions + size * noise)


@dataclass(frozen=True, eq=False)
class Line:
    """Energies at -2, -1, 0, 1, 2 steps along a line.

    `energies` in eV, `step` in Å or, for a strain, without unit.
    """

    energies: NDArray[np.float64]
    step: float

    @property
    def slope(self) -> float:
        """dE/ds at the middle, exact for a polynomial of degree 4."""
        far, near = self.energies[4] - self.energies[0], self.energies[3] - self.energies[1]
        return float((8.0 * near - far) / (12.0 * self.step))

    @property
    def roughness(self) -> float:
        """Fourth difference over sqrt(70), eV: the energies' noise, for a smooth curve nil."""
        return float(abs(np.dot([1.0, -4.0, 6.0, -4.0, 1.0], self.energies)) / np.sqrt(70.0))


def in_units_of(ratio: float, known: Mapping[str, float]) -> str | None:
    """Which of the `known` factors the ratio is, to 3 %."""
    for meaning, factor in known.items():
        if abs(ratio / factor - 1.0) < 0.03:
            return meaning
    return None
