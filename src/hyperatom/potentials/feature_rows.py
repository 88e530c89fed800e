"""Rows of the linear model: what energies, forces and stresses of one configuration say of weights.

    energy row:  phi_u = sum of feature f over the atoms of species s,  u = (s, f)
    force rows:  -d phi_u / d x_j
    virial rows: sum_ij r_ij (x) d B_f(i) / d r_ij

The derivatives go through the density: dB/dA of an atom (a small dense Jacobian) times dA/dr of
each neighbour, which never sees more than one atom's features at a time.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.potentials.features.density import DensitySettings
from hyperatom.potentials.features.radial import radial_functions
from hyperatom.potentials.features.spherical_harmonics import real_spherical_harmonics
from hyperatom.potentials.linear_density import LinearDensityModel

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


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


class RowMaker:
    """Makes the rows of configurations for one model; compiles once per shape."""

    def __init__(self, model: LinearDensityModel) -> None:
        self.model = model
        self._compiled = jax.jit(self._rows)

    def make(self, configuration: Configuration) -> Rows:
        """The rows of one configuration."""
        model = self.model
        species = model.species_of(configuration)
        n_species = len(model.settings.species)
        neighbours = model.lists(configuration, skin=0.0).make(configuration.positions)
        with jax.enable_x64(True):
            sums, gradients, virial = (
                np.asarray(a) for a in self._compiled(configuration.positions, species, neighbours)
            )
        counts = np.bincount(species, minlength=n_species).astype(float)
        n_atoms = configuration.n_atoms
        pad = np.zeros((3 * n_atoms + 6, n_species))
        return Rows(
            energy=np.concatenate([sums.ravel(), counts])[None],
            forces=np.hstack([-gradients.reshape(3 * n_atoms, -1), pad[:-6]]),
            virial=np.hstack([virial.reshape(6, -1), pad[-6:]]),
        )

    def _rows(
        self, positions: jax.Array, species: jax.Array, neighbours: Any
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        features = self.model.features
        n_atoms = positions.shape[0]
        n_species = len(self.model.settings.species)
        n_features = features.n_features
        planes = positions.T
        displacements = planes[:, neighbours.index] + neighbours.shift - planes[:, :, None]
        slots = neighbours.slots

        def of_atom(carry: tuple[jax.Array, jax.Array], atom: Any) -> Any:
            gradients, virial = carry
            vectors, index, own, number = atom  # (3, n_slots), (n_slots,), scalars
            density = features.density(vectors[:, None, :], slots)
            slope = jax.jacfwd(lambda a: features.invariants(a)[0])(density)
            slope = slope.reshape(n_features, n_species, -1)
            pieces = []
            for kind, (first, count) in enumerate(_ranges(slots)):
                # (3, n_radial x n_lm) for each slot of this kind
                derivative = jax.vmap(jax.jacfwd(partial(density_of_one, features.settings)))(
                    vectors[:, first : first + count].T
                ).transpose(0, 2, 1)
                flat = derivative.reshape(3 * count, -1) @ slope[:, kind].T
                pieces.append(flat.reshape(count, 3, n_features))
            pair = jnp.concatenate(pieces)
            gradients = gradients.at[index, :, own].add(pair)
            gradients = gradients.at[number, :, own].add(-pair.sum(axis=0))
            tensor = jnp.einsum("ak,kbf->abf", vectors, pair)
            tensor = 0.5 * (tensor + tensor.transpose(1, 0, 2))
            voigt = jnp.stack([tensor[a, b] for a, b in VOIGT])
            return (gradients, virial.at[:, own].add(voigt)), features.invariants(density)[0]

        start = (
            jnp.zeros((n_atoms, 3, n_species, n_features)),
            jnp.zeros((6, n_species, n_features)),
        )
        (gradients, virial), invariants = jax.lax.scan(
            of_atom,
            start,
            (
                displacements.transpose(1, 0, 2),
                neighbours.index,
                species,
                jnp.arange(n_atoms),
            ),
        )
        return jax.ops.segment_sum(invariants, species, n_species), gradients, virial


def density_of_one(settings: DensitySettings, vector: jax.Array) -> jax.Array:
    """R_n(r) Y_lm(r) of one neighbour, flattened; `vector` (3,) in Å.

    What the density sums, in a form that differentiates forward.
    """
    x, y, z = vector[:, None, None]
    distance = jnp.sqrt(x * x + y * y + z * z)
    radial = radial_functions(distance, settings.cutoff, settings.n_radial, settings.crowding)
    harmonics = real_spherical_harmonics(
        x / distance, y / distance, z / distance, settings.max_degree
    )
    return jnp.outer(radial, harmonics).ravel()


def _ranges(slots: tuple[int, ...]) -> list[tuple[int, int]]:
    starts = np.cumsum((0, *slots[:-1]))
    return [(int(start), count) for start, count in zip(starts, slots, strict=True)]
