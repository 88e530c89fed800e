"""Rows of the linear model: what energies, forces and stresses of one configuration say of weights.

    energy row:  phi_u = sum of feature f over the atoms of species s,  u = (s, f)
    force rows:  -d phi_u / d x_j
    virial rows: sum_ij r_ij (x) d B_f(i) / d r_ij

The derivatives go through the density: dB/dA of an atom (a small dense Jacobian) times dA/dr of
each neighbour, a few atoms at a time.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from hyperatom.configuration import Configuration
from hyperatom.evaluation import VOIGT
from hyperatom.potentials.features.density import DensityFeatures, DensitySettings
from hyperatom.potentials.features.invariant_slopes import slopes_of_invariants
from hyperatom.potentials.features.radial import radial_functions
from hyperatom.potentials.features.spherical_harmonics import real_spherical_harmonics
from hyperatom.potentials.linear_density import LinearDensityModel
from hyperatom.potentials.many_configurations import displacements_of, filled_up


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one configuration; columns are weights of each species in turn, then constants.

    | field    | shape                   | unit of row . weights |
    |----------|-------------------------|-----------------------|
    | `energy` | (1, n_unknowns)         | eV                    |
    | `forces` | (3 n_atoms, n_unknowns) | eV/Å                  |
    | `virial` | (6, n_unknowns)         | eV (volume x stress)  |
    """

    energy: NDArray[np.float64]
    forces: NDArray[np.float64]
    virial: NDArray[np.float64]


BLOCK = 8
"""Atoms whose rows are made at a time."""


class RowMaker:
    """Makes the rows of configurations for one model.

    Compiled once for each number of neighbour slots, whatever the number of atoms.
    """

    def __init__(self, model: LinearDensityModel) -> None:
        self.model = model
        self._compiled = jax.jit(self._of_block, static_argnums=1)

    def make(self, configuration: Configuration) -> Rows:
        """The rows of one configuration."""
        model = self.model
        species = model.species_of(configuration)
        n_species, n_atoms = len(model.settings.species), configuration.n_atoms
        neighbours = model.lists(configuration, skin=0.0).make(configuration.positions)
        displacements = displacements_of(neighbours, configuration.positions)
        near = np.sum(displacements**2, axis=0) < model.settings.cutoff**2
        # Blocks are filled up with atoms that nobody is near to.
        size = -(-n_atoms // BLOCK) * BLOCK
        padded = filled_up(displacements, size, model.settings.cutoff)
        n_features = model.features.n_features
        sums = np.zeros((n_species, n_features))
        gradients = np.zeros((n_atoms * n_species, 3 * n_features))
        virial = np.zeros((n_species, 6, n_features))
        for start in range(0, n_atoms, BLOCK):
            with jax.enable_x64(True):
                block = self._compiled(padded[:, start : start + BLOCK], neighbours.slots)
            invariants, pairs, tensors = (np.asarray(array) for array in block)
            atom, slot = np.nonzero(near[start : start + BLOCK])
            own = species[start : start + BLOCK]
            np.add.at(sums, own, invariants[: len(own)])
            np.add.at(virial, own, tensors[: len(own)])
            centre = start + atom
            moved = np.concatenate([neighbours.index[centre, slot], centre])
            places, place = np.unique(
                moved * n_species + np.tile(own[atom], 2), return_inverse=True
            )
            # Each pair is a row, added to the neighbour and taken from the centre.
            sign = np.repeat([1.0, -1.0], len(atom))
            pair = np.tile(atom * near.shape[1] + slot, 2)
            taken = coo_array((sign, (place, pair)), (len(places), BLOCK * near.shape[1]))
            gradients[places] += taken.tocsr() @ pairs.reshape(BLOCK * near.shape[1], -1)
        slopes = gradients.reshape(n_atoms, n_species, 3, n_features).transpose(0, 2, 1, 3)
        counts = np.bincount(species, minlength=n_species).astype(float)
        pad = np.zeros((3 * n_atoms + 6, n_species))
        return Rows(
            energy=np.concatenate([sums.ravel(), counts])[None],
            forces=np.hstack([-slopes.reshape(3 * n_atoms, -1), pad[:-6]]),
            virial=np.hstack([virial.transpose(1, 0, 2).reshape(6, -1), pad[-6:]]),
        )

    def _of_block(
        self, displacements: jax.Array, slots: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        # Features (n_block, n_features), their slopes dB/dr (n_block, n_slots, 3, n_features), and
        # virials (n_block, 6, n_features).
        invariants, pairs = features_and_slopes(self.model.features, displacements, slots)
        tensors = jnp.einsum("ais,isbf->iabf", displacements, pairs)
        tensors = 0.5 * (tensors + tensors.transpose(0, 2, 1, 3))
        return invariants, pairs, tensors[:, VOIGT[0], VOIGT[1]]


def features_and_slopes(
    features: DensityFeatures, displacements: jax.Array, slots: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Features (n_block, n_features) and dB/dr (n_block, n_slots, 3, n_features).

    `displacements` and `slots` as in `DensityFeatures.density`.
    """
    settings = features.settings
    density = features.density(displacements, slots)

    def of_atom(vectors: jax.Array, slopes: list[jax.Array]) -> jax.Array:
        kinds = []
        for kind, (first, count) in enumerate(_ranges(slots)):
            derivative = jax.vmap(jax.jacfwd(partial(density_of_one, settings)))(
                vectors[:, first : first + count].T
            )
            parts = []
            for slope, place in zip(slopes, places, strict=True):
                n_features, _, n_radial, n_lm = slope.shape
                own = derivative[:, :n_radial, place : place + n_lm]
                flat = jnp.moveaxis(own, 3, 1).reshape(3 * count, -1)
                flat = flat @ slope[:, kind].reshape(n_features, -1).T
                parts.append(flat.reshape(count, 3, n_features))
            kinds.append(jnp.concatenate(parts, axis=2))
        return jnp.concatenate(kinds)

    pieces = slopes_of_invariants(settings, density)
    places = [piece.first for piece in pieces]
    each = [piece.values for piece in pieces]
    pairs = jax.vmap(of_atom)(displacements.transpose(1, 0, 2), each)
    return features.invariants(density), pairs


def density_of_one(settings: DensitySettings, vector: jax.Array) -> jax.Array:
    """R_n(r) Y_lm(r) of one neighbour, (n_radial, n_lm); `vector` (3,) in Å.

    What the density sums, in a form that differentiates forward.
    """
    x, y, z = vector[:, None, None]
    distance = jnp.sqrt(x * x + y * y + z * z)
    radial = radial_functions(distance, settings.cutoff, settings.n_radial, settings.crowding)
    harmonics = real_spherical_harmonics(
        x / distance, y / distance, z / distance, settings.max_degree
    )
    return jnp.outer(radial, harmonics)


def _ranges(slots: tuple[int, ...]) -> list[tuple[int, int]]:
    starts = np.cumsum((0, *slots[:-1]))
    return [(int(start), count) for start, count in zip(starts, slots, strict=True)]
