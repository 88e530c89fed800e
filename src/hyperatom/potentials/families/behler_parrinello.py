"""Behler-Parrinello: a network for each element on descriptors, several as a committee.

    E = sum_i [ mean_m N_{m,s(i)}(x_i) ] + repulsion

The descriptors x_i are Chebyshev sums, or symmetry functions: given, or chosen from the data (see
`symmetry_function_choice`). The spread of the members' total energies is the predicted error (see
`network_fit`).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from hyperatom.potentials.family import Family, FitResult, FitTask
from hyperatom.potentials.trained_settings import TrainedSettings
from hyperatom.section import Section

if TYPE_CHECKING:
    from hyperatom.potentials.behler_parrinello import Features
    from hyperatom.potentials.features.symmetry_functions import Function
    from hyperatom.potentials.network_fit import NetworkMembers

ENOUGH_ATOMS_PER_FUNCTION = 20
"""Symmetry functions are chosen anew, as atoms become twice as many, until there are so many."""


class SymmetryFunctionSettings(Section):
    """A symmetry function of the neighbours of one species, or of pairs of them."""

    neighbours: list[str] = Field(
        min_length=1, max_length=2, description="symbols: one, or two for angles"
    )
    eta: float = Field(gt=0, description="1/Å^2; of the Gaussian of distances")
    shift: float = Field(0.0, ge=0, description="Å; r_s of the Gaussian")
    zeta: float = Field(1.0, ge=1, description="exponent of 1 + sign cos(angle)")
    sign: Literal[-1, 1] = Field(1, description="lambda of the angle")
    narrow: bool = Field(False, description="do angles see the third distance too (G4, not G5)?")


class BehlerParrinelloSettings(TrainedSettings):
    """Networks of elements on Chebyshev descriptors or symmetry functions."""

    kind: Literal["behler_parrinello"] = Field(
        "behler_parrinello", description="family: 'hyperatom list potentials'"
    )
    angular_cutoff: float | None = Field(
        None, ge=1.0, le=15.0, description="Å; of angles; null: the cutoff, at most 4.5 Å"
    )
    radial_order: int = Field(12, ge=1, le=40, description="largest n of the distances")
    angular_order: int = Field(6, ge=0, le=20, description="largest n of the angles")
    descriptors: Literal["chebyshev", "symmetry_functions"] = Field(
        "chebyshev", description="what networks see of an atom; orders are those of chebyshev"
    )
    functions: int = Field(
        32, ge=1, le=500, description="symmetry functions that are chosen from the data"
    )
    symmetry_functions: list[SymmetryFunctionSettings] | None = Field(
        None, min_length=1, description="those to take; null: they are chosen from the data"
    )
    chosen_by: int = Field(
        0, ge=0, description="atoms the symmetry functions were chosen by, as a fit notes it"
    )
    hidden: list[int] = Field([15, 15], description="nodes of each hidden layer")

    @property
    def functions_are_open(self) -> bool:
        """Are symmetry functions still to be chosen?"""
        return self.descriptors == "symmetry_functions" and self.symmetry_functions is None

    @model_validator(mode="after")
    def _sensible_functions(self) -> Self:
        from ase.data import atomic_numbers

        if self.symmetry_functions is not None and self.descriptors == "chebyshev":
            raise ValueError(
                "symmetry_functions are given, but the descriptors are chebyshev: write"
                " descriptors: symmetry_functions, or leave them out"
            )
        for function in self.symmetry_functions or ():
            for symbol in function.neighbours:
                if symbol not in atomic_numbers:
                    raise ValueError(f"symmetry_functions: there is no element {symbol!r}")
        return self


@lru_cache(maxsize=8)
def _members(text: str, species: tuple[int, ...]) -> "NetworkMembers":
    # One object for equal settings: what is compiled for it serves every fit.
    from hyperatom.potentials.network_fit import NetworkMembers

    settings = BehlerParrinelloSettings.model_validate_json(text)
    return NetworkMembers(settings, _features(settings, species))


def _text(settings: BehlerParrinelloSettings) -> str:
    return settings.model_dump_json(include=set(BehlerParrinelloSettings.model_fields))


def _features(settings: BehlerParrinelloSettings, species: tuple[int, ...]) -> "Features":
    from hyperatom.potentials.features.chebyshev_features import chebyshev_of
    from hyperatom.potentials.features.cutoff_functions import CutoffFunction
    from hyperatom.potentials.features.symmetry_functions import SymmetryFunctions

    angular = _angular_cutoff(settings)
    if settings.symmetry_functions is not None:
        functions = [_function(one, settings) for one in settings.symmetry_functions]
        return SymmetryFunctions(species, functions, CutoffFunction())
    return chebyshev_of(
        species, settings.cutoff, settings.radial_order, angular, settings.angular_order
    )


def _angular_cutoff(settings: BehlerParrinelloSettings) -> float:
    return min(settings.angular_cutoff or 4.5, settings.cutoff)


def _function(one: SymmetryFunctionSettings, settings: BehlerParrinelloSettings) -> "Function":
    from ase.data import atomic_numbers

    from hyperatom.potentials.features.symmetry_functions import AngularFunction, RadialFunction

    numbers = [atomic_numbers[symbol] for symbol in one.neighbours]
    if len(numbers) == 1:
        return RadialFunction(numbers[0], one.eta, one.shift, settings.cutoff)
    pair, cutoff = (numbers[0], numbers[1]), _angular_cutoff(settings)
    return AngularFunction(pair, one.eta, float(one.sign), one.zeta, cutoff, one.shift, one.narrow)


def _written(functions: "Sequence[Function]") -> list[SymmetryFunctionSettings]:
    from ase.data import chemical_symbols

    from hyperatom.potentials.features.symmetry_functions import RadialFunction

    return [
        SymmetryFunctionSettings(
            neighbours=[chemical_symbols[one.neighbour]], eta=one.eta, shift=one.shift
        )
        if isinstance(one, RadialFunction)
        else SymmetryFunctionSettings(
            neighbours=[chemical_symbols[number] for number in one.neighbours],
            eta=one.eta, shift=one.shift, zeta=one.zeta,
            sign=1 if one.sign > 0.0 else -1, narrow=one.narrow,
        )
        for one in functions
    ]  # fmt: skip


def _with_functions(task: FitTask) -> FitTask:
    """The task with symmetry functions in its settings: those of its start, or chosen anew."""
    settings = task.settings
    if not settings.functions_are_open:
        return task
    from hyperatom.potentials.symmetry_function_choice import ENOUGH_ATOMS, chosen, pool

    before = None if task.start is None else task.start.settings
    n_atoms = sum(frame.configuration.n_atoms for frame in task.training)
    if before is not None:
        enough = min(ENOUGH_ATOMS, ENOUGH_ATOMS_PER_FUNCTION * settings.functions)
        if before.chosen_by >= enough or n_atoms < 2 * before.chosen_by:
            return replace(task, settings=before)
    functions, seen = chosen(
        pool(task.species, settings.cutoff, _angular_cutoff(settings)),
        task.species,
        [frame.configuration for frame in task.training],
        settings.functions,
        task.seed,
    )
    changes = {"symmetry_functions": _written(functions), "chosen_by": seen}
    found = settings.model_copy(update=changes)
    # Networks that saw other functions are no start.
    same = before is not None and before.symmetry_functions == found.symmetry_functions
    return replace(task, settings=found, start=task.start if same else None)


def _fit(task: FitTask) -> FitResult:
    from hyperatom.potentials.committee_fit import fit_committee

    task = _with_functions(task)
    return fit_committee(task, _members(_text(task.settings), task.species), task.settings.epochs)


def _assemble(
    settings: BehlerParrinelloSettings, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> Any:
    from hyperatom.potentials.committee_fit import assemble_committee

    return assemble_committee(settings, _members(_text(settings), species), parameters, knowledge)


def _unknowns(settings: BehlerParrinelloSettings, species: tuple[int, ...]) -> int:
    n_features = (
        settings.functions
        if settings.functions_are_open
        else _features(settings, species).n_features
    )
    nodes = [n_features, *settings.hidden, 1]
    per_species = sum((a + 1) * b for a, b in pairwise(nodes)) + 1
    return len(species) * per_species


FAMILIES = (
    Family(
        name="behler_parrinello",
        title="a network for each element on Chebyshev descriptors or symmetry functions",
        settings=BehlerParrinelloSettings,
        fit=_fit,
        assemble=_assemble,
        citation="J. Behler and M. Parrinello, Generalized neural-network representation of "
        "high-dimensional potential-energy surfaces, Phys. Rev. Lett. 98, 146401 (2007)",
        doi="10.1103/PhysRevLett.98.146401",
        small={
            "cutoff": 3.6, "radial_order": 6, "angular_order": 2, "hidden": [6], "members": 2,
            "trainer": "lbfgs", "epochs": 150, "patience": 150,
        },
        unknowns=_unknowns,
    ),
)  # fmt: skip
