"""Delta-learning: a potential of any kind, and another of any kind for what it leaves.

    E = E_baseline + E_correction

Both are fitted to the same labels, one after the other; the error is that of the correction.
"""

from typing import Any, Literal

from pydantic import Field, SerializeAsAny

from hyperatom.potentials.families.calculator import CalculatorSettings
from hyperatom.potentials.families.linear_density import LinearDensitySettings
from hyperatom.potentials.family import Family, FamilySettings, FitResult, FitTask, family_of


class DeltaSettings(FamilySettings):
    """A correction on top of a baseline."""

    kind: Literal["delta"] = Field("delta", description="family: 'hyperatom list potentials'")
    cutoff: float = Field(5.5, ge=1.0, le=15.0, description="Å; of its parts: see there")
    baseline_potential: SerializeAsAny[FamilySettings] = Field(
        default_factory=CalculatorSettings, description="of any kind; fitted first"
    )
    correction: SerializeAsAny[FamilySettings] = Field(
        default_factory=LinearDensitySettings, description="of any kind; fitted to the rest"
    )


def _fit(task: FitTask) -> FitResult:
    from hyperatom.potentials.delta import fit_delta

    return fit_delta(task)


def _assemble(
    settings: DeltaSettings, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> Any:
    from hyperatom.potentials.delta import assemble_delta

    return assemble_delta(settings, species, parameters, knowledge)


def _unknowns(settings: DeltaSettings, species: tuple[int, ...]) -> int | None:

    parts = settings.baseline_potential, settings.correction
    known = [family_of(part).unknowns(part, species) for part in parts]
    return None if None in known else sum(count for count in known if count is not None)


FAMILIES = (
    Family(
        name="delta",
        title="a correction of any kind, learned on top of a potential of any kind",
        settings=DeltaSettings,
        fit=_fit,
        assemble=_assemble,
        citation="R. Ramakrishnan, P. O. Dral, M. Rupp and O. A. von Lilienfeld, Big data meets "
        "quantum chemistry approximations: the Delta-machine learning approach, J. Chem. Theory "
        "Comput. 11, 2087 (2015)",
        doi="10.1021/acs.jctc.5b00099",
        small={
            "cutoff": 3.6,
            "baseline_potential": {
                "kind": "calculator", "cutoff": 3.6,
                "calculator": "ase:ase.calculators.lj.LennardJones",
                "keywords": {"sigma": 1.4, "epsilon": 0.02, "rc": 3.6, "ro": 2.5, "smooth": True},
            },
            "correction": {
                "kind": "linear_density", "cutoff": 3.6, "radial_functions": 4,
                "power_channels": 2, "power_degree": 1, "bispectrum_channels": 1,
                "bispectrum_degree": 1,
            },
        },
        unknowns=_unknowns,
    ),
)  # fmt: skip
