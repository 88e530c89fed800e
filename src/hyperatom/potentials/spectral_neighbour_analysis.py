"""SNAP: the energy of an atom linear or quadratic in the bispectrum of its neighbours.

    E_i = b_0 + b . B_i + 1/2 B_i^T A B_i

Thompson, Swiler, Trott, Foiles and Tucker, J. Comput. Phys. 285, 316 (2015); quadratic: Wood and
Thompson, J. Chem. Phys. 148, 241721 (2018). A neighbour of species t at r < r_c = f (R_s + R_t)
lies on the 3-sphere at the angle

    theta = rfac0 pi (r - rmin0) / (r_c - rmin0)

with the weight w_t (1 + cos(pi (r - rmin0) / (r_c - rmin0))) / 2. Where there is an inner switch,
the weight is multiplied by (1 - cos(pi/2 + (pi/2) (r - S) / D)) / 2 between S - D and S + D, and by
zero below, S and D being the means of the two species' values.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.fence import fenced
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.features.hyperspherical import HypersphericalBispectrum

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SpectralNeighbourSettings:
    """Which bispectrum, in the words of LAMMPS's parameter files.

    | field           | unit   | meaning                                                      |
    |-----------------|--------|--------------------------------------------------------------|
    | `cutoff_factor` | -      | rcutfac, f: r_c = f (R_s + R_t)                              |
    | `max_degree`    | -      | twojmax, 2J                                                  |
    | `angle_factor`  | -      | rfac0: the share of the half circle that r = 0 ... r_c takes |
    | `start`         | Å      | rmin0: distance of the angle zero                            |
    | `switched`      | -      | switchflag: do the weights vanish smoothly at r_c?           |
    | `relative`      | -      | bzeroflag: B less that of an atom without neighbours?        |
    | `normalised`    | -      | bnormflag: B divided by 2j + 1?                              |
    | `quadratic`     | -      | quadraticflag: is there a matrix A?                          |
    | `inner_switch`  | -      | switchinnerflag: is there an inner switch?                   |
    """

    cutoff_factor: float
    max_degree: int
    angle_factor: float = 0.99363
    start: float = 0.0
    switched: bool = True
    relative: bool = True
    normalised: bool = False
    quadratic: bool = False
    inner_switch: bool = False


@dataclass(frozen=True, eq=False)
class SpectralNeighbourSpecies:
    """One species of a SNAP potential.

    | field          | unit | meaning                                                          |
    |----------------|------|------------------------------------------------------------------|
    | `number`       | -    | atomic number                                                    |
    | `radius`       | Å    | R (times f, the cutoff factor)                                   |
    | `weight`       | -    | w as a neighbour                                                 |
    | `coefficients` | eV   | b_0, b, and where quadratic the upper triangle of A row by row   |
    | `inner`        | Å    | S and D of the inner switch                                      |
    """

    number: int
    radius: float
    weight: float
    coefficients: Array
    inner: tuple[float, float] = (0.0, 1.0)


def n_coefficients(settings: SpectralNeighbourSettings) -> int:
    """How many coefficients a species has."""
    n_linear = len(HypersphericalBispectrum(settings.max_degree).triples)
    n_quadratic = n_linear * (n_linear + 1) // 2 if settings.quadratic else 0
    return 1 + n_linear + n_quadratic


def spectral_neighbour_analysis(
    settings: SpectralNeighbourSettings,
    species: tuple[SpectralNeighbourSpecies, ...],
    name: str,
) -> CompiledPotential:
    """A SNAP potential from its settings and coefficients.

    Raises `InputError` where there are too few or too many coefficients.
    """
    bispectrum = HypersphericalBispectrum(settings.max_degree)
    n_linear = len(bispectrum.triples)
    expected = n_coefficients(settings)
    for entry in species:
        if len(entry.coefficients) != expected:
            raise InputError(
                f"A SNAP potential of twojmax {settings.max_degree} has {expected} coefficients "
                f"per species; found {len(entry.coefficients)}.",
                "Check twojmax and quadraticflag.",
            )
    factor = np.array([1.0 if settings.normalised else c + 1.0 for _, _, c in bispectrum.triples])
    coefficients = np.array([entry.coefficients for entry in species])
    constant, linear = coefficients[:, 0].copy(), coefficients[:, 1 : 1 + n_linear] * factor
    parameters: dict[str, Array] = {
        "radius": np.array([entry.radius for entry in species]),
        "weight": np.array([entry.weight for entry in species]),
        "linear": linear,
    }
    if settings.quadratic:
        matrix = np.zeros((len(species), n_linear, n_linear))
        matrix[(slice(None), *np.triu_indices(n_linear))] = coefficients[:, 1 + n_linear :]
        # The file gives A_ii, of which half counts, and A_ij for i < j, which stands for both.
        matrix = matrix + matrix.transpose(0, 2, 1)
        matrix[:, np.arange(n_linear), np.arange(n_linear)] *= 0.5
        parameters["quadratic"] = matrix * factor[:, None] * factor
    if settings.relative:
        # Without neighbours every mean of three characters is one.
        constant -= linear.sum(axis=1)
        if settings.quadratic:
            quadratic = parameters["quadratic"]
            constant += 0.5 * quadratic.sum(axis=(1, 2))
            parameters["linear"] = linear - quadratic.sum(axis=2)
    parameters["constant"] = constant
    if settings.inner_switch:
        parameters["inner"] = np.array([entry.inner for entry in species])
    model = CompiledModel(
        tuple(entry.number for entry in species),
        2.0 * settings.cutoff_factor * float(parameters["radius"].max()),
        AtomicEnergy(settings, bispectrum),
    )
    return CompiledPotential(model, parameters, name)


@dataclass(frozen=True, eq=False)
class AtomicEnergy:
    """E_i of the module's description, as `CompiledModel` takes it."""

    settings: SpectralNeighbourSettings
    bispectrum: HypersphericalBispectrum

    def __call__(
        self,
        parameters: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """Energies (n_block,) in eV."""
        of_slot = np.repeat(np.arange(len(slots)), slots)
        radius, weight = parameters["radius"], parameters["weight"][of_slot]
        cutoff = self.settings.cutoff_factor * (radius[central_species][:, None] + radius[of_slot])
        inner = None
        if self.settings.inner_switch:
            own, other = parameters["inner"][central_species], parameters["inner"][of_slot]
            inner = 0.5 * (own[:, None] + other)
        unit, angle, weights = fenced(self._on_the_sphere)(displacements, cutoff, weight, inner)
        density = self.bispectrum.density(unit, angle, weights)
        density = self.bispectrum.with_centre(density, 1.0)
        linear = parameters["linear"][central_species]
        constant = parameters["constant"][central_species]
        if not self.settings.quadratic:
            energy: jax.Array = constant + self.bispectrum.expansion(density, linear)
            return energy
        components = self.bispectrum.components(density)
        matrix = parameters["quadratic"][central_species]
        slope = linear + 0.5 * jnp.einsum("bst,bt->bs", matrix, components)
        whole: jax.Array = constant + (slope * components).sum(axis=1)
        return whole

    def _on_the_sphere(
        self,
        displacements: jax.Array,
        cutoff: jax.Array,
        weight: jax.Array,
        inner: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        # Unit vectors, angles and weights of the neighbours.
        x, y, z = displacements
        square = x * x + y * y + z * z
        inverse = jax.lax.rsqrt(square)
        distance = square * inverse
        settings = self.settings
        fraction = (distance - settings.start) / (cutoff - settings.start)
        if settings.switched:
            switch = 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.clip(fraction, 0.0, 1.0)))
        else:
            switch = jnp.ones_like(distance)
        if inner is not None:
            middle, width = inner[..., 0], inner[..., 1]
            place = jnp.clip((distance - middle) / width, -1.0, 1.0)
            switch = switch * 0.5 * (1.0 + jnp.sin(0.5 * jnp.pi * place))
        weights = jnp.where(distance < cutoff, weight * switch, 0.0)
        # Below `start` the point comes out on the opposite side of the sphere, as in LAMMPS.
        angle = settings.angle_factor * jnp.pi * fraction + jnp.where(fraction < 0.0, jnp.pi, 0.0)
        return displacements * inverse, angle, weights
