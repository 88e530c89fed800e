"""Gaussian approximation potentials: sparse Gaussian processes of pairs, triplets and SOAP.

    E = sum_i e(SOAP_i) + sum_ij e(r_ij) f(r_ij) (+ triplets) + constants + repulsion

Fitted in closed form; signals of the terms and noise levels by evidence (see `sparse_fit`).
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from hyperatom.potentials.family import Family, FitResult, FitTask
from hyperatom.potentials.sparse_settings import SparseSettings

if TYPE_CHECKING:
    from hyperatom.potentials.gap_form import GapForm


class GapSettings(SparseSettings):
    """A Gaussian approximation potential."""

    kind: Literal["gap"] = Field("gap", description="family: 'hyperatom list potentials'")
    cutoff: float = Field(5.0, ge=1.0, le=15.0, description="Å; how far an atom sees")
    transition_width: float = Field(
        1.0, gt=0, le=10.0, description="Å before the cutoff over which neighbours vanish"
    )
    radial_functions: int = Field(8, ge=2, le=20, description="of SOAP, for each species")
    degree: int = Field(6, ge=0, le=12, description="largest l of SOAP")
    atom_width: float = Field(0.5, gt=0, le=2.0, description="Å; Gaussian of an atom in SOAP")
    exponent: float = Field(4.0, ge=1.0, le=10.0, description="zeta of the kernel of SOAP")
    pair_points: int = Field(20, ge=0, le=200, description="distances of each pair; 0: no pairs")
    pair_width: float = Field(0.8, gt=0, le=5.0, description="Å; Gaussian kernel of distances")
    triplet_points: int = Field(0, ge=0, le=1000, description="of each kind; 0: no triplets")
    triplet_cutoff: float | None = Field(
        None, ge=1.0, le=10.0, description="Å; null: the cutoff, at most 4 Å"
    )
    triplet_width: float = Field(1.0, gt=0, le=5.0, description="Å; Gaussian kernel of triplets")


def _form(settings: GapSettings, species: tuple[int, ...]) -> "GapForm":
    from hyperatom.potentials.gap_form import GapForm

    return GapForm(
        species=species,
        cutoff=settings.cutoff,
        transition_width=min(settings.transition_width, settings.cutoff),
        n_radial=settings.radial_functions,
        max_degree=settings.degree,
        atom_width=settings.atom_width,
        exponent=settings.exponent,
        inducing_points=settings.inducing_points,
        selection=settings.selection,
        pair_points=settings.pair_points,
        pair_width=settings.pair_width,
        triplet_points=settings.triplet_points,
        triplet_cutoff=min(settings.triplet_cutoff or 4.0, settings.cutoff),
        triplet_width=settings.triplet_width,
    )


def _fit(task: FitTask) -> FitResult:
    from hyperatom.potentials.sparse_fit import fit_sparse

    return fit_sparse(task, _form(task.settings, task.species))


def _assemble(
    settings: GapSettings, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> Any:
    from hyperatom.potentials.sparse_fit import assemble_sparse

    return assemble_sparse(settings, _form(settings, species), parameters, knowledge)


def _unknowns(settings: GapSettings, species: tuple[int, ...]) -> int:
    n = len(species)
    n_pairs = n * (n + 1) // 2
    points = n_pairs * (settings.pair_points + n * settings.triplet_points)
    return points + n * (settings.inducing_points + 1)


FAMILIES = (
    Family(
        name="gap",
        title="SOAP and pairs under sparse Gaussian processes: fits in closed form",
        settings=GapSettings,
        fit=_fit,
        assemble=_assemble,
        citation="A. P. Bartók, M. C. Payne, R. Kondor and G. Csányi, Gaussian approximation "
        "potentials: the accuracy of quantum mechanics, without the electrons, Phys. Rev. Lett. "
        "104, 136403 (2010)",
        doi="10.1103/PhysRevLett.104.136403",
        small={
            "cutoff": 3.8, "radial_functions": 4, "degree": 2, "inducing_points": 40,
            "pair_points": 6, "pair_width": 0.6,
        },
        unknowns=_unknowns,
    ),
)  # fmt: skip
