"""What is to be made small: weighted residuals of energies, forces and virials of labels.

    r_E = sqrt(w) (E - E_ref) / sqrt(n_atoms sigma_E^2 + s^2)
    r_F = sqrt(w) (F - F_ref) / sigma_F                          3 n_atoms of them
    r_V = sqrt(w) (V - V_ref) / (sqrt(n_atoms) sigma_V)          6 of them, V = volume x stress

Energies count per square root of the number of atoms: the errors of atoms add up like those of a
random walk, so that configurations of all sizes then say equally much about one atom. With
sigma the noise and s the standard error of a noisy reference, half the sum of squares is minus the
logarithm of a likelihood; so is the prior's, for a Gaussian prior of the parameters.

A label of group g may have an offset of its own, r_E - o_g: minimised over the offsets, the energy
part is the variance of total-energy errors within the groups, which is what acceptance depends on
(see `losses`). The offsets stand behind the potential's parameters in the vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.evaluation import VOIGT
from hyperatom.potentials.training.batches import Batch, TrainingLabel
from hyperatom.potentials.training.local_terms import (
    LocalTerms,
    energies_and_slopes,
    seen_from_the_other_side,
)
from hyperatom.potentials.training.parameter_vector import ParameterVector

ANCHOR = 1.0e-2
"""Prior of a group's offset: weak, it only decides between it and a constant of the potential."""


@dataclass(frozen=True)
class Noise:
    """Standard deviations that make residuals dimensionless; infinite: left out.

    | field    | unit          |
    |----------|---------------|
    | `energy` | eV/sqrt(atom) |
    | `forces` | eV/Å          |
    | `virial` | eV/sqrt(atom) |
    """

    energy: float = 2.0e-3
    forces: float = 5.0e-2
    virial: float = 2.0e-2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0.0:
                raise InputError(
                    f"The noise of the {name} is {value:g}.",
                    "Give a positive number; infinity leaves them out.",
                )


class Predictions(NamedTuple):
    """Of one batch: energies (n_configurations,), forces (3, n_atoms), virials (.., 6) in eV, Å."""

    energies: jax.Array
    forces: jax.Array
    virials: jax.Array


class Errors(NamedTuple):
    """Root mean square errors; NaN where no label says anything.

    | field    | unit    |
    |----------|---------|
    | `energy` | eV/atom |
    | `forces` | eV/Å    |
    | `virial` | eV/atom |
    | `loss`   | -       |
    | `robust` | -       |

    `loss` is half the mean square of the weighted residuals; `robust` the mean over configurations
    of log(1 + L), L the same of a configuration: to it one that lies far off is one among many.
    """

    energy: Any
    forces: Any
    virial: Any
    loss: Any
    robust: Any


@dataclass(frozen=True, eq=False)
class TrainingProblem:
    """A potential in training, what its parameters are, and how errors are weighed.

    `prior_precision` is that of every parameter, around `prior_mean` (n_parameters,) or zero. With
    `n_groups` above zero each group of labels has its own offset.

    Compiled programs take it as an argument: one that differs from another in numbers alone finds
    them compiled, as long as `terms` is the same object or an equal one.
    """

    terms: LocalTerms
    parameters: ParameterVector
    noise: Noise = field(default_factory=Noise)
    prior_precision: float = 0.0
    prior_mean: Any = None
    n_groups: int = 0

    @property
    def n_unknowns(self) -> int:
        """Length of a vector: parameters, then offsets of the groups."""
        return self.parameters.n_parameters + self.n_groups

    @property
    def energies_alone(self) -> bool:
        """Are forces and virials left out, so that no slope is needed?"""
        return bool(np.isinf(self.noise.forces) and np.isinf(self.noise.virial))

    def start(self, trees: Sequence[Any]) -> NDArray[np.float64]:
        """Vectors to start from, (n_members, n_unknowns), one for each tree of parameters."""
        vectors = np.array([self.parameters.vector(tree) for tree in trees])
        return np.hstack([vectors, np.zeros((len(vectors), self.n_groups))])

    def predict(self, vector: jax.Array, batch: Batch) -> Predictions:
        """Energies, forces and virials of a batch; differentiable once in the vector."""
        dtype = batch.displacements.dtype
        tree = self.parameters.tree(vector, dtype)
        n_atoms = batch.member.shape[1]
        if self.energies_alone:
            energies = _energies(self.terms, tree, batch)
            return Predictions(
                batch.member @ energies,
                jnp.zeros_like(batch.forces),
                jnp.zeros_like(batch.virial),
            )
        values, slopes = energies_and_slopes(
            self.terms, tree, batch.inputs, batch.species, batch.slots
        )
        slopes = slopes.reshape(n_atoms, *slopes.shape[2:])
        gradients = self.terms.gradients(slopes, batch.slopes, batch.displacements, batch.slots)
        forces = (gradients - seen_from_the_other_side(gradients, batch.reverse)).sum(axis=2)
        tensor = jnp.einsum("ais,bis->iab", batch.displacements, gradients)
        tensor = 0.5 * (tensor + tensor.transpose(0, 2, 1))
        voigt = tensor[:, *VOIGT]
        return Predictions(batch.member @ values.reshape(-1), forces, batch.member @ voigt)

    def residuals(self, vector: jax.Array, batch: Batch) -> jax.Array:
        """Weighted residuals, (n_configurations + 3 n_atoms + 6 n_configurations,); padding: zero.

        In the order of the equations above. In the precision of the batch.
        """
        found = self.predict(vector, batch)
        parts = [self._energy_residuals(vector, batch, found.energies)]
        if not self.energies_alone:
            by_force = jnp.sqrt(batch.force_weight) / self.noise.forces
            parts.append(((found.forces - batch.forces) * by_force).reshape(-1))
            by_virial = jnp.sqrt(batch.virial_weight / batch.n_atoms) / self.noise.virial
            parts.append(((found.virials - batch.virial) * by_virial[:, None]).reshape(-1))
        return jnp.concatenate(parts)

    def n_residuals(self, batch: Batch) -> int:
        """Number of residuals of one batch, padding included."""
        n_configurations, n_atoms = (int(size) for size in batch.member.shape)
        return n_configurations + (0 if self.energies_alone else 3 * n_atoms + 6 * n_configurations)

    def _energy_residuals(self, vector: jax.Array, batch: Batch, energies: jax.Array) -> jax.Array:
        variance = batch.n_atoms * self.noise.energy**2 + batch.energy_error**2
        residual = (energies - batch.energy) / jnp.sqrt(variance)
        if self.n_groups:
            offsets = vector[self.parameters.n_parameters :].astype(residual.dtype)
            residual = residual - offsets[batch.group]
        return jnp.asarray(jnp.sqrt(batch.weight) * residual)

    @cached_property
    def prior(self) -> tuple[NDArray[np.float64], Any]:
        """Precision and mean of each unknown, both (n_unknowns,)."""
        n_parameters = self.parameters.n_parameters
        precision = np.full(self.n_unknowns, self.prior_precision)
        precision[n_parameters:] = ANCHOR**2
        if self.prior_mean is None:
            return precision, np.zeros(self.n_unknowns)
        library = jnp if isinstance(self.prior_mean, jax.Array) else np
        return precision, library.concatenate([self.prior_mean, np.zeros(self.n_groups)])

    def sums(self, vector: jax.Array, batch: Batch) -> jax.Array:
        """What errors are made of: squares and numbers of energies, forces, virials; (10,).

        Energies and virials per atom. Then half the sum of squared residuals and their number, and
        of `robust` the sum over configurations and their number.
        """
        found = self.predict(vector, batch)
        dtype = jnp.float64
        counted = (batch.weight > 0.0).astype(dtype)
        with_forces = (batch.force_weight > 0.0).astype(dtype)
        with_virial = (batch.virial_weight > 0.0).astype(dtype)
        of_energy = (found.energies - batch.energy).astype(dtype)
        if self.n_groups:
            variance = batch.n_atoms * self.noise.energy**2 + batch.energy_error**2
            offsets = vector[self.parameters.n_parameters :]
            of_energy = of_energy - offsets[batch.group] * jnp.sqrt(variance)
        n_configurations, n_atoms = batch.member.shape
        squares = self.residuals(vector, batch).astype(dtype) ** 2
        of_each, n_rows = squares[:n_configurations], counted
        if not self.energies_alone:
            by_atom, by_virial = jnp.split(squares[n_configurations:], [3 * n_atoms])
            member = batch.member.astype(dtype)
            of_each = of_each + member @ by_atom.reshape(3, n_atoms).sum(axis=0)
            of_each = of_each + by_virial.reshape(n_configurations, 6).sum(axis=1)
            n_rows = n_rows + 3.0 * (member @ with_forces) + 6.0 * with_virial
        known = n_rows > 0.0
        losses = jnp.log1p(0.5 * of_each / jnp.where(known, n_rows, 1.0))
        return jnp.stack(
            [
                jnp.sum(counted * (of_energy / batch.n_atoms) ** 2),
                counted.sum(),
                jnp.sum(with_forces * (found.forces - batch.forces) ** 2),
                3.0 * with_forces.sum(),
                jnp.sum(
                    with_virial[:, None]
                    * ((found.virials - batch.virial) / batch.n_atoms[:, None]) ** 2
                ),
                6.0 * with_virial.sum(),
                0.5 * of_each.sum(),
                n_rows.sum(),
                jnp.sum(jnp.where(known, losses, 0.0)),
                known.sum().astype(dtype),
            ]
        )


jax.tree_util.register_dataclass(
    TrainingProblem,
    data_fields=["parameters", "prior_mean"],
    meta_fields=["terms", "noise", "prior_precision", "n_groups"],
)


def errors_of(sums: NDArray[np.float64], energies_alone: bool = False) -> Errors:
    """Root mean squares from sums (..., 10) as `TrainingProblem.sums` gives them."""
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = sums[..., 0:6:2] / sums[..., 1:6:2]
        energy, forces, virial = np.moveaxis(np.sqrt(squares), -1, 0)
        loss, robust = sums[..., 6] / sums[..., 7], sums[..., 8] / sums[..., 9]
    if energies_alone:
        forces, virial = np.full_like(forces, np.nan), np.full_like(virial, np.nan)
    return Errors(energy, forces, virial, loss, robust)


def group_numbers(labels: Sequence[TrainingLabel]) -> list[TrainingLabel]:
    """The same labels, groups numbered from zero by the composition of the configurations.

    Total energies are compared within a group: they must be of equal atoms.
    """
    from dataclasses import replace

    numbers: dict[bytes, int] = {}
    grouped = []
    for label in labels:
        key = np.sort(label.configuration.numbers).tobytes()
        grouped.append(replace(label, group=numbers.setdefault(key, len(numbers))))
    return grouped


def _energies(terms: LocalTerms, tree: Any, batch: Batch) -> jax.Array:
    def of_block(given: tuple[jax.Array, jax.Array]) -> jax.Array:
        return terms.energies(tree, given[0], given[1], batch.slots)

    if len(batch.species) == 1:
        return of_block((batch.inputs[0], batch.species[0]))
    return jnp.asarray(jax.lax.map(of_block, (batch.inputs, batch.species))).reshape(-1)
