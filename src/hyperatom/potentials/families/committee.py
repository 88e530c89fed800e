"""A committee of potentials of any kind, each fitted to a sample of its own; their spread is error.

    E = mean_m E_m,    sigma as in `member_spread`

Each member learns as many frames as there are, drawn with replacement (bootstrap aggregation).
"""

from typing import Any, Literal

from pydantic import Field, SerializeAsAny

from hyperatom.potentials.families.linear_density import LinearDensitySettings
from hyperatom.potentials.family import Family, FamilySettings, FitResult, FitTask, family_of


class CommitteeSettings(FamilySettings):
    """Several potentials of one kind."""

    kind: Literal["committee"] = Field(
        "committee", description="family: 'hyperatom list potentials'"
    )
    cutoff: float = Field(5.5, ge=1.0, le=15.0, description="Å; of its members: see there")
    members: int = Field(4, ge=2, le=32, description="potentials in the committee")
    member: SerializeAsAny[FamilySettings] = Field(
        default_factory=LinearDensitySettings, description="of any kind; all alike"
    )


def _fit(task: FitTask) -> FitResult:
    from hyperatom.potentials.bootstrap import fit_bootstrap

    return fit_bootstrap(task)


def _assemble(
    settings: CommitteeSettings, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> Any:
    from hyperatom.potentials.bootstrap import assemble_bootstrap

    return assemble_bootstrap(settings, species, parameters, knowledge)


def _unknowns(settings: CommitteeSettings, species: tuple[int, ...]) -> int | None:

    return family_of(settings.member).unknowns(settings.member, species)


FAMILIES = (
    Family(
        name="committee",
        title="several potentials of any kind, fitted to bootstrap samples; spread is error",
        settings=CommitteeSettings,
        fit=_fit,
        assemble=_assemble,
        citation="L. Breiman, Bagging predictors, Mach. Learn. 24, 123 (1996)",
        doi="10.1007/BF00058655",
        small={
            "cutoff": 3.6, "members": 3,
            "member": {
                "kind": "linear_density", "cutoff": 3.6, "radial_functions": 4,
                "power_channels": 2, "power_degree": 1, "bispectrum_channels": 1,
                "bispectrum_degree": 1,
            },
        },
        unknowns=_unknowns,
    ),
)  # fmt: skip
