"""Bond-order potentials with networks as members of a committee: bonds first, networks then.

The bond-order potential is fitted alone to some of the labels, from several pair potentials,

    E(r) = D [ exp(-2 b (r - r_0)) - 2 exp(-b (r - r_0)) ]

(Morse, Phys. Rev. 34, 57 (1929)) with r_0 the median distance of nearest neighbours of each pair of
species. From the best of what they end at, all members start, with networks that are silent.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise, product
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.behler_parrinello import Features
from hyperatom.potentials.bond_order import PARAMETERS, BondOrderEnergy
from hyperatom.potentials.committee_fit import Stacks, each_member, members_of_start
from hyperatom.potentials.deep_potential_fit import whitening_of
from hyperatom.potentials.family import FitTask
from hyperatom.potentials.network_fit import real_inputs, silenced
from hyperatom.potentials.readouts.networks import random_network
from hyperatom.potentials.training.local_terms import DirectTerms
from hyperatom.potentials.training.parameter_vector import FIXED, ParameterVector
from hyperatom.potentials.training.problem import Noise, TrainingProblem

Array = NDArray[np.float64]

BLOCK: Final = 8
"""Atoms at a time: sums over pairs of neighbours are large."""

MORSE: Final = ((0.1, 2.5), (1.0, 4.0), (3.0, 5.0))
"""D in eV and b r_0: soft and weak, stiff and strong."""

CENTRE: Final = (0.5, -0.3, 0.1, 2.0)
"""a, h, sigma in eV and lambda in 1/Å of all species: tetrahedral angles, a little promotion."""

ENOUGH_BONDS: Final = 400
"""So many atoms tell bonds."""

ENOUGH_FEATURES: Final = 4096
"""So many atoms tell the spread of features."""

SLOWEST: Final = 0.1
"""Bonds fade by as much at the least, 1/Å."""

STEPS: Final = 40
"""Of the fit of bonds alone, from each start."""


class AdaptedBonds:
    """Physically informed networks (see `Architecture`).

    A member is what `BondOrderEnergy` takes.
    """

    title = "physically informed networks"

    def __init__(self, settings: Any, features: Features) -> None:
        self.features = features
        self.energy = BondOrderEnergy(
            features, settings.cutoff, settings.activation, features.species
        )
        self.terms = DirectTerms(features.species, settings.cutoff, self.energy, BLOCK)

    def member_energies(
        self,
        members: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """See `Architecture`."""
        return each_member(
            lambda own: self.energy(own, displacements, central_species, slots), members
        )

    def starts(self, task: FitTask, stacks: Stacks, noise: Noise) -> list[Any]:
        """The bonds that fit best, under silent random networks; or the members of the start."""
        if task.start is not None:
            return members_of_start(task.start, task.settings.members)
        scaling = self._scaling(some_of(stacks, ENOUGH_FEATURES))
        bonds = self._bonds(task, some_of(stacks, ENOUGH_BONDS), noise, scaling)
        return [
            {
                **bonds,
                "networks": self._networks(
                    task, scaling, np.random.default_rng([task.seed, member])
                ),
            }
            for member in range(task.settings.members)
        ]

    def frozen(self, tree: Any) -> Any:
        """As it is."""
        return tree

    def rest(self, tree: Any, constants: Array) -> Any:
        """The bonds as they start, networks silent."""
        del constants
        return {**tree, "networks": silenced(tree["networks"])}

    def _scaling(self, stacks: Stacks) -> list[tuple[Array, Array]]:
        rows, kinds = [], []
        for stack in stacks:
            vectors, own = real_inputs([stack])
            with jax.enable_x64(True):
                planes = jnp.asarray(vectors.transpose(1, 0, 2))
                rows.append(np.asarray(self.features(planes, stack.slots)))
            kinds.append(own)
        found, kind = np.concatenate(rows), np.concatenate(kinds)
        scaling = []
        for number in range(len(self.features.species)):
            chosen = kind == number
            seen = found[chosen] if chosen.any() else found
            scaling.append((seen.mean(axis=0), whitening_of(seen)))
        return scaling

    def _networks(
        self, task: FitTask, scaling: Sequence[tuple[Array, Array]], rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        networks = []
        for shift, whitening in scaling:
            *hidden, (last, _) = random_network(
                [self.features.n_features, *task.settings.hidden, 1], rng
            )
            silent = np.zeros((len(last), len(PARAMETERS))), np.zeros(len(PARAMETERS))
            networks.append({"shift": shift, "whitening": whitening, "layers": [*hidden, silent]})
        return networks

    def _bonds(
        self, task: FitTask, stacks: Stacks, noise: Noise, scaling: Sequence[tuple[Array, Array]]
    ) -> Any:
        """The tree of a bond-order potential without networks that fits best."""
        silent = self._networks(task, scaling, np.random.default_rng(0))
        nearest = nearest_neighbours(stacks, self.terms.species, self.terms.cutoff)
        trees = [
            {
                "pairs": morse_pairs(nearest, depth, rate),
                "lengths": nearest,
                "centres": np.tile(CENTRE, (len(nearest), 1)),
                "offset": task.constants,
                "networks": silent,
            }
            for depth, rate in MORSE
        ]
        parameters = ParameterVector(trees[0], fixed=(*FIXED, "networks"))
        problem = TrainingProblem(self.terms, parameters, noise)
        found = [least_squares_bonds(problem, tree, stacks) for tree in trees]
        return parameters.arrays(min(found, key=lambda one: one.cost).x)


def least_squares_bonds(problem: TrainingProblem, tree: Any, stacks: Stacks) -> Any:
    """What SciPy says of the fit that starts from `tree`.

    A trust region reaches in a few steps what hardly any number of steps along gradients does, and
    unknowns are so few that differences are as cheap as derivatives.
    """
    from scipy.optimize import least_squares

    with jax.enable_x64(True):
        labels = jax.tree.map(jnp.asarray, stacks)

    def residuals(vector: Array) -> Array:
        with jax.enable_x64(True):
            return np.asarray(_residuals(problem, jnp.asarray(vector), labels))

    least = {
        **jax.tree.map(lambda leaf: np.full_like(leaf, -np.inf), tree),
        "pairs": tree["pairs"] * 0.0 + np.array([-np.inf, SLOWEST, -np.inf, SLOWEST]),
        "centres": tree["centres"] * 0.0 + np.array([-np.inf, -np.inf, -np.inf, SLOWEST]),
    }
    return least_squares(
        residuals,
        problem.parameters.vector(tree),
        bounds=(problem.parameters.vector(least), np.inf),
        x_scale="jac",
        max_nfev=STEPS,
    )


@jax.jit
def _residuals(problem: TrainingProblem, vector: jax.Array, stacks: Stacks) -> jax.Array:
    return jnp.concatenate(
        [
            jax.lax.map(lambda batch: problem.residuals(vector, batch), stack).ravel()
            for stack in stacks
        ]
    )


def some_of(stacks: Stacks, n_atoms: int) -> Stacks:
    """The first batches of each stack, with about so many atoms altogether."""
    sizes = np.array([stack.n_batches * stack.member.shape[-1] for stack in stacks])
    part = min(1.0, n_atoms / sizes.sum())
    return tuple(stack.number(slice(0, max(1, round(part * stack.n_batches)))) for stack in stacks)


def nearest_neighbours(stacks: Stacks, species: tuple[int, ...], cutoff: float) -> Array:
    """Median distance of the nearest neighbour of each species, (n_species, n_species), Å.

    Of the two ways to see a pair, the shorter. Covalent radii tell of pairs that do not meet.
    """
    from ase.data import covalent_radii

    radius = covalent_radii[np.asarray(species)]
    nearest = np.full((len(species), len(species)), np.inf)
    closest, kinds = [], []
    for stack in stacks:
        vectors, own = real_inputs([stack])
        distance = np.sqrt((vectors * vectors).sum(axis=1))
        ends = pairwise(accumulate(stack.slots, initial=0))
        closest.append([distance[:, a:b].min(axis=1, initial=np.inf) for a, b in ends])
        kinds.append(own)
    found, kind = np.concatenate(closest, axis=1), np.concatenate(kinds)
    for one, other in product(range(len(species)), repeat=2):
        distances = found[other, kind == one]
        met = distances[distances < cutoff]
        nearest[one, other] = np.median(met) if len(met) else np.inf
    nearest = np.minimum(nearest, nearest.T)
    radii = radius[:, None] + radius[None, :]
    return np.asarray(np.where(np.isfinite(nearest), nearest, radii))


def morse_pairs(nearest: Array, depth: float, rate: float) -> Array:
    """A, alpha, B, beta of pairs (n_species, n_species, 4) that are bound by `depth` in eV.

    `nearest` are r_0 in Å, and `rate` is b r_0.
    """
    beta = rate / nearest
    same = np.ones_like(nearest)
    return np.stack([np.log(depth) * same, 2.0 * beta, np.log(2.0 * depth) * same, beta], axis=2)
