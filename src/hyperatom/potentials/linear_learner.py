"""Learns a linear density potential label by label; the same labels in the same order give the same
potential, bit for bit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation
from hyperatom.potentials.feature_rows import RowMaker
from hyperatom.potentials.linear_density import LinearDensityModel, LinearDensityPotential
from hyperatom.potentials.readouts.bayesian_linear import (
    Hyperparameters,
    NormalEquations,
    Posterior,
    maximise_evidence,
    posterior,
)
from hyperatom.potentials.repulsion import repulsion_radii

START: Final = Hyperparameters(
    prior_precision=0.05, noise={"energy": 2.0e-3, "forces": 5.0e-2, "virial": 2.0e-2}
)
"""Before evidence speaks: noise in eV/sqrt(atom), eV/Å, eV/sqrt(atom)."""

BEYOND_FORCES: Final = {"energy": 1.0, "virial": 3.0}
"""Å; noise of such rows over that of forces, at least, from which evidence sets out."""

SWEEPS: Final = 5
"""Of evidence maximisation, whenever hyperparameters are renewed."""

NOISE_FLOOR: Final = {"energy": 3.0e-4, "forces": 1.0e-3, "virial": 1.0e-3}
"""No fit of ours is better than this; keeps few rows from claiming to be exact."""

CONSTANT_SCALE: Final = 10.0
"""eV; prior scale of an atom's constant energy."""

UPDATE_GROWTH: Final = 1.25
"""Hyperparameters are renewed whenever the labels have grown by this factor."""

MEMORY: Final = 20
"""Labels over which predicted and found energies are compared."""


@dataclass
class LinearDensityLearner:
    """Streaming fit: `add` labels, `fit` a frozen potential at any time.

    Labels whose energy lies more than `energy_window` eV from the median of the latest half are
    forgotten whenever the hyperparameters are renewed: early trajectories that ran off teach little
    about where the chain lives now.
    """

    model: LinearDensityModel
    start: Configuration
    energy_window: float = np.inf
    hyperparameters: Hyperparameters = START
    forgotten: int = 0
    labels: list[tuple[Configuration, Evaluation]] = field(default_factory=list)
    _kept: list[bool] = field(default_factory=list)
    _surprises: list[float] = field(default_factory=list)
    _next_update: float = 1.0

    def __post_init__(self) -> None:
        self._rows = RowMaker(self.model)
        species = self.model.settings.species
        self.radii = repulsion_radii(self.start, species, self.model.settings.cutoff)
        self._equations = NormalEquations(self.model.n_unknowns)
        self._zero = self.model.parameters(
            np.zeros((len(species), self.model.features.n_features)),
            np.zeros(len(species)),
            self.radii,
        )
        self._energy_per_atom = 0.0
        self._latest: LinearDensityPotential | None = None
        self._stale = True

    @property
    def n_labels(self) -> int:
        """Labels that the next fit will use."""
        return sum(self._kept)

    def add(self, configuration: Configuration, evaluation: Evaluation) -> None:
        """Learn one label: an energy row, 3 n_atoms force rows, and 6 virial rows if it has any."""
        if self.labels and self._latest is not None:
            guessed = self._latest.evaluate(configuration)
            assert guessed.energy_error is not None
            surprise = (evaluation.energy - guessed.energy) / guessed.energy_error
            self._surprises.append(float(surprise * self._latest.inflation))
        self._keep(configuration, evaluation)
        if len(self.labels) >= self._next_update:
            self._update()

    def add_many(self, labels: Iterable[tuple[Configuration, Evaluation]]) -> None:
        """Learn labels by which nobody is surprised: hyperparameters are renewed once."""
        for configuration, evaluation in labels:
            self._keep(configuration, evaluation)
        if self.labels:
            self._update()

    @property
    def unseen(self) -> int:
        """Directions of feature space that no label says anything of."""
        return self._solve().unseen

    def fit(self, *, anew: bool = False) -> LinearDensityPotential:
        """The frozen potential of all labels so far, always of all."""
        del anew
        if self._stale or self._latest is None:
            self._latest = self._freeze(self._solve())
            self._stale = False
        return self._latest

    def floor(self, guide: LinearDensityPotential) -> float:
        """The smallest error of a total energy that a guide can be expected to predict, eV."""
        return float(guide.inflation * guide.noise * np.sqrt(self.start.n_atoms))

    def load(self, path: Path) -> LinearDensityPotential:
        """What `LinearDensityPotential.save` wrote, with the compiled part that is here already."""
        return LinearDensityPotential.load(path, self.model)

    def knows(self) -> str:
        """How well determined the guide is, in words."""
        return f"{self.unseen} of {self.model.n_unknowns} directions rest on the prior alone"

    def _solve(self) -> Posterior:
        return posterior(self._equations, self._scales(), self.hyperparameters)

    def _freeze(self, solution: Posterior) -> LinearDensityPotential:
        n_species = len(self.model.settings.species)
        weights = solution.weights[:-n_species].reshape(n_species, -1)
        constants = solution.weights[-n_species:] + self._energy_per_atom
        return LinearDensityPotential(
            self.model,
            weights.copy(),
            constants,
            self.radii,
            solution.scales,
            solution.factor,
            noise=self.hyperparameters.noise["energy"],
            inflation=self._inflation(),
        )

    def _inflation(self) -> float:
        """Ratio of found to predicted errors over the latest labels, shrunk towards one."""
        recent = np.array(self._surprises[-MEMORY:])
        # Five fictitious labels that came out as predicted; outliers count as three deviations.
        squares = np.minimum(recent**2, 9.0)
        return float(np.sqrt((squares.sum() + 5.0) / (len(recent) + 5.0)))

    def _keep(self, configuration: Configuration, evaluation: Evaluation) -> None:
        if not self.labels:
            self._energy_per_atom = evaluation.energy / configuration.n_atoms
        self.labels.append((configuration, evaluation))
        self._kept.append(True)
        self._accumulate(configuration, evaluation)
        self._stale = True

    def _update(self) -> None:
        self._next_update = max(len(self.labels) + 1, UPDATE_GROWTH * len(self.labels))
        self._forget()
        self._renew_hyperparameters()
        self._stale = True

    def _accumulate(self, configuration: Configuration, evaluation: Evaluation) -> None:
        rows = self._rows.make(configuration)
        energy, forces, virial = self.model.evaluate(self._zero, configuration)
        root = np.sqrt(configuration.n_atoms)
        found = evaluation.energy - self._energy_per_atom * configuration.n_atoms - energy
        self._equations.add("energy", rows.energy / root, np.array([found / root]))
        self._equations.add("forces", rows.forces, (evaluation.forces - forces).ravel())
        if evaluation.stress is not None:
            pull = evaluation.stress * configuration.volume - virial
            self._equations.add("virial", rows.virial / root, pull / root)

    def _scales(self) -> NDArray[np.float64]:
        return feature_scales(self._equations, len(self.model.settings.species))

    def _renew_hyperparameters(self) -> None:
        start = replace(self.hyperparameters, noise=from_above(self.hyperparameters.noise))
        self.hyperparameters = maximise_evidence(
            self._equations, self._scales(), start, SWEEPS, NOISE_FLOOR
        )

    def _forget(self) -> None:
        energies = np.array([evaluation.energy for _, evaluation in self.labels])
        # The lower of the two in the middle: one of the labels, so that one at least is kept.
        middle = float(np.quantile(energies[len(energies) // 2 :], 0.5, method="lower"))
        kept = [bool(abs(energy - middle) <= self.energy_window) for energy in energies]
        if kept == self._kept:
            return
        self._kept = kept
        self.forgotten = kept.count(False)
        self._equations = NormalEquations(self.model.n_unknowns)
        for keep, label in zip(kept, self.labels, strict=True):
            if keep:
                self._accumulate(*label)


def from_above(noise: Mapping[str, float]) -> dict[str, float]:
    """Noise levels from which evidence does not take few rows of a kind for exact.

    Weights can fit energies and virials exactly as long as these are fewer than features: at little
    noise evidence has a maximum that is false. From above it comes to the other one.
    """
    least = {kind: length * noise["forces"] for kind, length in BEYOND_FORCES.items()}
    return {kind: max(level, least.get(kind, 0.0)) for kind, level in noise.items()}


def feature_scales(equations: NormalEquations, n_constants: int) -> NDArray[np.float64]:
    """D: a unit of scaled weight moves the forces by 1 eV/Å (root mean square).

    Where there are no forces, energies by 1 eV/sqrt(atom). The last `n_constants` are eV.
    """
    kind = "forces" if "forces" in equations.gram else "energy"
    width = np.sqrt(np.diag(equations.gram[kind]) / equations.count[kind])
    scales = np.full(len(width), CONSTANT_SCALE)
    learned = slice(0, len(width) - n_constants)
    # Features that hardly move yet must not become a licence for huge weights.
    floor = 1.0e-3 * float(np.median(width[learned])) + 1.0e-12
    scales[learned] = 1.0 / np.maximum(width[learned], floor)
    return scales
