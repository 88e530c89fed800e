"""Settings of the families whose members are trained (see `committee_fit`)."""

from typing import Literal

from pydantic import Field

from hyperatom.potentials.family import FamilySettings


class TrainedSettings(FamilySettings):
    """A committee of trained members."""

    activation: Literal["tanh", "softplus", "twisted tanh", "logistic"] = Field(
        "tanh", description="of the hidden layers"
    )
    members: int = Field(4, ge=1, le=32, description="members of the committee; one: no errors")
    trainer: Literal["kalman", "levenberg_marquardt", "lbfgs", "adam"] = Field(
        "kalman", description="extended Kalman filter, or a minimisation of squared errors"
    )
    epochs: int = Field(40, ge=0, description="passes through the labels, at the most")
    patience: int = Field(10, ge=1, description="epochs without a better validation, then it ends")
    energy_noise: float = Field(2.0, gt=0, description="meV/sqrt(atom); weight of energies")
    force_noise: float = Field(50.0, gt=0, description="meV/Å; weight of forces")
    stress_noise: float = Field(20.0, gt=0, description="meV/sqrt(atom); weight of virials")
