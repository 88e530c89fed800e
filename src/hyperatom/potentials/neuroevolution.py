"""Neuroevolution potentials (NEP): Chebyshev descriptors and one hidden layer.

    E = sum_i [ w2 . tanh(W1 q_i - b1) - b2 ] (+ Ziegler-Biersack-Littmark repulsion)

Fan et al., Phys. Rev. B 104, 104309 (2021), J. Chem. Phys. 157, 114801 (2022) and Song et al.,
Nature Communications 15, 10208 (2024). Radial functions of species a, b are sums over a basis,

    g_n^ab(r) = sum_k c_nk^ab f_k(r),   f_k(r) = [T_k(2 (r/r_c - 1)^2 - 1) + 1] f_c(r) / 2,

so that densities are made of the basis, and the species of the central atom enters only afterwards:

    q_n     = sum_j g_n(r_ij)                                    (radial cutoff)
    q_nl    = (2l + 1)/4pi sum_m A_nlm^2                         (angular cutoff, three-body)
    q_n222  = sum_m 3j(2 2 2; m) A_n2m A_n2m' A_n2m''            (four-body)
    q_n1111 = 7/15 (3/4pi)^2 (sum_m A_n1m^2)^2                   (five-body)

with A_nlm = sum_j g_n(r_ij) Y_lm(r_ij), in Racah's normalisation except in the four-body term.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.fence import fenced
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from hyperatom.potentials.features.density import neighbour_density
from hyperatom.potentials.features.near_slots import two_range_energy
from hyperatom.potentials.features.spherical_harmonics import stack_rows
from hyperatom.potentials.ziegler_repulsion import ziegler_repulsion

Array = NDArray[np.float64]

FEW_SPECIES = 4
"""Up to so many species, all their hidden layers are computed and the right one taken."""


ATOMS_AT_A_TIME = 48
"""Their intermediates still fit into the cache, and few blocks have little overhead."""


@dataclass(frozen=True)
class NeuroevolutionSettings:
    """The shape of a neuroevolution potential.

    | field             | unit | meaning                                                        |
    |-------------------|------|----------------------------------------------------------------|
    | `species`         | -    | atomic numbers, in the order of the parameters                 |
    | `radial_cutoffs`  | Å    | of each species; a pair has the mean of its two                |
    | `angular_cutoffs` | Å    | likewise, for three bodies and more                            |
    | `n_radial`        | -    | number of radial functions q_n (`n_max` + 1)                   |
    | `n_angular`       | -    | number of radial functions of the angular descriptors          |
    | `radial_basis`    | -    | number of basis functions f_k of q_n (`basis_size` + 1)        |
    | `angular_basis`   | -    | number of basis functions of the angular descriptors           |
    | `max_degree`      | -    | greatest l of the three-body descriptors                       |
    | `four_body`       | -    | are the q_n222 descriptors?                                    |
    | `five_body`       | -    | are the q_n1111 descriptors?                                   |
    | `repulsion`       | -    | is there a Ziegler-Biersack-Littmark repulsion?                |
    """

    species: tuple[int, ...]
    radial_cutoffs: tuple[float, ...]
    angular_cutoffs: tuple[float, ...]
    n_radial: int
    n_angular: int
    radial_basis: int
    angular_basis: int
    max_degree: int
    four_body: bool
    five_body: bool
    repulsion: bool = False

    def __post_init__(self) -> None:
        cutoffs = (*self.radial_cutoffs, *self.angular_cutoffs)
        if not self.species or min(cutoffs) <= 0.0:
            raise InputError(
                f"A neuroevolution potential needs species and positive cutoffs; found {self}.",
                "Give at least one species, and cutoffs in Å.",
            )
        if (self.four_body and self.max_degree < 2) or (self.five_body and self.max_degree < 1):
            raise InputError(
                f"Four-body terms need degree 2 and five-body terms degree 1"
                f"; the greatest degree is {self.max_degree}.",
                "Raise max_degree.",
            )

    @property
    def n_descriptors(self) -> int:
        """Length of an atom's descriptor."""
        kinds = self.max_degree + int(self.four_body) + int(self.five_body)
        return self.n_radial + self.n_angular * kinds


@dataclass(frozen=True)
class NeuroevolutionBasis:
    """f_0 ... f_{n_radial - 1} of the distance in units of the cutoff."""

    n_radial: int

    def __call__(self, ratio: jax.Array) -> jax.Array:
        """Values (n_block, n_radial, n_slots); zero where `ratio` is one or more."""
        t = jnp.minimum(ratio, 1.0)
        x = 2.0 * (t - 1.0) ** 2 - 1.0
        half = 0.5 * cosine_cutoff(t)
        # The recurrence is linear, so that it may start from the cutoff.
        chebyshev = [half, x * half]
        for _ in range(2, self.n_radial):
            chebyshev.append(2.0 * x * chebyshev[-1] - chebyshev[-2])
        return stack_rows([value + half for value in chebyshev[: self.n_radial]])


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def basis_sums(n_basis: int, slots: tuple[int, ...], ratio: jax.Array) -> jax.Array:
    """sum_j f_k(r_ij) over the neighbours of each species, (n_block, n_species, n_basis).

    `ratio` (n_block, n_slots) is the distance in units of the cutoff.
    """
    values = fenced(NeuroevolutionBasis(n_basis))(ratio)
    of_slot = np.repeat(np.arange(len(slots)), slots)
    members = np.equal(of_slot[:, None], np.arange(len(slots))).astype(ratio.dtype)
    return jnp.swapaxes(values @ members, 1, 2)


def _basis_sums_forward(
    n_basis: int, slots: tuple[int, ...], ratio: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return basis_sums(n_basis, slots, ratio), ratio


def _basis_sums_backward(
    _: int, slots: tuple[int, ...], ratio: jax.Array, slope: jax.Array
) -> tuple[jax.Array]:
    pieces = []
    ends = list(accumulate(slots, initial=0))
    for species, (start, end) in enumerate(pairwise(ends)):
        pieces.append(fenced(_basis_slope)(ratio[:, start:end], slope[:, species]))
    return (jnp.concatenate(pieces, axis=1),)


def _basis_slope(ratio: jax.Array, weights: jax.Array) -> jax.Array:
    # d/dt sum_k w_k f_k, with f_k = (T_k + 1) f_c / 2 and dT_k/dx = k U_{k-1}.
    t = jnp.minimum(ratio, 1.0)
    x = 2.0 * (t - 1.0) ** 2 - 1.0
    first, second = [jnp.ones_like(x), x], [jnp.ones_like(x), 2.0 * x]
    values = slopes = jnp.zeros_like(x)
    for k in range(weights.shape[1]):
        if k > 1:
            first.append(2.0 * x * first[-1] - first[-2])
            second.append(2.0 * x * second[-1] - second[-2])
        weight = weights[:, k, None]
        values = values + weight * (first[k] + 1.0)
        if k > 0:
            slopes = slopes + k * weight * second[k - 1]
    cutoff, cutoff_slope = jax.jvp(cosine_cutoff, (t,), (jnp.ones_like(t),))
    total = 0.5 * (values * cutoff_slope + slopes * cutoff * 4.0 * (t - 1.0))
    return jnp.where(ratio < 1.0, total, 0.0)


basis_sums.defvjp(_basis_sums_forward, _basis_sums_backward)


def cosine_cutoff(t: jax.Array) -> jax.Array:
    """(1 + cos(pi t)) / 2 for t in [0, 1], as a polynomial: the library's cosine is slow.

    With s = pi (1/2 - t) the cutoff is (1 + sin s) / 2; the series of the sine ends where it no
    longer changes a double.
    """
    s = math.pi * (0.5 - t)
    square = s * s
    series = jnp.full_like(s, SINE[-1])
    for coefficient in SINE[-2::-1]:
        series = series * square + coefficient
    return 0.5 + 0.5 * s * series


SINE = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(12))
"""Coefficients of the odd powers."""


def neuroevolution_potential(
    settings: NeuroevolutionSettings, parameters: dict[str, Array], name: str
) -> CompiledPotential:
    """The potential with these parameters.

    With S species, D descriptors and H hidden units:

    | parameter  | shape                                   | meaning                               |
    |------------|-----------------------------------------|---------------------------------------|
    | `hidden`   | (S, D, H)                               | W1, times the scaling of descriptors  |
    | `biases`   | (S, H)                                  | b1                                    |
    | `outer`    | (S, H)                                  | w2, eV                                |
    | `offsets`  | (S,)                                    | b2, eV                                |
    | `radial`   | (S, S, n_radial, radial_basis)          | c of central and neighbour species    |
    | `angular`  | (S, S, n_angular, angular_basis)        | likewise                              |
    | `zbl`      | dictionary, if the settings ask for it  | see `ziegler_repulsion`               |
    """
    cutoff = max(*settings.radial_cutoffs, *settings.angular_cutoffs)
    if settings.repulsion:
        cutoff = max(cutoff, float(np.max(parameters["zbl"]["outer"])))  # type: ignore[call-overload]
    model = CompiledModel(
        settings.species, cutoff, partial(_atomic_energy, settings), block=ATOMS_AT_A_TIME
    )
    return CompiledPotential(model, parameters, name)


def _atomic_energy(
    settings: NeuroevolutionSettings,
    parameters: Any,
    displacements: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    near = max(settings.angular_cutoffs)
    reach = max(*settings.radial_cutoffs, near)
    energy: jax.Array = two_range_energy(
        partial(_network_energy, settings),
        near,
        reach,
        slots,
        parameters,
        displacements,
        central_species,
    )
    if settings.repulsion:
        energy += ziegler_repulsion(parameters["zbl"], displacements, central_species, slots)
    return energy


def _network_energy(
    settings: NeuroevolutionSettings,
    parameters: Any,
    displacements: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
    near: jax.Array,
    near_slots: tuple[int, ...],
) -> jax.Array:
    ratio = _in_cutoffs(settings.radial_cutoffs, displacements, central_species, slots)
    sums = basis_sums(settings.radial_basis, slots, jnp.sqrt(jnp.sum(ratio * ratio, axis=0)))
    sums = sums.reshape(sums.shape[0], -1, 1)
    radial = _contract(parameters["radial"], sums, central_species)[:, :, 0]
    basis = NeuroevolutionBasis(settings.angular_basis)
    ratio = _in_cutoffs(settings.angular_cutoffs, near, central_species, near_slots)
    sums = neighbour_density(basis, settings.max_degree, near_slots, ratio)
    density = _contract(parameters["angular"], sums, central_species)
    q = jnp.concatenate([radial, *_invariants(settings, density)], axis=1)
    return _network(parameters, q, central_species)


def _in_cutoffs(
    cutoffs: tuple[float, ...],
    displacements: jax.Array,
    central_species: jax.Array,
    slots: tuple[int, ...],
) -> jax.Array:
    # Displacements in units of the cutoff of each pair.
    if len(set(cutoffs)) == 1:
        return displacements * (1.0 / cutoffs[0])
    of_species = np.asarray(cutoffs)
    inverse = jnp.asarray(2.0 / (of_species[:, None] + of_species), dtype=displacements.dtype)
    of_slot = np.repeat(np.arange(len(slots)), slots)
    return displacements * inverse[central_species][:, of_slot]


def _contract(coefficients: jax.Array, sums: jax.Array, central_species: jax.Array) -> jax.Array:
    # sum_bk c_nk^ab A^b_k,lm for each atom of species a: (n_block, n, n_lm).
    n_species, _, n_functions, n_basis = coefficients.shape
    flat = jnp.swapaxes(coefficients, 1, 2).reshape(n_species, n_functions, n_species * n_basis)
    return jnp.einsum("ink,ikm->inm", flat[central_species], sums)


def _invariants(settings: NeuroevolutionSettings, density: jax.Array) -> list[jax.Array]:
    pieces = []
    for degree in range(1, settings.max_degree + 1):
        part = density[:, :, degree * degree : (degree + 1) ** 2]
        pieces.append((2 * degree + 1) / (4.0 * math.pi) * jnp.sum(part * part, axis=2))
    if settings.four_body:
        pieces.append(_four_body(density[:, :, 4:9]))
    if settings.five_body:
        square = jnp.sum(density[:, :, 1:4] ** 2, axis=2)
        pieces.append(7.0 / 15.0 * (3.0 / (4.0 * math.pi)) ** 2 * square * square)
    return pieces


def _four_body(quadrupole: jax.Array) -> jax.Array:
    # The only cubic invariant of five components is the determinant of the traceless tensor that
    # they make. For m = 0 alone it is A^3/4, and 3j(2 2 2; 0 0 0) = -sqrt(2/35) sets the scale.
    xy, yz, zz, xz, difference = (quadrupole[:, :, m] for m in range(5))
    root = math.sqrt(0.75)
    xx = -0.5 * zz + root * difference
    yy = -0.5 * zz - root * difference
    xy, yz, xz = root * xy, root * yz, root * xz
    determinant = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    scale = -4.0 * math.sqrt(2.0 / 35.0) * (5.0 / (4.0 * math.pi)) ** 1.5
    return jnp.asarray(scale * determinant)


def _network(parameters: Any, q: jax.Array, central_species: jax.Array) -> jax.Array:
    hidden = parameters["hidden"]
    n_species, _, n_hidden = hidden.shape
    if n_species <= FEW_SPECIES:
        all_species = jnp.swapaxes(hidden, 0, 1).reshape(-1, n_species * n_hidden)
        of_each = (q @ all_species).reshape(-1, n_species, n_hidden)
        chosen = jax.nn.one_hot(central_species, n_species, dtype=q.dtype)
        argument = jnp.einsum("ish,is->ih", of_each, chosen)
    else:
        argument = jnp.einsum("id,idh->ih", q, hidden[central_species])
    values = jnp.tanh(argument - parameters["biases"][central_species])
    energy = jnp.sum(values * parameters["outer"][central_species], axis=1)
    return jnp.asarray(energy - parameters["offsets"][central_species])
