"""FLARE: a sparse Gaussian process of power spectra, mapped to a quadratic polynomial.

    E = sum_i p_i^T B_{s(i)} p_i + constants + repulsion

Fitted in closed form; signals and noise levels by evidence (see `sparse_fit`).
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from hyperatom.potentials.family import Family, FitResult, FitTask
from hyperatom.potentials.sparse_settings import SparseSettings

if TYPE_CHECKING:
    from hyperatom.potentials.flare_form import FlareForm


class FlareSettings(SparseSettings):
    """A quadratic form of power spectra."""

    kind: Literal["flare"] = Field("flare", description="family: 'hyperatom list potentials'")
    cutoff: float = Field(5.0, ge=1.0, le=15.0, description="Å; how far an atom sees")
    crowding: float = Field(3.0, ge=0, le=20, description="finer radial functions at short range")
    radial_functions: int = Field(8, ge=1, le=20, description="Chebyshev functions of the pairs")
    degree: int = Field(4, ge=0, le=10, description="largest l of the power spectrum")
    features: int | None = Field(
        None, ge=1, le=10000, description="of the power spectrum that are kept; null: all"
    )
    softness: float = Field(
        0.1, gt=0, le=10.0, description="of the normalisation, as a part of usual descriptors"
    )


def _form(settings: FlareSettings, species: tuple[int, ...]) -> "FlareForm":
    from hyperatom.potentials.features.density import DensitySettings
    from hyperatom.potentials.flare_form import FlareForm

    density = DensitySettings(
        species=species,
        cutoff=settings.cutoff,
        n_radial=settings.radial_functions,
        max_degree=settings.degree,
        crowding=settings.crowding,
        radial=False,
        power_spectrum_radial=settings.radial_functions,
        power_spectrum_degree=settings.degree,
    )
    return FlareForm(
        density, settings.features, settings.softness, settings.inducing_points, settings.selection
    )


def _fit(task: FitTask) -> FitResult:
    from hyperatom.potentials.sparse_fit import fit_sparse

    return fit_sparse(task, _form(task.settings, task.species))


def _assemble(
    settings: FlareSettings, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> Any:
    from hyperatom.potentials.sparse_fit import assemble_sparse

    return assemble_sparse(settings, _form(settings, species), parameters, knowledge)


def _unknowns(settings: FlareSettings, species: tuple[int, ...]) -> int:
    return len(species) * (settings.inducing_points + 1)


FAMILIES = (
    Family(
        name="flare",
        title="power spectra under a sparse Gaussian process, mapped to a polynomial",
        settings=FlareSettings,
        fit=_fit,
        assemble=_assemble,
        citation="J. Vandermause, Y. Xie, J. S. Lim, C. J. Owen and B. Kozinsky, Active learning "
        "of reactive Bayesian force fields applied to heterogeneous catalysis dynamics of H/Pt, "
        "Nat. Commun. 13, 5183 (2022)",
        doi="10.1038/s41467-022-32294-0",
        small={"cutoff": 3.6, "radial_functions": 4, "degree": 2, "inducing_points": 60},
        unknowns=_unknowns,
    ),
)  # fmt: skip
