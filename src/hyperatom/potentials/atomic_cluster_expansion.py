"""The atomic cluster expansion in the C-tilde form of pacemaker: any number of densities.

    E_i = f(rho_core) sum_p w_p F(rho_p; m_p) + rho_core + E_0,
    rho_p = sum_k c_kp prod_t A_{mu_t n_t l_t m_t},   A_{mu n l m} = sum_j R_nl(r_ij) Y_lm(r_ij)

Drautz, Phys. Rev. B 99, 014104 (2019); Lysogorskiy et al., npj Computational Materials 7,
97 (2021). Y_lm are complex spherical harmonics with Condon and Shortley's sign and Y_00 = 1,
R_nl = sum_k c_nlk g_k with g_k of `pacemaker_radial.py`; a function of one factor has g_n itself.
The sum over k is done for atoms, not for neighbours; the products are those of `product_tree.py`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.features.density import neighbour_density
from hyperatom.potentials.features.pacemaker_core import Bonds, core_part, inner_factor
from hyperatom.potentials.features.pacemaker_embedding import EMBEDDINGS
from hyperatom.potentials.features.pacemaker_radial import BASES, Shape, radial_functions
from hyperatom.potentials.features.product_tree import (
    Product,
    build_tree,
    canonical,
    sums_of_products,
)

Array = NDArray[np.float64]


REGISTER = 8
"""Atoms side by side in the product tree come in multiples of this."""


@dataclass(frozen=True, eq=False)
class Bond:
    """Radial functions and core repulsion of a neighbour species around a central species.

    | field            | unit  | meaning                                                         |
    |------------------|-------|-----------------------------------------------------------------|
    | `basis`          | -     | a name of `BASES`                                               |
    | `parameter`      | -     | of this basis                                                   |
    | `cutoff`         | Å     | of the radial functions                                         |
    | `width`          | Å     | of the cutoff's last step                                       |
    | `coefficients`   | -     | c_nlk, (n_radial, max_degree + 1, n_functions)                  |
    | `core`           | eV Å  | prefactor of the core repulsion                                 |
    | `core_exponent`  | Å^-2  | of the core repulsion                                           |
    | `inner`          | Å     | where the core repulsion ends                                   |
    | `inner_width`    | Å     | over which the radial functions rise                            |
    """

    basis: str
    parameter: float
    cutoff: float
    width: float
    coefficients: Array
    core: float = 0.0
    core_exponent: float = 0.0
    inner: float = 0.0
    inner_width: float = 0.0


@dataclass(frozen=True, eq=False)
class Embedding:
    """F of a central species: a name of `EMBEDDINGS`, w_p and m_p of each density, and f.

    `core_cutoff` and `core_width` in eV: f falls from one to zero up to this core repulsion.
    """

    name: str
    weights: tuple[float, ...]
    exponents: tuple[float, ...]
    core_cutoff: float
    core_width: float


@dataclass(frozen=True, eq=False)
class ClusterFunction:
    """Products of the same factors but for their m: all fields are about one central species.

    | field          | shape                | meaning                                             |
    |----------------|----------------------|-----------------------------------------------------|
    | `central`      | -                    | central species, from zero                          |
    | `species`      | (rank,)              | neighbour species of each factor, from zero         |
    | `radial`       | (rank,)              | n of each factor, from one                          |
    | `degrees`      | (rank,)              | l of each factor                                    |
    | `orders`       | (n_products, rank)   | m of each factor; they sum to zero                  |
    | `coefficients` | (n_products, n_densities) | c_kp, eV for a linear embedding                |
    """

    central: int
    species: tuple[int, ...]
    radial: tuple[int, ...]
    degrees: tuple[int, ...]
    orders: NDArray[np.int64]
    coefficients: Array


@dataclass(frozen=True, eq=False)
class ClusterExpansion:
    """Everything of an atomic cluster expansion.

    `species` are atomic numbers, `shifts` E_0 in eV, one for each species; `bonds[i, j]` is that of
    neighbour j around i. `inner_cutoff` is `density` or `distance` (see `core_part`).
    """

    species: tuple[int, ...]
    shifts: tuple[float, ...]
    embeddings: tuple[Embedding, ...]
    bonds: dict[tuple[int, int], Bond]
    functions: tuple[ClusterFunction, ...]
    inner_cutoff: str = "distance"


def atomic_cluster_expansion(
    cluster_expansion: ClusterExpansion,
    name: str,
    precision: str = "float64",
    block: int | None = None,
) -> CompiledPotential:
    """The potential of this expansion, ready to be evaluated.

    Raises `InputError` for an unknown radial basis, embedding or inner cutoff, and for functions
    that ask for radial functions which there are not.
    """
    _check(cluster_expansion)
    family = _Family(cluster_expansion)
    cutoff = max(bond.cutoff for bond in cluster_expansion.bonds.values())
    model = CompiledModel(
        cluster_expansion.species, cutoff, family.atomic_energy, None, precision, block
    )
    return CompiledPotential(model, family.parameters, name)


def _check(cluster_expansion: ClusterExpansion) -> None:
    known: dict[str, tuple[Collection[str], set[str]]] = {
        "radial basis": (BASES, {bond.basis for bond in cluster_expansion.bonds.values()}),
        "embedding": (EMBEDDINGS, {one.name for one in cluster_expansion.embeddings}),
        "inner cutoff": (("density", "distance"), {cluster_expansion.inner_cutoff}),
    }
    for what, (names, used) in known.items():
        for name in sorted(used - set(names)):
            raise InputError(
                f"An atomic cluster expansion has the {what} {name!r}, which is unknown here.",
                f"Known are {', '.join(names)}.",
            )
    has_core = any(bond.core or bond.inner for bond in cluster_expansion.bonds.values())
    if has_core and min(one.core_width for one in cluster_expansion.embeddings) <= 0.0:
        raise InputError(
            "An atomic cluster expansion switches its embedding off at a jump of the core.",
            "Give the core's cutoff a width (drho_core_cutoff) above zero.",
        )
    for function in cluster_expansion.functions:
        for neighbour, n, degree in zip(
            function.species, function.radial, function.degrees, strict=True
        ):
            n_radial, n_degrees, n_functions = cluster_expansion.bonds[
                function.central, neighbour
            ].coefficients.shape
            greatest = n_functions if len(function.radial) == 1 else n_radial
            if not (1 <= n <= greatest and 0 <= degree < max(n_degrees, 1)):
                raise InputError(
                    f"A function of {len(function.radial)} factors asks for n = {n} and "
                    f"l = {degree}; there are n up to {greatest} and l up to {n_degrees - 1}.",
                    "Give coefficients for all radial functions that are used.",
                )
        if (
            function.orders.sum(axis=1).any()
            or (np.abs(function.orders) > np.array(function.degrees)).any()
        ):
            raise InputError(
                "The m of a product do not sum to zero, or exceed l.",
                "Such a product is not invariant under rotation; look for damage in the file.",
            )


class _Family:
    """The arrays of an expansion in the order of evaluation, and the evaluation."""

    def __init__(self, source: ClusterExpansion) -> None:
        self.n_species = len(source.species)
        self.n_densities = max(len(one.weights) for one in source.embeddings)
        self.max_degree = max(max(one.degrees) for one in source.functions)
        bonds = [[source.bonds[i, j] for j in range(self.n_species)] for i in range(self.n_species)]
        shapes = [bond.coefficients.shape for row in bonds for bond in row]
        self.n_radial = int(max(shape[0] for shape in shapes))
        self.n_functions = int(max(shape[2] for shape in shapes))
        self.bases = np.array([[bond.basis for bond in row] for row in bonds])
        self.embeddings = [one.name for one in source.embeddings]
        self.inner_cutoff = source.inner_cutoff
        self.has_core = any(bond.core != 0.0 for row in bonds for bond in row)
        self.has_inner = any(bond.inner > 0.0 for row in bonds for bond in row)
        single, coefficients, products = self._coefficients(source.functions)
        self.has_products = bool(products)
        self.parameters: dict[str, Any] = {
            "shifts": np.array(source.shifts, dtype=np.float64),
            "bonds": Bonds.of_table(
                np.array(
                    [
                        [
                            (
                                bond.cutoff,
                                bond.width,
                                bond.parameter,
                                bond.core,
                                bond.core_exponent,
                                bond.inner,
                                bond.inner_width,
                            )
                            for bond in row
                        ]
                        for row in bonds
                    ]
                )
            ),
            "radial": self._radial_coefficients(bonds),
            "single": single,
            "coefficients": coefficients,
            "tree": build_tree(products, self._channels(), self._n_values()) if products else {},
            "embedding": self._embedding(source.embeddings),
        }

    def _row(self, species: int, n: int, degree: int) -> int:
        # First of the 2 l + 1 rows of A_{mu n l}; n from zero.
        per_species = self.n_radial * (self.max_degree + 1) ** 2
        return species * per_species + self.n_radial * degree**2 + n * (2 * degree + 1)

    def _n_values(self) -> int:
        return self.n_species * self.n_radial * (self.max_degree + 1) ** 2

    def _channel(self, species: int, n: int, degree: int, order: int) -> int:
        # Numbered like the rows, of which those with m >= 0 are used.
        return self._row(species, n, degree) + degree + abs(order)

    def _channels(self) -> NDArray[np.int64]:
        found = np.full((self._n_values(), 2), -1)
        for species in range(self.n_species):
            for degree in range(self.max_degree + 1):
                for n in range(self.n_radial):
                    middle = self._row(species, n, degree) + degree
                    for order in range(degree + 1):
                        found[middle + order] = (middle + order, middle - order if order else -1)
        return found

    def _coefficients(
        self, functions: Sequence[ClusterFunction]
    ) -> tuple[Array, Array, list[Product]]:
        # Equal products of all species and functions are one, with a coefficient for each species
        # and density. Real harmonics carry neither sqrt(2) nor Condon and Shortley's sign.
        shape = (self.n_species, self.n_densities)
        single = np.zeros((*shape, self.n_species, self.n_functions))
        collected: dict[Product, Array] = {}
        for function in functions:
            n_densities = function.coefficients.shape[1]
            factors = list(zip(function.species, function.radial, function.degrees, strict=True))
            if len(factors) == 1:
                species, n, _ = factors[0]
                single[function.central, :n_densities, species, n - 1] += function.coefficients.sum(
                    axis=0
                )
                continue
            positive = np.where(function.orders > 0, function.orders, 0).sum(axis=1)
            halves = 0.5 * np.count_nonzero(function.orders, axis=1)
            scale = (-1.0) ** positive * 2.0**-halves
            for orders, values in zip(
                function.orders.tolist(), function.coefficients * scale[:, None], strict=True
            ):
                product = canonical(
                    (self._channel(species, n - 1, degree, order), order)
                    for (species, n, degree), order in zip(factors, orders, strict=True)
                )
                total = collected.setdefault(product, np.zeros(shape))
                total[function.central, :n_densities] += values
        products = sorted(product for product in collected if collected[product].any())
        coefficients = np.array([collected[product].ravel() for product in products])
        n_sums = self.n_species * self.n_densities
        return single.reshape(n_sums, -1), coefficients.reshape(-1, n_sums).T, products

    def _radial_coefficients(self, bonds: list[list[Bond]]) -> list[list[Array]]:
        # For neighbour species and degree: (n_species x n_radial, n_functions).
        table = np.zeros(
            (self.n_species, self.max_degree + 1, self.n_species, self.n_radial, self.n_functions)
        )
        for central, row in enumerate(bonds):
            for neighbour, bond in enumerate(row):
                own = bond.coefficients[:, : self.max_degree + 1].transpose(1, 0, 2)
                n_degrees, n_radial, n_functions = own.shape
                table[neighbour, :n_degrees, central, :n_radial, :n_functions] = own
        table *= np.sqrt(2.0 * np.arange(self.max_degree + 1) + 1.0)[:, None, None, None]
        return [
            [of_degree.reshape(-1, self.n_functions) for of_degree in of_species]
            for of_species in table
        ]

    def _embedding(self, embeddings: Sequence[Embedding]) -> dict[str, Array]:
        weights = np.zeros((self.n_species, self.n_densities))
        exponents = np.ones((self.n_species, self.n_densities))
        for species, one in enumerate(embeddings):
            weights[species, : len(one.weights)] = one.weights
            exponents[species, : len(one.exponents)] = one.exponents
        return {
            "weights": weights,
            "exponents": exponents,
            "core_cutoff": np.array([one.core_cutoff for one in embeddings]),
            "core_width": np.array([one.core_width for one in embeddings]),
        }

    def atomic_energy(
        self,
        parameters: Any,
        displacements: jax.Array,
        central: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """Energies of a block of atoms; see `AtomicEnergy`."""
        bonds = parameters["bonds"].of_slots(central, slots)
        radial = partial(self._radial, slots)
        density = neighbour_density(radial, self.max_degree, slots, displacements, (bonds, central))
        mine = (central == jnp.arange(self.n_species)[:, None]).astype(displacements.dtype)
        sums = parameters["single"] @ density[:, :, 0].T
        if self.has_products:
            values = self._values(parameters["radial"], density, mine)
            # Whole vector registers: a remainder would cost as much as another register.
            values = jnp.pad(values, ((0, 0), (0, -len(central) % REGISTER)))
            of_tree = sums_of_products(parameters["tree"], parameters["coefficients"], values)
            sums = sums + of_tree[:, : len(central)]
        sums = sums.reshape(self.n_species, self.n_densities, -1)
        embedded = self._embedded(parameters["embedding"], sums, mine, central)
        if self.has_core or self.has_inner:
            limits = parameters["embedding"]
            embedded = core_part(
                self.inner_cutoff,
                bonds,
                jnp.sqrt(jnp.sum(displacements**2, axis=0)),
                embedded,
                limits["core_cutoff"][central],
                limits["core_width"][central],
            )
        shifted: jax.Array = embedded + parameters["shifts"][central]
        return shifted

    def _radial(
        self, slots: tuple[int, ...], distance: jax.Array, bonds: Bonds, central: jax.Array
    ) -> jax.Array:
        def of_basis(name: str) -> jax.Array:
            shape = Shape(bonds.cutoff, bonds.width, bonds.parameter)
            return radial_functions(name, distance, shape, self.n_functions)

        names = sorted(set(self.bases.ravel()))
        radial = of_basis(names[0])
        of_slot = np.repeat(np.arange(self.n_species), slots)
        for name in names[1:]:
            chosen = jnp.asarray(self.bases == name)[central][:, of_slot]
            radial = jnp.where(chosen[:, None], of_basis(name), radial)
        if self.has_inner:
            radial = radial * inner_factor(self.inner_cutoff, bonds, distance)[:, None]
        return radial

    def _values(
        self, coefficients: list[list[jax.Array]], density: jax.Array, mine: jax.Array
    ) -> jax.Array:
        # A_{mu n l m} in real harmonics, a row of all atoms for each.
        rows = []
        n_block = density.shape[0]
        for species in range(self.n_species):
            for degree in range(self.max_degree + 1):
                own = slice(species * self.n_functions, (species + 1) * self.n_functions)
                part = density[:, own, degree**2 : (degree + 1) ** 2]
                turned = jnp.einsum("nk,ikm->nmi", coefficients[species][degree], part)
                by_central = turned.reshape(self.n_species, -1, n_block)
                rows.append(
                    by_central[0]
                    if self.n_species == 1
                    else jnp.sum(by_central * mine[:, None], axis=0)
                )
        return jnp.concatenate(rows)

    def _embedded(
        self, embedding: dict[str, jax.Array], sums: jax.Array, mine: jax.Array, central: jax.Array
    ) -> jax.Array:
        own = sums[0] if self.n_species == 1 else jnp.sum(sums * mine[:, None], axis=0)
        weights, exponents = (embedding[key][central].T for key in ("weights", "exponents"))
        names = sorted(set(self.embeddings))
        energies = EMBEDDINGS[names[0]](own, exponents)
        for name in names[1:]:
            chosen = jnp.asarray(np.array(self.embeddings) == name)[central]
            energies = jnp.where(chosen, EMBEDDINGS[name](own, exponents), energies)
        return jnp.sum(weights * energies, axis=0)
