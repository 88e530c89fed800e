"""Linear atomic cluster expansion: density invariants under a Bayesian linear readout.

    E = sum_i [ w_{s(i)} . B(i) + c_{s(i)} ] + repulsion

Fitted in closed form, noise levels and prior by evidence; the default guide (see `linear_density`).
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from hyperatom.potentials.family import Family, FamilySettings, FitResult, FitTask

if TYPE_CHECKING:
    from hyperatom.potentials.features.density import DensitySettings


class LinearDensitySettings(FamilySettings):
    """The learned potential that proposes."""

    kind: Literal["linear_density"] = Field(
        "linear_density", description="family: 'hyperatom list potentials'"
    )
    cutoff: float = Field(5.5, ge=2.0, le=15.0, description="Å; how far an atom sees")
    crowding: float = Field(3.0, ge=0, le=20, description="finer radial functions at short range")
    radial_functions: int = Field(10, ge=2, le=40, description="Chebyshev functions of the pairs")
    power_channels: int | None = Field(
        None, ge=0, le=20, description="radial functions of the 3-body terms; null: by species"
    )
    power_degree: int = Field(3, ge=0, le=10, description="largest l of the 3-body terms")
    bispectrum_channels: int | None = Field(
        None, ge=0, le=6, description="radial functions of the 4-body terms; null: by species"
    )
    bispectrum_degree: int = Field(3, ge=0, le=6, description="largest l of the 4-body terms")
    trispectrum_channels: int | None = Field(
        0, ge=0, le=4, description="radial functions of the 5-body terms; null: by species"
    )
    trispectrum_degree: int = Field(3, ge=0, le=3, description="largest l of the 5-body terms")
    energy_emphasis: float = Field(
        10.0, gt=0, description="1/Å; of fits to data: force noise over energy noise, at the least"
    )


def density_settings(guide: LinearDensitySettings, species: tuple[int, ...]) -> "DensitySettings":
    """The density that a guide sees; what is left open is chosen by the number of species.

    The number of features grows with the third power of species x channels: about twelve and six
    channels in all keep it near a thousand for each central species.
    """
    from hyperatom.potentials.features.density import DensitySettings

    power, bispectrum = guide.power_channels, guide.bispectrum_channels
    trispectrum = guide.trispectrum_channels
    if power is None:
        power = min(guide.radial_functions, max(2, 12 // len(species)))
    if bispectrum is None:
        bispectrum = min(guide.radial_functions, max(1, 6 // len(species)))
    if trispectrum is None:
        trispectrum = min(guide.radial_functions, 3 // len(species))
    return DensitySettings(
        species=species,
        cutoff=guide.cutoff,
        n_radial=guide.radial_functions,
        max_degree=max(
            guide.power_degree,
            guide.bispectrum_degree,
            guide.trispectrum_degree if trispectrum else 0,
        ),
        crowding=guide.crowding,
        power_spectrum_radial=power,
        power_spectrum_degree=guide.power_degree,
        bispectrum_radial=bispectrum,
        bispectrum_degree=guide.bispectrum_degree,
        trispectrum_radial=trispectrum,
        trispectrum_degree=guide.trispectrum_degree if trispectrum else 0,
    )


def _fit(task: FitTask) -> FitResult:
    from hyperatom.potentials.linear_fit import fit_linear_density

    return fit_linear_density(task, density_settings(task.settings, task.species))


def _assemble(
    settings: LinearDensitySettings, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> Any:
    from hyperatom.potentials.linear_fit import assemble_linear_density

    density = density_settings(settings, species)
    return assemble_linear_density(settings, density, parameters, knowledge)


def _unknowns(settings: LinearDensitySettings, species: tuple[int, ...]) -> int:
    from hyperatom.potentials.features.density import DensityFeatures

    features = DensityFeatures(density_settings(settings, species))
    return len(species) * (features.n_features + 1)


FAMILIES = (
    Family(
        name="linear_density",
        title="atomic cluster expansion to five bodies, Bayesian linear: fits in closed form",
        settings=LinearDensitySettings,
        fit=_fit,
        assemble=_assemble,
        citation="R. Drautz, Atomic cluster expansion for accurate and transferable interatomic "
        "potentials, Phys. Rev. B 99, 014104 (2019)",
        doi="10.1103/PhysRevB.99.014104",
        small={
            "cutoff": 3.6, "radial_functions": 4, "power_channels": 2, "power_degree": 1,
            "bispectrum_channels": 1, "bispectrum_degree": 1, "trispectrum_channels": 1,
            "trispectrum_degree": 1,
        },
        unknowns=_unknowns,
    ),
)  # fmt: skip
