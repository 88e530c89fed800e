"""Fourth-generation networks: charges that equilibrate over all atoms (Ko et al., 2021).

Networks give each atom an electronegativity chi. The charges minimise

    sum_i (chi_i Q_i + J_i Q_i^2 / 2) + E_electrostatic(Q),    sum_i Q_i = 0,

where each charge is a Gaussian of width sigma, a linear system of equations for Q. Other networks
then give each atom a short-range energy, with its charge as one more input, and the total is

    E = sum_i e_i(G_i, Q_i) + C sum_{i<j} f(r_ij) Q_i Q_j erf(r_ij / sqrt(2 (s_i^2 + s_j^2))) / r_ij

with a screening f that leaves short distances, and the energy of each charge with itself, to the
networks; without screening f is one and C Q_i^2 / (2 sqrt(pi) s_i) is added
(Ko, Finkler, Goedecker and Behler, Nature Communications 12, 398 (2021)).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.potentials.behler_parrinello import ElementNetwork, Features, network_sums
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.features.cutoff_functions import SHAPES
from hyperatom.units import BOHR, HARTREE

COULOMB = HARTREE * BOHR
"""C = e^2 / (4 pi epsilon_0) in eV Å, consistent with the two units."""


@dataclass(frozen=True)
class Screening:
    """No electrostatic energy of a pair below `inner` Å, all of it beyond `outer` Å.

    f(r) = 1 - `shape`((r - inner) / (outer - inner)) between, with a shape of `SHAPES`.
    """

    inner: float
    outer: float
    shape: str = "cosine"

    def __post_init__(self) -> None:
        if not 0.0 <= self.inner < self.outer or self.shape not in SHAPES:
            raise InputError(
                f"Electrostatics screened from {self.inner:g} to {self.outer:g} Å with the shape"
                f" {self.shape!r}.",
                f"Give ascending distances and one of {', '.join(SHAPES)}.",
            )

    def __call__(self, distance: jax.Array) -> jax.Array:
        """f at `distance` in Å."""
        relative = (distance - self.inner) / (self.outer - self.inner)
        between = (relative > 0.0) & (relative < 1.0)
        shape = SHAPES[self.shape](jnp.where(between, relative, 0.5))
        return jnp.where(between, 1.0 - shape, jnp.where(relative > 0.5, 1.0, 0.0))


class ChargeEquilibration:
    """The whole energy of a fourth-generation potential, as a `LongRange`.

    `energies` and `electronegativities` are the networks of each species of `features`. Parameters
    are a dictionary with these keys, an entry for each species in each of them:

    | key                   | shape        | unit   | meaning                                     |
    |-----------------------|--------------|--------|---------------------------------------------|
    | `energies`            | list         | eV     | as in `BehlerParrinelloEnergy`              |
    | `electronegativities` | list         | eV / e | the same; the output is chi                 |
    | `hardness`            | (n_species,) | eV/e^2 | J                                           |
    | `width`               | (n_species,) | Å      | sigma of the Gaussian charges               |

    Isolated clusters alone: periodic cells are refused.
    """

    def __init__(
        self,
        features: Features,
        energies: Sequence[ElementNetwork],
        electronegativities: Sequence[ElementNetwork],
        screening: Screening | None,
    ) -> None:
        self.features = features
        self.energies = tuple(energies)
        self.electronegativities = tuple(electronegativities)
        self.screening = screening

    def prepare(self, configuration: Configuration) -> Any:
        """Nothing; raises `InputError` for a periodic cell."""
        if configuration.periodic.any():
            raise InputError(
                "Charges can only be equilibrated in isolated clusters, and this cell is periodic.",
                "Use a potential without charge equilibration, or a cluster.",
            )
        return ()

    def energy(
        self,
        parameters: Any,
        positions: jax.Array,
        cell: jax.Array,
        displacements: jax.Array,
        species: jax.Array,
        slots: tuple[int, ...],
        prepared: Any,
    ) -> jax.Array:
        """Energy in eV; see `LongRange`."""
        del cell, prepared
        features = self.features(displacements, slots)
        kernel, distance = self._kernel(parameters, positions, species)
        charges = self._charges(parameters, features, kernel, species)
        short = network_sums(self.energies, parameters["energies"], features, species, charges)
        own = jnp.eye(len(positions), dtype=bool)
        if self.screening is None:
            pairs = kernel
        else:
            pairs = jnp.where(own, 0.0, kernel * self.screening(distance))
        return jnp.sum(short) + 0.5 * charges @ pairs @ charges

    def charges_of(
        self, potential: CompiledPotential, configuration: Configuration
    ) -> NDArray[np.float64]:
        """Q of each atom, (n_atoms,), in elementary charges; `potential` has this long range."""
        self.prepare(configuration)
        with jax.enable_x64(True):
            positions = jnp.asarray(configuration.positions)
            neighbours = potential.model.lists(configuration, 0.0).make(configuration.positions)
            planes = positions.T
            displacements = planes[:, neighbours.index] + neighbours.shift - planes[:, :, None]
            species = jnp.asarray(potential.model.species_of(configuration))
            kernel, _ = self._kernel(potential.parameters, positions, species)
            features = self.features(displacements, neighbours.slots)
            return np.array(self._charges(potential.parameters, features, kernel, species))

    def _kernel(
        self, parameters: Any, positions: jax.Array, species: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        # Electrostatic energy of two unit charges (self-energies doubled), and their distance.
        width = parameters["width"][species]
        own = jnp.eye(len(positions), dtype=bool)
        vectors = positions[:, None] - positions[None]
        square = jnp.sum(vectors * vectors, axis=2)
        distance = jnp.sqrt(jnp.where(own, 1.0, square))
        spread = jnp.sqrt(2.0 * (width[:, None] ** 2 + width[None] ** 2))
        between = erf(distance / spread) / distance
        return COULOMB * jnp.where(own, 1.0 / (math.sqrt(math.pi) * width), between), distance

    def _charges(
        self, parameters: Any, features: jax.Array, kernel: jax.Array, species: jax.Array
    ) -> jax.Array:
        chi = network_sums(
            self.electronegativities, parameters["electronegativities"], features, species
        )
        matrix = kernel + jnp.diag(parameters["hardness"][species])
        # The multiplier of the neutrality shifts chi; eliminated by a second right-hand side.
        solved = jnp.linalg.solve(matrix, jnp.stack([-chi, jnp.ones_like(chi)], axis=1))
        sums = jnp.sum(solved, axis=0)
        return jnp.asarray(solved[:, 0] - solved[:, 1] * (sums[0] / sums[1]))


def charge_equilibrated(
    equilibration: ChargeEquilibration, parameters: Any, name: str
) -> CompiledPotential:
    """A potential of equilibrated charges; parameters as in `ChargeEquilibration`."""
    features = equilibration.features
    model = CompiledModel(features.species, features.cutoff, None, equilibration)
    return CompiledPotential(model, parameters, name)
