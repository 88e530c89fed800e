"""Settings that all families of sparse Gaussian processes have."""

from typing import Literal

from pydantic import Field

from hyperatom.potentials.family import FamilySettings


class SparseSettings(FamilySettings):
    """A sparse Gaussian process."""

    inducing_points: int = Field(
        400, ge=1, le=10000, description="environments of each species that energies are sums over"
    )
    selection: Literal["farthest_points", "cur"] = Field(
        "farthest_points", description="of the inducing points: the most different, or leverages"
    )
    energy_noise: float | None = Field(
        None, gt=0, description="meV/sqrt(atom); sigma of energies; null: by evidence"
    )
    force_noise: float | None = Field(
        None, gt=0, description="meV/Å; sigma of forces; null: by evidence"
    )
    virial_noise: float | None = Field(
        None, gt=0, description="meV/sqrt(atom); sigma of virials; null: by evidence"
    )
    energy_emphasis: float = Field(
        30.0, gt=0, description="1/Å; force noise over energy noise, at the least, by evidence"
    )
