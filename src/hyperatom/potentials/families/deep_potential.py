"""Deep Potential: networks on an embedding of the neighbours that is learned with them.

    E = sum_i [ mean_m N_{m,s(i)}(T_m(i), D_m(i)) ] + repulsion

The spread of the members' total energies is the predicted error (see `committee_fit`).
"""

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from hyperatom.potentials.family import Family, FitResult, FitTask
from hyperatom.potentials.trained_settings import TrainedSettings

if TYPE_CHECKING:
    from hyperatom.potentials.deep_potential_fit import DeepMembers


class DeepPotentialSettings(TrainedSettings):
    """Networks on a learned embedding."""

    kind: Literal["deep_potential"] = Field(
        "deep_potential", description="family: 'hyperatom list potentials'"
    )
    onset: float | None = Field(
        None, ge=0, le=15.0, description="Å; where neighbours begin to fade; null: half the cutoff"
    )
    embedding: list[int] = Field(
        [8, 16], min_length=1, description="nodes of the layers of the embedding"
    )
    axis: int = Field(4, ge=1, le=32, description="nodes of the embedding's last layer on one side")
    hidden: list[int] = Field([24, 24], description="nodes of each hidden layer")
    members: int = Field(1, ge=1, le=32, description="members of the committee; one: no errors")
    trainer: Literal["lbfgs", "adam", "kalman", "levenberg_marquardt"] = Field(
        "lbfgs", description="minimisation of squared errors, or extended Kalman filter"
    )
    epochs: int = Field(400, ge=0, description="passes through the labels, at the most")
    patience: int = Field(40, ge=1, description="epochs without a better validation, then it ends")

    @model_validator(mode="after")
    def _an_embedding(self) -> Self:
        if self.onset is not None and self.onset >= self.cutoff:
            raise ValueError(
                f"neighbours fade at {self.onset:g} Å, but the cutoff is {self.cutoff:g} Å: give"
                " an 'onset' below it"
            )
        if self.axis > self.embedding[-1]:
            raise ValueError(
                f"'axis' is {self.axis}, but the last layer of 'embedding' has"
                f" {self.embedding[-1]} nodes: give at most as many"
            )
        return self


@lru_cache(maxsize=8)
def _members(text: str, species: tuple[int, ...]) -> "DeepMembers":
    # One object for equal settings: what is compiled for it serves every fit.
    from hyperatom.potentials.deep_potential_fit import DeepMembers
    from hyperatom.potentials.features.deep_embedding import DeepEmbedding

    settings = DeepPotentialSettings.model_validate_json(text)
    onset = 0.5 * settings.cutoff if settings.onset is None else settings.onset
    return DeepMembers(
        settings,
        DeepEmbedding(species, settings.cutoff, onset, settings.embedding, settings.axis),
    )


def _architecture(settings: DeepPotentialSettings, species: tuple[int, ...]) -> "DeepMembers":
    own = set(DeepPotentialSettings.model_fields)
    return _members(settings.model_dump_json(include=own), species)


def _fit(task: FitTask) -> FitResult:
    from hyperatom.potentials.committee_fit import fit_committee

    return fit_committee(task, _architecture(task.settings, task.species), task.settings.epochs)


def _assemble(
    settings: DeepPotentialSettings, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> Any:
    from hyperatom.potentials.committee_fit import assemble_committee

    return assemble_committee(settings, _architecture(settings, species), parameters, knowledge)


def _unknowns(settings: DeepPotentialSettings, species: tuple[int, ...]) -> int:
    embedding = (1, *settings.embedding)
    network = (settings.embedding[-1] * (settings.axis + 1), *settings.hidden, 1)
    layers = [*pairwise(embedding), *pairwise(network)]
    return len(species) * (sum((a + 1) * b for a, b in layers) + 1)


FAMILIES = (
    Family(
        name="deep_potential",
        title="networks on an embedding of the neighbours that is learned with them",
        settings=DeepPotentialSettings,
        fit=_fit,
        assemble=_assemble,
        citation="L. Zhang, J. Han, H. Wang, W. A. Saidi, R. Car and W. E, End-to-end symmetry "
        "preserving inter-atomic potential energy model for finite and extended systems, Adv. "
        "Neural Inf. Process. Syst. 31 (2018)",
        doi="10.48550/arXiv.1805.09003",
        small={
            "cutoff": 3.6, "embedding": [4, 8], "axis": 2, "hidden": [24], "members": 2,
            "epochs": 250, "patience": 250,
        },
        unknowns=_unknowns,
    ),
)  # fmt: skip
