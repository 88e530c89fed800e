"""Physically informed: a network of each element changes the bonds of a bond-order potential.

    E = sum_i [ mean_m E_i(p + d_m(x_i)) ] + repulsion

with the parameters p of bonds, their changes d and Chebyshev descriptors x_i (see `bond_order`).
The spread of the members' total energies is the predicted error (see `committee_fit`).
"""

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from hyperatom.potentials.family import Family, FitResult, FitTask
from hyperatom.potentials.trained_settings import TrainedSettings

if TYPE_CHECKING:
    from hyperatom.potentials.features.chebyshev_features import ChebyshevFeatures
    from hyperatom.potentials.physically_informed_fit import AdaptedBonds


class PhysicallyInformedSettings(TrainedSettings):
    """Bonds whose parameters networks change."""

    kind: Literal["physically_informed"] = Field(
        "physically_informed", description="family: 'hyperatom list potentials'"
    )
    cutoff: float = Field(5.0, ge=2.0, le=15.0, description="Å; how far an atom sees")
    angular_cutoff: float | None = Field(
        None, ge=1.0, le=15.0, description="Å; of angles; null: the cutoff, at most 4.5 Å"
    )
    radial_order: int = Field(10, ge=1, le=40, description="largest n of the distances")
    angular_order: int = Field(6, ge=0, le=20, description="largest n of the angles")
    hidden: list[int] = Field([16, 16], min_length=1, description="nodes of each hidden layer")
    members: int = Field(1, ge=1, le=32, description="members of the committee; one: no errors")
    trainer: Literal["lbfgs", "adam", "kalman", "levenberg_marquardt"] = Field(
        "lbfgs", description="minimisation of squared errors, or extended Kalman filter"
    )
    epochs: int = Field(400, ge=0, description="passes through the labels, at the most")
    patience: int = Field(40, ge=1, description="epochs without a better validation, then it ends")


def _features(
    settings: PhysicallyInformedSettings, species: tuple[int, ...]
) -> "ChebyshevFeatures":
    from hyperatom.potentials.features.chebyshev_features import chebyshev_of

    angular = min(settings.angular_cutoff or 4.5, settings.cutoff)
    return chebyshev_of(
        species, settings.cutoff, settings.radial_order, angular, settings.angular_order
    )


@lru_cache(maxsize=8)
def _members(text: str, species: tuple[int, ...]) -> "AdaptedBonds":
    # One object for equal settings: what is compiled for it serves every fit.
    from hyperatom.potentials.physically_informed_fit import AdaptedBonds

    settings = PhysicallyInformedSettings.model_validate_json(text)
    return AdaptedBonds(settings, _features(settings, species))


def _architecture(settings: PhysicallyInformedSettings, species: tuple[int, ...]) -> "AdaptedBonds":
    own = set(PhysicallyInformedSettings.model_fields)
    return _members(settings.model_dump_json(include=own), species)


def _fit(task: FitTask) -> FitResult:
    from hyperatom.potentials.committee_fit import fit_committee

    return fit_committee(task, _architecture(task.settings, task.species), task.settings.epochs)


def _assemble(
    settings: PhysicallyInformedSettings, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> Any:
    from hyperatom.potentials.committee_fit import assemble_committee

    return assemble_committee(settings, _architecture(settings, species), parameters, knowledge)


def _unknowns(settings: PhysicallyInformedSettings, species: tuple[int, ...]) -> int:
    nodes = [_features(settings, species).n_features, *settings.hidden, 8]
    own = sum((a + 1) * b for a, b in pairwise(nodes)) + 4 * len(species) + 5
    return len(species) * own


FAMILIES = (
    Family(
        name="physically_informed",
        title="bonds of a bond-order potential, changed by networks of the surroundings",
        settings=PhysicallyInformedSettings,
        fit=_fit,
        assemble=_assemble,
        citation="G. P. Purja Pun, R. Batra, R. Ramprasad and Y. Mishin, Physically informed "
        "artificial neural networks for atomistic modeling of materials, Nat. Commun. 10, 2339 "
        "(2019)",
        doi="10.1038/s41467-019-10343-5",
        small={
            "cutoff": 3.6, "radial_order": 6, "angular_order": 2, "hidden": [12], "members": 2,
            "epochs": 200, "patience": 200,
        },
        unknowns=_unknowns,
    ),
)  # fmt: skip
