"""What a family of learned potentials is: settings, a way to fit them, a way to put them together.

A file of `families/` has a tuple `FAMILIES` of these, and nothing else needs to be told: the input
files, the commands, the guide of a campaign and the tests find it by looking there.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation
from hyperatom.section import Section

Array = NDArray[np.float64]


class FamilySettings(Section):
    """A learned potential."""

    kind: str = Field("linear_density", description="family: 'hyperatom list potentials'")
    cutoff: float = Field(5.5, ge=1.0, le=15.0, description="Å; how far an atom sees")
    precision: Literal["float64", "float32"] = Field(
        "float64", description="arithmetic of trajectories"
    )


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A configuration with what its reference said of it.

    | field           | meaning                                                            |
    |-----------------|--------------------------------------------------------------------|
    | `configuration` | the atoms                                                          |
    | `evaluation`    | energy, forces (not finite: unknown) and stress (None: unknown)    |
    | `weight`        | multiplies its squared residuals                                   |
    | `source`        | file or run, and the number of the frame in it                     |
    | `group`         | type of configuration, as errors are listed                        |
    """

    configuration: Configuration
    evaluation: Evaluation
    weight: float = 1.0
    source: str = ""
    group: str = ""

    @property
    def has_forces(self) -> bool:
        """Did the reference give forces?"""
        return bool(np.isfinite(self.evaluation.forces).all())


@dataclass(frozen=True)
class FitStep:
    """A point of a learning curve; root mean square errors, NaN: not known.

    `amount` counts what `axis` of the fit names. Energies in eV/atom, forces in eV/Å; `training`
    and `validation` are (energy, force).
    """

    amount: float
    training: tuple[float, float]
    validation: tuple[float, float]
    seconds_left: float = float("nan")


def _ignore(step: FitStep) -> None:
    del step


@dataclass(frozen=True, eq=False)
class FitTask:
    """What is to be fitted.

    | field        | meaning                                                                     |
    |--------------|-----------------------------------------------------------------------------|
    | `settings`   | of the family                                                               |
    | `species`    | atomic numbers, ascending                                                   |
    | `training`   | frames to learn from                                                        |
    | `validation` | frames to decide by when to stop; may be empty                              |
    | `constants`  | energy of an atom of each species, (n_species,) eV: a fit of the energies   |
    | `seed`       | of everything random                                                        |
    | `seconds`    | wall time at the most, for families that train step by step                 |
    | `checkpoint` | where such training is kept, to go on after a break                         |
    | `watch`      | told of each point of the learning curve                                    |
    | `start`      | a potential of the same settings to start from, or None                     |
    """

    settings: Any
    species: tuple[int, ...]
    training: Sequence[LabelledFrame]
    validation: Sequence[LabelledFrame]
    constants: Array
    seed: int = 0
    seconds: float = float("inf")
    checkpoint: Path | None = None
    watch: Callable[[FitStep], None] = _ignore
    start: Any = None


@dataclass(frozen=True, eq=False)
class FitResult:
    """A `FittedPotential`, its learning curve over `axis`, and `notes`: sentences for people."""

    potential: Any
    curve: tuple[FitStep, ...] = ()
    axis: str = ""
    notes: tuple[str, ...] = ()


Fit = Callable[[FitTask], FitResult]
Assemble = Callable[[Any, tuple[int, ...], Any, Any], Any]
"""(settings, species, parameters, knowledge) -> FittedPotential"""


@dataclass(frozen=True)
class Family:
    """A family of learned potentials.

    | field       | meaning                                                                        |
    |-------------|--------------------------------------------------------------------------------|
    | `name`      | what an input file says: `kind: NAME`                                          |
    | `title`     | what it is, in a line                                                          |
    | `settings`  | class of its settings; its `kind` has this name as default                     |
    | `fit`       | a task -> a fitted potential; equal tasks, equal potentials                    |
    | `assemble`  | the potential of parameters, as they were saved                                |
    | `citation`  | authors, title, journal                                                        |
    | `doi`       | of the citation                                                                |
    | `small`     | settings with which a fit takes seconds, as the tests make it                  |
    | `unknowns`  | number of unknowns for settings and species, None: not known before            |
    """

    name: str
    title: str
    settings: type[FamilySettings]
    fit: Fit
    assemble: Assemble
    citation: str = ""
    doi: str = ""
    small: Mapping[str, Any] = field(default_factory=dict)
    unknowns: Callable[[Any, tuple[int, ...]], int | None] = lambda settings, species: None  # noqa: ARG005


def family_of(settings: FamilySettings) -> Family:
    """The family that settings belong to: it stands in the file that defines their class."""
    for kind in type(settings).__mro__:
        module = sys.modules.get(kind.__module__)
        for family in getattr(module, "FAMILIES", ()):
            if family.settings is kind:
                return cast("Family", family)
    raise TypeError(f"{type(settings).__name__} belongs to no family of potentials")
