"""Atomic cluster expansion to five bodies: few mixed fields under a nonlinear embedding.

    E = sum_i [ mean_m (c + w . x_i + N(x_i))_{m,s(i)} ] + repulsion

Starts from the linear expansion, solved in closed form, and trains everything (see
`field_expansion`).
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from hyperatom.potentials.family import Family, FitResult, FitTask
from hyperatom.potentials.trained_settings import TrainedSettings

if TYPE_CHECKING:
    from hyperatom.potentials.field_expansion import FieldExpansion, FieldSettings


class AceSettings(TrainedSettings):
    """Atomic cluster expansion with mixed fields."""

    kind: Literal["ace"] = Field("ace", description="family: 'hyperatom list potentials'")
    cutoff: float = Field(5.0, ge=2.0, le=15.0, description="Å; how far an atom sees")
    crowding: float = Field(3.0, ge=0, le=20, description="finer radial functions at short range")
    radial_functions: int = Field(10, ge=2, le=40, description="Chebyshev functions of the pairs")
    fields: int = Field(16, ge=1, le=64, description="mixtures of radial functions and species")
    degree: int = Field(3, ge=0, le=10, description="largest l of the 3-body terms")
    product_fields: int = Field(8, ge=0, le=64, description="mixtures in 4- and 5-body terms")
    product_degree: int = Field(3, ge=0, le=6, description="largest l of the 4- and 5-body terms")
    embedding: Literal["network", "linear"] = Field(
        "network", description="of the densities; linear: solved in closed form"
    )
    hidden: list[int] = Field(
        [8], min_length=1, description="densities, then nodes of further layers of the embedding"
    )
    members: int = Field(1, ge=1, le=32, description="members of the committee; one: no errors")
    trainer: Literal["lbfgs", "adam", "kalman", "levenberg_marquardt"] = Field(
        "lbfgs", description="minimisation of squared errors, or extended Kalman filter"
    )
    epochs: int = Field(150, ge=0, description="passes through the labels, at the most")
    patience: int = Field(30, ge=1, description="epochs without a better validation, then it ends")


def field_settings(settings: AceSettings, species: tuple[int, ...]) -> "FieldSettings":
    """The expansion that the settings describe."""
    from hyperatom.potentials.features.density import ChebyshevRadial
    from hyperatom.potentials.features.field_products import FieldProducts
    from hyperatom.potentials.field_expansion import FieldSettings

    return FieldSettings(
        species,
        ChebyshevRadial(settings.cutoff, settings.radial_functions, settings.crowding),
        FieldProducts(
            settings.fields, settings.degree, settings.product_fields, settings.product_degree
        ),
        tuple(settings.hidden) if settings.embedding == "network" else (),
        settings.activation,
        settings.members,
    )


def _fit(task: FitTask) -> FitResult:
    from hyperatom.potentials.committee_fit import fit_committee

    settings = task.settings
    epochs = settings.epochs if settings.embedding == "network" else 0
    return fit_committee(task, _expansion(field_settings(settings, task.species)), epochs)


@lru_cache(maxsize=8)
def _expansion(settings: "FieldSettings") -> "FieldExpansion":
    # One object for equal settings: what is compiled for it serves every fit.
    from hyperatom.potentials.field_expansion import FieldExpansion

    return FieldExpansion(settings)


def _assemble(
    settings: AceSettings, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> Any:
    from hyperatom.potentials.committee_fit import assemble_committee

    expansion = _expansion(field_settings(settings, species))
    return assemble_committee(settings, expansion, parameters, knowledge)


def _unknowns(settings: AceSettings, species: tuple[int, ...]) -> int:
    from hyperatom.potentials.field_expansion import unknowns_of

    return unknowns_of(field_settings(settings, species))


FAMILIES = (
    Family(
        name="ace",
        title="atomic cluster expansion to five bodies, few mixed fields, nonlinear embedding",
        settings=AceSettings,
        fit=_fit,
        assemble=_assemble,
        citation="R. Drautz, Atomic cluster expansion for accurate and transferable interatomic "
        "potentials, Phys. Rev. B 99, 014104 (2019)",
        doi="10.1103/PhysRevB.99.014104",
        small={
            "cutoff": 3.6, "radial_functions": 5, "fields": 4, "degree": 1, "product_fields": 2,
            "product_degree": 1, "hidden": [4], "epochs": 40,
        },
        unknowns=_unknowns,
    ),
)  # fmt: skip
