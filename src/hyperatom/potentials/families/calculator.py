"""Any ASE calculator as a potential: xTB, a force field, a foundation model.

    E = E_calculator + sum_i c_{s(i)}

There is nothing to learn but the energies of atoms, and how wrong the calculator is.
"""

from typing import Any, Literal

from pydantic import Field

from hyperatom.potentials.family import Family, FamilySettings, FitResult, FitTask


class CalculatorSettings(FamilySettings):
    """A calculator that is asked at each step."""

    kind: Literal["calculator"] = Field(
        "calculator", description="family: 'hyperatom list potentials'"
    )
    calculator: str = Field(
        "ase:tblite.ase.TBLite", description="import path of any ASE calculator"
    )
    keywords: dict[str, Any] = Field(
        default_factory=lambda: {"verbosity": 0}, description="of the calculator"
    )


def _fit(task: FitTask) -> FitResult:
    from hyperatom.potentials.calculator_fit import fit_calculator

    return fit_calculator(task)


def _assemble(
    settings: CalculatorSettings, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> Any:
    from hyperatom.potentials.calculator_fit import assemble_calculator

    return assemble_calculator(settings, species, parameters, knowledge)


FAMILIES = (
    Family(
        name="calculator",
        title="any ASE calculator, called at each step; energies of atoms are fitted",
        settings=CalculatorSettings,
        fit=_fit,
        assemble=_assemble,
        citation="A. H. Larsen et al., The atomic simulation environment: a Python library for "
        "working with atoms, J. Phys.: Condens. Matter 29, 273002 (2017)",
        doi="10.1088/1361-648X/aa680e",
        small={
            "cutoff": 3.6, "calculator": "ase:ase.calculators.lj.LennardJones",
            "keywords": {"sigma": 1.4, "epsilon": 0.1, "rc": 3.6, "ro": 2.5, "smooth": True},
        },
        unknowns=lambda settings, species: len(species),  # noqa: ARG005
    ),
)  # fmt: skip
