"""Phason strain by regression, and phason elastic constants from its fluctuations.

The elastic energy of a phason field w(r) has two invariants (Bak 1985; Jaric and Nelson 1988): the
gradient, 3 x 3', splits into a four- and a five-dimensional representation of the icosahedral
group,

    F = 1/2 int [ K_4 |P_4 grad w|^2 + K_5 |P_5 grad w|^2 ] dr,

and with the usual constants K_4 = K_1 + 5/3 K_2, K_5 = K_1 - 4/3 K_2.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.hyperspace.lifting import LiftedTrajectory
from hyperatom.errors import InputError
from hyperatom.geometry.icosahedral import operations
from hyperatom.units import BOLTZMANN

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PhasonStrain:
    """Mean linear phason strain of a configuration: x_perp = const - E x_par + scatter.

    `strain` and `error` (3, 3), dimensionless; row: perpendicular, column: physical direction.
    """

    strain: Array
    error: Array


@dataclass(frozen=True)
class PhasonElasticConstants:
    """Elastic constants of phasons, in eV/Å^3, with standard errors; `n_modes` waves went in."""

    four: float
    four_error: float
    five: float
    five_error: float
    n_modes: int

    @property
    def k1(self) -> float:
        """K_1 in eV/Å^3."""
        return (4.0 * self.four + 5.0 * self.five) / 9.0

    @property
    def k2(self) -> float:
        """K_2 in eV/Å^3."""
        return (self.four - self.five) / 3.0

    @property
    def stable(self) -> bool:
        """Are both invariants positive: -3/5 < K_2/K_1 < 3/4?"""
        return self.four > 0.0 and self.five > 0.0


def phason_strain_of(parallel: Array, perpendicular: Array) -> PhasonStrain:
    """Linear regression of unstrained perpendicular on physical coordinates, (n, 3) each, Å.

    The perpendicular coordinates are those of the icosahedral projection, A `PERPENDICULAR` n.
    Raises `InputError` for fewer than 5 atoms or atoms in a plane.
    """
    if len(parallel) < 5:
        raise InputError(f"{len(parallel)} atoms are too few for a strain.", "Give at least 5.")
    centred = parallel - parallel.mean(axis=0)
    metric = centred.T @ centred
    if np.linalg.cond(metric) > 1e10:
        raise InputError("The atoms lie in one plane.", "Choose atoms that fill a volume.")
    inverse = np.linalg.inv(metric)
    slopes = (inverse @ centred.T @ perpendicular).T
    scatter = perpendicular - perpendicular.mean(axis=0) - centred @ slopes.T
    variance = (scatter**2).sum(axis=0) / (len(parallel) - 4)
    return PhasonStrain(-slopes, np.sqrt(np.outer(variance, np.diagonal(inverse))))


@cache
def invariants() -> tuple[Array, Array]:
    """Projections of the nine gradients d_i w_j on the representations of dimensions 4 and 5.

    Two arrays (9, 9), index 3 i + j, from the characters of the rotations.
    """
    _, physical, perpendicular = operations()
    proper = np.linalg.det(physical) > 0.0
    products = np.array(
        [np.kron(a, b) for a, b in zip(physical[proper], perpendicular[proper], strict=True)]
    )
    # 3 x 3' = 4 + 5, so the character of 5 is that of 3 x 3 (= 1 + 3 + 5) less those of 1 and 3.
    trace = physical[proper].trace(axis1=1, axis2=2)
    five = trace**2 - 1.0 - trace
    four = trace * perpendicular[proper].trace(axis1=1, axis2=2) - five
    return (
        4.0 / 60.0 * np.einsum("g,gij->ij", four, products),
        5.0 / 60.0 * np.einsum("g,gij->ij", five, products),
    )


def hydrodynamic_matrices(q: Array) -> tuple[Array, Array]:
    """The 3 x 3 matrices C_4, C_5 of waves q (n, 3): F = V/2 w* (K_4 C_4 + K_5 C_5) w, Å^-2."""
    four, five = (p.reshape(3, 3, 3, 3) for p in invariants())
    return (
        np.einsum("ni,ijkl,nk->njl", q, four, q),
        np.einsum("ni,ijkl,nk->njl", q, five, q),
    )


def phason_waves(
    lifted: LiftedTrajectory, largest: int = 1
) -> tuple[Array, NDArray[np.complex128]]:
    """Fourier amplitudes of the phason field at the longest waves of the cell.

        w(q) = 1/N sum_a [x_perp,a(t) - mean over t] exp(-i q . r_a)

    with r_a the site of the atom in the first frame. Atoms and frames without a site are left out.
    Waves of up to `largest` periods along each lattice vector.

    | returned | shape                  | unit | meaning                 |
    |----------|------------------------|------|-------------------------|
    | first    | (n_waves, 3)           | Å^-1 | q, one of each pair +-q |
    | second   | (n_frames, n_waves, 3) | Å    | amplitudes              |
    """
    sites, cell = lifted.candidates.sites, lifted.candidates.cut.cell
    steps = np.array(list(np.ndindex(*[2 * largest + 1] * 3))) - largest
    steps = steps[[tuple(s) > (0, 0, 0) for s in steps.tolist()]]
    q = 2.0 * np.pi * steps @ np.linalg.inv(cell).T
    usable = lifted.site[0] >= 0
    phases = np.exp(-1j * q @ sites.parallel[lifted.site[0]].T) * usable / usable.sum()
    # Atoms that never jump stay at their mean: only the others add to a wave.
    movers = np.flatnonzero(usable & (lifted.site != lifted.site[0]).any(axis=0))
    waves = np.zeros((lifted.n_frames, len(q), 3), dtype=np.complex128)
    for atom in movers:
        known = lifted.site[:, atom] >= 0
        path = sites.perpendicular[lifted.site[:, atom]]
        path = np.where(known[:, None], path - path[known].mean(axis=0), 0.0)
        waves += phases[:, atom, None] * path[:, None, :]
    return q, waves


def phason_elastic_constants(
    q: Array,
    waves: NDArray[np.complex128],
    volume: float,
    temperature: float,
    correlation: float = 1.0,
) -> PhasonElasticConstants:
    """The constants under which the fluctuations are most likely.

        <w_i(q) w_j*(q)> = k_B T / V [K_4 C_4(q) + K_5 C_5(q)]^-1_ij

    Maximum likelihood of complex Gaussian waves: `q` (n_waves, 3) in Å^-1, `waves` (n_frames,
    n_waves, 3) in Å, `volume` in Å^3, `temperature` in K; `correlation` is the number of frames
    that amount to one independent sample. Errors from the Fisher information. Raises `InputError`
    if there are no fluctuations.
    """
    from scipy.optimize import minimize

    if not (temperature > 0.0 and volume > 0.0 and correlation >= 1.0):
        raise InputError(
            "Temperature, volume and correlation must be positive.", "Correlation is at least 1."
        )
    four, five = hydrodynamic_matrices(q)
    covariance = np.einsum("fqi,fqj->qij", waves, waves.conj()).real / len(waves)
    power = np.einsum("qii->q", covariance)
    if not (power > 0.0).all():
        raise InputError(
            "The phason field does not fluctuate: no atom changes its site.",
            "Sample longer, at a higher temperature, or a larger cell.",
        )
    scale = volume / (BOLTZMANN * temperature)
    # K is about 3 k_B T / (V q^2 |w|^2): a start, and the unit in which the search is made.
    unit = float(np.mean(3.0 / (scale * power * (q**2).sum(axis=1))))

    def cost(logarithms: Array) -> float:
        k4, k5 = unit * np.exp(logarithms)
        stiffness = scale * (k4 * four + k5 * five)
        overlap = np.einsum("qij,qji->", stiffness, covariance)
        return float(overlap - np.linalg.slogdet(stiffness)[1].sum())

    best = minimize(
        cost, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12}
    )
    k4, k5 = unit * np.exp(best.x)
    inverse = np.linalg.inv(k4 * four + k5 * five)
    shapes = (inverse @ four, inverse @ five)
    samples = len(waves) / correlation
    information = samples * np.array(
        [[np.einsum("qij,qji->", a, b) for b in shapes] for a in shapes]
    )
    errors = np.sqrt(np.diagonal(np.linalg.inv(information)))
    return PhasonElasticConstants(
        float(k4), float(errors[0]), float(k5), float(errors[1]), len(waves) * len(q)
    )
