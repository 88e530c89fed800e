"""Behler-Parrinello: a network for each element on Chebyshev descriptors, several as a committee.

    E = sum_i [ mean_m N_{m,s(i)}(x_i) ] + repulsion

The spread of the members' total energies is the predicted error (see `network_fit`).
"""

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from hyperatom.potentials.family import Family, FitResult, FitTask
from hyperatom.potentials.trained_settings import TrainedSettings

if TYPE_CHECKING:
    from hyperatom.potentials.features.chebyshev_features import ChebyshevFeatures
    from hyperatom.potentials.network_fit import NetworkMembers


class BehlerParrinelloSettings(TrainedSettings):
    """Networks of elements on Chebyshev descriptors."""

    kind: Literal["behler_parrinello"] = Field(
        "behler_parrinello", description="family: 'hyperatom list potentials'"
    )
    angular_cutoff: float | None = Field(
        None, ge=1.0, le=15.0, description="Å; of angles; null: the cutoff, at most 4.5 Å"
    )
    radial_order: int = Field(12, ge=1, le=40, description="largest n of the distances")
    angular_order: int = Field(6, ge=0, le=20, description="largest n of the angles")
    hidden: list[int] = Field([15, 15], description="nodes of each hidden layer")


@lru_cache(maxsize=8)
def _members(text: str, species: tuple[int, ...]) -> "NetworkMembers":
    # One object for equal settings: what is compiled for it serves every fit.
    from hyperatom.potentials.network_fit import NetworkMembers

    settings = BehlerParrinelloSettings.model_validate_json(text)
    return NetworkMembers(settings, _features(settings, species))


def _text(settings: BehlerParrinelloSettings) -> str:
    return settings.model_dump_json(include=set(BehlerParrinelloSettings.model_fields))


def _features(settings: BehlerParrinelloSettings, species: tuple[int, ...]) -> "ChebyshevFeatures":
    from hyperatom.potentials.features.chebyshev_features import ChebyshevFeatures

    angular = settings.angular_cutoff or min(settings.cutoff, 4.5)
    # Weights of the species as aenet has them: -1, 1; -1, 0, 1; without zero where they are even.
    half = len(species) // 2
    weights = [float(k) for k in range(-half, half + 1) if k or len(species) % 2]
    return ChebyshevFeatures(
        species,
        weights if len(species) > 1 else None,
        settings.cutoff,
        settings.radial_order,
        min(angular, settings.cutoff),
        settings.angular_order,
    )


def _fit(task: FitTask) -> FitResult:
    from hyperatom.potentials.committee_fit import fit_committee

    return fit_committee(task, _members(_text(task.settings), task.species), task.settings.epochs)


def _assemble(
    settings: BehlerParrinelloSettings, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> Any:
    from hyperatom.potentials.committee_fit import assemble_committee

    return assemble_committee(settings, _members(_text(settings), species), parameters, knowledge)


def _unknowns(settings: BehlerParrinelloSettings, species: tuple[int, ...]) -> int:
    nodes = [_features(settings, species).n_features, *settings.hidden, 1]
    per_species = sum((a + 1) * b for a, b in pairwise(nodes)) + 1
    return len(species) * per_species


FAMILIES = (
    Family(
        name="behler_parrinello",
        title="a network for each element on Chebyshev descriptors, a committee for its error",
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
