"""Diffraction of an approximant, and its reflections named by six integers.

A reflection of the quasicrystal with indices g lies at q_par = 2 pi/A `PARALLEL` g. Cut with
periods N, its wave exp(2 pi i g n) has the indices N^T g of the approximant's cell: it lies at
q_par - E^T q_perp, with E the phason strain and q_perp = 2 pi/A `PERPENDICULAR` g.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.geometry.cut_and_project import PeriodicCut
from hyperatom.geometry.icosahedral import PARALLEL, PERPENDICULAR, operations
from hyperatom.geometry.integer_lattices import shorten

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DiffractionPattern:
    """Intensities at the reciprocal lattice vectors of a cell, strongest first.

    | field       | shape  | unit | meaning                                                   |
    |-------------|--------|------|-----------------------------------------------------------|
    | `miller`    | (n, 3) | -    | indices h k l of the cell                                 |
    | `q`         | (n, 3) | Å^-1 | 2 pi (h, k, l) times the reciprocal lattice               |
    | `intensity` | (n,)   | -    | |sum_j f_j exp(i q r_j)|^2 / (sum_j f_j)^2: at q = 0 it is 1 |
    """

    miller: Integers
    q: Array
    intensity: Array


@dataclass(frozen=True, eq=False)
class IndexedPattern:
    """A diffraction pattern with the six indices of its reflections.

    | field      | shape  | unit | meaning                                                         |
    |------------|--------|------|-----------------------------------------------------------------|
    | `pattern`  | -      | -    | the reflections                                                 |
    | `indices`  | (n, 6) | 1/2  | doubled indices g of least q_perp; zero where none was found    |
    | `indexed`  | (n,)   | -    | was one found?                                                  |
    | `ideal`    | (n, 3) | Å^-1 | where the quasicrystal has the reflection                       |
    | `q_perp`   | (n,)   | Å^-1 | length of its perpendicular part                                |
    """

    pattern: DiffractionPattern
    indices: Integers
    indexed: NDArray[np.bool_]
    ideal: Array
    q_perp: Array


def diffraction_pattern(
    configuration: Configuration, q_max: float, weights: ArrayLike | None = None
) -> DiffractionPattern:
    """Structure factor intensities up to `q_max` (Å^-1), q = 0 left out.

    `weights` (n_atoms,) are scattering factors, atomic numbers unless given. Costs one product of
    three phase tables: n_atoms times the number of reciprocal vectors in a box about the sphere.
    Raises `InputError` for a cell that is not periodic or a `q_max` below the first reflection.
    """
    if not configuration.periodic.all():
        raise InputError(
            "Reflections belong to crystals: the cell is not periodic in three directions.",
            "Give a periodic configuration.",
        )
    factors = np.asarray(configuration.numbers if weights is None else weights, dtype=np.float64)
    cell = np.array(configuration.cell)
    reciprocal = 2.0 * np.pi * np.linalg.inv(cell).T
    fractional = configuration.positions @ np.linalg.inv(cell)
    limits = np.floor(q_max * np.linalg.norm(cell, axis=1) / (2.0 * np.pi)).astype(np.int64)
    ranges = [np.arange(0, limits[0] + 1), *(np.arange(-m, m + 1) for m in limits[1:])]
    tables = [
        np.exp(2j * np.pi * np.outer(steps, fractional[:, axis]))
        for axis, steps in enumerate(ranges)
    ]
    plane = np.stack(np.meshgrid(*ranges[1:], indexing="ij"), axis=-1).reshape(-1, 2)
    found, amplitudes = [], []
    for h, phases in zip(ranges[0], tables[0] * factors, strict=True):
        rows = (tables[1] * phases) @ tables[2].T
        miller = np.column_stack([np.full(len(plane), h), plane])
        near = np.linalg.norm(miller @ reciprocal, axis=1) <= q_max
        found.append(miller[near])
        amplitudes.append(rows.reshape(-1)[near])
    miller = np.concatenate(found)
    intensity = np.abs(np.concatenate(amplitudes)) ** 2 / factors.sum() ** 2
    # The other half is the same by Friedel's law; the plane h = 0 holds both halves already.
    upper = miller[:, 0] > 0
    miller = np.concatenate([miller, -miller[upper]])
    intensity = np.concatenate([intensity, intensity[upper]])
    kept = miller.any(axis=1)
    if not kept.any():
        raise InputError(f"No reflection lies below q = {q_max} Å^-1.", "Choose a larger q_max.")
    miller, intensity = miller[kept], intensity[kept]
    order = np.argsort(-intensity, kind="stable")
    return DiffractionPattern(miller[order], miller[order] @ reciprocal, intensity[order])


def index_pattern(
    pattern: DiffractionPattern, cut: PeriodicCut, q_perp_max: float | None = None
) -> IndexedPattern:
    """Six indices for every reflection of an approximant, those of least perpendicular part.

    Reflections g of the reciprocal lattice (half-integers for F, even sums for I) with |q_perp| up
    to `q_perp_max` (Å^-1; 2 pi/A unless given) are folded into the approximant's cell by h = N^T g.
    """
    unit = 2.0 * np.pi / cut.crystal.lattice_constant
    largest = unit if q_perp_max is None else q_perp_max
    strain = float(np.linalg.norm(cut.strain, 2))
    reach = float(np.linalg.norm(pattern.q, axis=1).max()) + strain * largest
    doubled = reciprocal_vectors(cut, reach, largest)
    miller = doubled @ cut.periods // 4
    q_perp = 0.5 * unit * np.linalg.norm(doubled @ PERPENDICULAR.T, axis=1)
    best: dict[tuple[int, ...], int] = {}
    for number in np.argsort(-q_perp, kind="stable").tolist():
        best[tuple(miller[number].tolist())] = number
    chosen = np.array([best.get(tuple(m), -1) for m in pattern.miller.tolist()])
    indexed = chosen >= 0
    indices = np.where(indexed[:, None], doubled[chosen], 0)
    return IndexedPattern(
        pattern,
        indices,
        indexed,
        0.5 * unit * indices @ PARALLEL.T,
        np.where(indexed, q_perp[chosen], np.inf),
    )


def reciprocal_vectors(cut: PeriodicCut, q_max: float, q_perp_max: float) -> Integers:
    """Doubled indices (n, 6) of the six-dimensional reciprocal lattice within both radii (Å^-1).

    Measured in these radii, the points lie in a ball of radius sqrt(2): its lattice points are
    counted up axis by axis, with sums that are already too long left out (Fincke and Pohst 1985).
    """
    dual = np.linalg.inv(cut.crystal.translations.astype(np.float64)).T * 4.0
    basis = np.rint(dual).astype(np.int64)
    unit = np.pi / cut.crystal.lattice_constant
    metric = unit * np.concatenate([PARALLEL / q_max, PERPENDICULAR / q_perp_max])
    basis = np.asarray(basis @ shorten(metric @ basis))
    vectors = metric @ basis
    radius = 2.0**0.5 * (1.0 + 1e-12)
    bounds = np.floor(np.linalg.norm(np.linalg.inv(vectors), axis=1) * radius).astype(np.int64)
    points = np.zeros((1, 6), dtype=np.int64)
    for axis in range(6):
        steps = np.arange(-bounds[axis], bounds[axis] + 1)
        added = np.outer(steps, basis[:, axis])
        points = np.asarray(points[:, None] + added, dtype=np.int64).reshape(-1, 6)
        rest = np.linalg.qr(vectors[:, axis + 1 :])[0]
        lengths = points @ metric.T
        points = points[np.linalg.norm(lengths - (lengths @ rest) @ rest.T, axis=1) <= radius]
    scaled = points @ metric.T
    near = (np.linalg.norm(scaled.reshape(-1, 2, 3), axis=2) <= 1.0 + 1e-12).all(axis=1)
    return np.asarray(points[near])


def orbit(indices: ArrayLike) -> Integers:
    """All icosahedral images of one reflection, doubled indices (6,) -> (n, 6)."""
    images = operations()[0] @ np.asarray(indices, dtype=np.int64)
    return np.unique(images, axis=0)
