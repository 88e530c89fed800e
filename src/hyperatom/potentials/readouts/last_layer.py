"""The last layer of a trained network as Bayesian linear regression: a network that doubts.

    E = sum_i [ w_s . h(x_i) + c_s ],    sigma_E^2 = phi^T cov(w, c) phi + n_atoms sigma^2

with h the last hidden layer, kept as training left it, and phi the sums of h over the atoms: the
neural linear model (Snoek et al., ICML 2015; Riquelme et al., ICLR 2018). Energies, forces and
virials of the labels give the rows; noise and prior are those of largest evidence.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.readouts.bayesian_linear import (
    Hyperparameters,
    NormalEquations,
    Posterior,
    maximise_evidence,
    posterior,
)
from hyperatom.potentials.training.batches import Batch
from hyperatom.potentials.training.linear_rows import KINDS, linear_rows
from hyperatom.potentials.training.parameter_vector import ParameterVector
from hyperatom.potentials.training.problem import TrainingProblem

Array = NDArray[np.float64]

SWEEPS: Final = 5
"""Times that the noise is re-estimated."""

FLOOR: Final = 1.0e-2
"""No kind of label is fitted better than this part of the noise assumed."""


@dataclass(frozen=True, eq=False)
class BayesianLastLayer:
    """The problem of the last layer alone, its posterior, and the tree with the mean in it.

    `noise` are the re-estimated levels of each kind, in units of the noise of `problem`.
    """

    problem: TrainingProblem
    solution: Posterior
    noise: dict[str, float]
    tree: Any

    def energy_errors(self, stacks: tuple[Batch, ...], with_noise: bool = True) -> Array:
        """Predictive standard deviations of the total energies, eV, in the order of the batches."""
        alone = replace(
            self.problem, noise=replace(self.problem.noise, forces=np.inf, virial=np.inf)
        )
        bare = tuple(
            replace(
                stack,
                energy_error=0.0 * stack.energy_error,
                weight=(stack.weight > 0.0).astype(stack.weight.dtype),
            )
            for stack in stacks
        )
        rows = [one.matrix for one in linear_rows(alone, bare)]
        # Rows are in units of the noise of that configuration: sigma_E sqrt(n_atoms).
        units = np.concatenate(
            [
                self.problem.noise.energy * np.sqrt(stack.n_atoms[stack.weight > 0.0])
                for stack in stacks
            ]
        )
        variance = self.solution.standard_deviation(np.concatenate(rows)) ** 2
        if with_noise:
            variance = variance + self.noise["energy"] ** 2
        return np.asarray(units * np.sqrt(variance))


def bayesian_last_layer(
    problem: TrainingProblem, vector: Array, stacks: tuple[Batch, ...]
) -> BayesianLastLayer:
    """Solve the last layer of every element's network, hidden layers as `vector` has them.

    Parameters are those of `BehlerParrinelloEnergy`, whose last activation must be linear. Offsets
    stay what they are: the last bias does their work.
    """
    tree = problem.parameters.arrays(vector[: problem.parameters.n_parameters])
    last = [len(own["layers"]) - 1 for own in tree]

    def trained(way: tuple[Any, ...]) -> bool:
        return bool(way[1] == "layers" and way[2] == last[way[0]])

    parameters = ParameterVector(tree, trained=trained)
    return solved(TrainingProblem(problem.terms, parameters, problem.noise), stacks)


def solved(
    linear: TrainingProblem,
    stacks: tuple[Batch, ...],
    origin: Array | None = None,
    weighed: bool = False,
) -> BayesianLastLayer:
    """The posterior of a problem that is linear in its parameters, noise and prior by evidence.

    The prior is around `origin` (n_unknowns,) or zero. Where `weighed`, energies, forces and
    virials weigh against each other as the noise of the problem says: what no weights can mend is
    not noise, and evidence would give the energies away for the forces.
    """
    start = np.zeros(linear.n_unknowns) if origin is None else origin
    equations = NormalEquations(linear.n_unknowns)
    for rows in linear_rows(linear, stacks):
        targets = rows.targets - rows.matrix @ start
        for number, kind in enumerate(KINDS):
            chosen = rows.kinds == number
            if chosen.any():
                equations.add(kind, rows.matrix[chosen], targets[chosen])
    width = np.sqrt(sum(np.diag(gram) for gram in equations.gram.values()))
    scales = 1.0 / np.maximum(width, 1e-6 * width.max())
    kinds = list(equations.gram)
    hyper = maximise_evidence(
        equations,
        scales,
        Hyperparameters(1e-6, dict.fromkeys(kinds, 1.0)),
        SWEEPS,
        dict.fromkeys(kinds, FLOOR),
    )
    if weighed:
        common = hyper.noise.get("forces", hyper.noise["energy"])
        hyper = replace(hyper, noise=dict.fromkeys(kinds, common))
    solution = posterior(equations, scales, hyper)
    return BayesianLastLayer(
        linear,
        solution,
        dict(hyper.noise),
        linear.parameters.arrays(start + solution.weights),
    )
