"""An atomic cluster expansion of few mixed fields under a nonlinear embedding.

    E_i = c_s + w_s . x_i + N_s(x_i),    x = (X - shift) * stretch

with X the invariants of `field_products.py` and s the species of the atom. The first layer of the
network N makes densities rho_p = sum_k C_pk x_k, which the further layers embed, as F(rho_1, ...)
does in Finnis-Sinclair potentials and in Lysogorskiy et al., npj Computational Materials 7, 97
(2021); without a network the expansion is linear and is solved in closed form. The mixing V^l_ac of
radial functions and neighbour species is common to all species and is trained with the rest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from hyperatom.potentials.committee_fit import Stacks, each_member
from hyperatom.potentials.family import FitTask
from hyperatom.potentials.features.density import ChebyshevRadial, neighbour_density
from hyperatom.potentials.features.field_products import FieldProducts
from hyperatom.potentials.member_spread import member_of
from hyperatom.potentials.network_fit import real_inputs, scaling_of
from hyperatom.potentials.readouts.last_layer import BayesianLastLayer, solved
from hyperatom.potentials.readouts.networks import evaluate_network, random_network
from hyperatom.potentials.training.batches import Batch
from hyperatom.potentials.training.density_terms import DensityTerms
from hyperatom.potentials.training.parameter_vector import ParameterVector
from hyperatom.potentials.training.problem import Noise, TrainingProblem

Array = NDArray[np.float64]

START_ATOMS: Final = 4000
"""Atoms whose inputs decide where mixing and scaling start."""

ROWS_PER_UNKNOWN: Final = 200
"""Residuals that decide from which linear expansion training starts."""

DECAY: Final = 0.25
"""Principal components of the density enter the first mixing with their variance to this power."""


@dataclass(frozen=True)
class FieldSettings:
    """Sizes of the expansion.

    | field       | unit | meaning                                                     |
    |-------------|------|-------------------------------------------------------------|
    | `species`   | -    | atomic numbers                                              |
    | `radial`    | -    | radial functions of the density                             |
    | `products`  | -    | invariants of the fields                                    |
    | `hidden`    | -    | nodes of the embedding's hidden layers; none: linear        |
    | `activation`| -    | of these layers                                             |
    | `members`   | -    | members of the committee                                    |
    """

    species: tuple[int, ...]
    radial: ChebyshevRadial
    products: FieldProducts
    hidden: tuple[int, ...]
    activation: str
    members: int


class FieldExpansion:
    """The expansion as members of a committee (see `Architecture`).

    A member is a dictionary:

    | key       | shape                         | unit | meaning                                   |
    |-----------|-------------------------------|------|-------------------------------------------|
    | `mixing`  | (n_fields, n_channels)        | -    | list over l: V^l_ac                       |
    | `centre`  | (n_fields,)                   | -    | subtracted from F_a00                     |
    | `species` | -                             | -    | a dictionary for each central species     |

    and that of a species holds

    | key                | shape                   | unit | meaning                                |
    |--------------------|-------------------------|------|----------------------------------------|
    | `shift`, `stretch` | (n_features,)           | -    | of x                                   |
    | `weights`          | (n_features,)           | eV   | w                                      |
    | `offset`           | scalar                  | eV   | c                                      |
    | `layers`           | (n_in, n_out), (n_out,) | -    | weights and biases of N; eV at its end |

    In training there is also a `whitening` T (n_features, n_features): weights, also those of the
    first layer, are then of T x.
    """

    title = "atomic cluster expansion of mixed fields"

    def __init__(self, settings: FieldSettings) -> None:
        self.settings = settings
        self.activations = (*(settings.activation for _ in settings.hidden), "linear")
        self.terms = DensityTerms(
            settings.species,
            settings.radial.cutoff,
            settings.radial,
            settings.products.degree,
            self.readout,
        )

    @property
    def n_channels(self) -> int:
        """Species times radial functions."""
        return len(self.settings.species) * self.settings.radial.n_radial

    def readout(self, own: Any, density: jax.Array, central_species: jax.Array) -> jax.Array:
        """Energies (n_block,) of a member in eV; `density` (n_block, n_channels x n_lm)."""
        features = self.features(own, density)
        total = jnp.zeros(len(density), density.dtype)
        for number, one in enumerate(own["species"]):
            inputs = (features - one["shift"][:, None]) * one["stretch"][:, None]
            plain = folded(one)
            energy = one["offset"] + plain["weights"] @ inputs
            if plain["layers"]:
                energy = energy + evaluate_network(plain["layers"], self.activations, inputs.T)
            total = jnp.where(central_species == number, energy, total)
        return total

    def features(self, own: Any, density: jax.Array) -> jax.Array:
        """X of each atom, (n_features, n_block)."""
        fields = []
        channels = density.reshape(len(density), self.n_channels, -1)
        for degree, mixing in enumerate(own["mixing"]):
            part = channels[:, :, degree**2 : (degree + 1) ** 2]
            fields.append(jnp.einsum("fc,icm->mfi", mixing, part))
        fields[0] = fields[0] - own["centre"][:, None]
        return self.settings.products(fields)

    def member_energies(
        self,
        members: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """See `Architecture`; the density is common to all members."""
        settings = self.settings
        density = neighbour_density(settings.radial, settings.products.degree, slots, displacements)
        flat = density.reshape(len(density), -1)
        return each_member(lambda own: self.readout(own, flat, central_species), members)

    def starts(self, task: FitTask, stacks: Stacks, noise: Noise) -> list[Any]:
        """The linear expansion of least error and a network that is silent, or the task's start.

        Members differ in their first mixing and in their networks' first layers. Whitened, so that
        the loss is about as steep in all directions: T = R^-T D with R and D of the posterior of
        the linear weights.
        """
        trees = []
        for member in range(self.settings.members):
            if task.start is None:
                rng = np.random.default_rng([task.seed, member])
                tree = self._with_network(self._first(task, stacks, rng), rng)
            else:
                tree = member_of(task.start.parameters["members"], member)
            linear = self._linear(tree, stacks, noise)
            trees.append(_whitened(linear.tree, linear) if self.settings.hidden else linear.tree)
        return trees

    def frozen(self, tree: Any) -> Any:
        """Without the whitening, which only training needs."""
        return {**tree, "species": [folded(one) for one in tree["species"]]}

    def _first(self, task: FitTask, stacks: Stacks, rng: np.random.Generator) -> Any:
        settings = self.settings
        density, species = real_inputs(stacks)
        chosen = np.sort(rng.permutation(len(density))[:START_ATOMS])
        density, species = density[chosen], species[chosen]
        channels = density.reshape(len(density), self.n_channels, -1)
        mixing = first_mixing(channels, settings.products, rng)
        centre = (channels[:, :, 0] @ mixing[0].T).mean(axis=0)
        tree: dict[str, Any] = {"mixing": mixing, "centre": centre}
        with jax.enable_x64(True):
            features = np.asarray(jax.jit(self.features)(tree, jnp.asarray(density))).T
        n_features = features.shape[1]
        tree["species"] = [
            {
                "shift": shift,
                "stretch": stretch,
                "weights": np.zeros(n_features),
                "offset": np.float64(task.constants[number]),
                "layers": [],
            }
            for number, (shift, stretch) in enumerate(
                scaling_of(features, species, len(settings.species))
            )
        ]
        return tree

    def _with_network(self, tree: Any, rng: np.random.Generator) -> Any:
        species = []
        for one in tree["species"]:
            layers = []
            if self.settings.hidden:
                nodes = [len(one["weights"]), *self.settings.hidden, 1]
                *layers, (weights, biases) = random_network(nodes, rng)
                layers.append((0.0 * weights, biases))
            species.append({**one, "layers": layers})
        return {**tree, "species": species}

    def _linear(self, tree: Any, stacks: Stacks, noise: Noise) -> BayesianLastLayer:
        # What a network says is given: the weights and constants of least error beside it.
        parameters = ParameterVector(
            tree, trained=lambda way: way[0] == "species" and way[2] in ("weights", "offset")
        )
        problem = TrainingProblem(self.terms, parameters, noise)
        enough = ROWS_PER_UNKNOWN * problem.n_unknowns if self.settings.hidden else np.inf
        given = first_batches(stacks, enough)
        return solved(problem, given, parameters.vector(tree), weighed=True)

    def rest(self, tree: Any, constants: Array) -> Any:
        """Where it starts."""
        del constants
        return tree


def folded(one: Any) -> Any:
    """What a species' dictionary says of x itself, without `whitening`."""
    if "whitening" not in one:
        return one
    plain = {key: value for key, value in one.items() if key != "whitening"}
    plain["weights"] = one["weights"] @ one["whitening"]
    if one["layers"]:
        (weights, biases), *others = one["layers"]
        plain["layers"] = [(one["whitening"].T @ weights, biases), *others]
    return plain


def _whitened(tree: Any, linear: BayesianLastLayer) -> Any:
    # Each species for itself: its block of the precision M = R^T R, in the scaled weights.
    precision = linear.solution.factor.T @ linear.solution.factor
    species, first = [], 0
    # In the order of the unknowns, which is that of the keys.
    for one in tree["species"]:
        n_features = len(one["weights"])
        own = slice(first + 1, first + 1 + n_features)
        first += 1 + n_features
        factor = cholesky(precision[own, own], check_finite=False)
        scaled = np.diag(linear.solution.scales[own])
        whitening = solve_triangular(factor, scaled, trans="T", check_finite=False)
        back = factor / linear.solution.scales[own]
        layers = one["layers"]
        if layers:
            layers = [(back @ layers[0][0], layers[0][1]), *layers[1:]]
        species.append(
            {**one, "weights": back @ one["weights"], "layers": layers, "whitening": whitening}
        )
    return {**tree, "species": species}


def first_mixing(channels: Array, products: FieldProducts, rng: np.random.Generator) -> list[Array]:
    """V^l of fields that are random sums of the principal components of the density.

    `channels` (n_atoms, n_channels, n_lm); returns (n_fields, n_channels) for each l.
    """
    mixing = []
    for degree in range(products.degree + 1):
        part = channels[:, :, degree**2 : (degree + 1) ** 2]
        rows = part.transpose(0, 2, 1).reshape(-1, part.shape[1])
        rows = rows - rows.mean(axis=0) * (degree == 0)
        variance, axes = np.linalg.eigh(rows.T @ rows / len(rows))
        size = np.maximum(variance[::-1], 1e-8 * variance[-1])
        # Every component is the main one of some field.
        random = 0.3 * rng.normal(size=(products.n_fields, len(size)))
        random[np.arange(products.n_fields), np.arange(products.n_fields) % len(size)] += 1.0
        damped = (size / size[0]) ** DECAY / np.sqrt(size)
        mixing.append((random * damped) @ axes[:, ::-1].T)
    return mixing


def first_batches(stacks: Stacks, n_residuals: float) -> Stacks:
    """The first batches of each stack, about so many residuals in all."""
    total = sum(3.0 * stack.member.shape[0] * stack.member.shape[2] for stack in stacks)
    part = min(1.0, n_residuals / total)

    def first(stack: Batch) -> Batch:
        count = math.ceil(part * stack.n_batches)
        chosen: Batch = jax.tree.map(lambda leaf: leaf[:count], stack)
        return chosen

    return tuple(first(stack) for stack in stacks)


def unknowns_of(settings: FieldSettings) -> int:
    """Numbers that a fit finds for a member."""
    n_features = settings.products.n_features
    nodes: Sequence[int] = [n_features, *settings.hidden, 1] if settings.hidden else []
    network = sum((a + 1) * b for a, b in pairwise(nodes))
    per_species = n_features + 1 + network
    if not settings.hidden:
        return len(settings.species) * per_species
    n_channels = len(settings.species) * settings.radial.n_radial
    mixing = settings.products.n_fields * (1 + n_channels * (settings.products.degree + 1))
    return mixing + len(settings.species) * per_species
