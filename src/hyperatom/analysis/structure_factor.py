"""Static structure factors: directly from the atoms, or from radial distributions."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.radial_distribution import RadialDistributionResult
from hyperatom.analysis.scattering import (
    Convention,
    Radiation,
    amplitudes,
    in_convention,
    total,
)
from hyperatom.analysis.statistics import Array, curve_error
from hyperatom.analysis.weighted import Samples, as_trajectory, by_label, curve_of, linearised
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory

RADIATIONS: Final[tuple[Radiation, ...]] = ("x-ray", "neutron")

BLOCK: Final = 100_000
"""Phases held in memory at a time."""


@dataclass(frozen=True)
class StructureFactor:
    """S(q) from the atoms themselves, at the reciprocal vectors of the cell up to `q_max` (1/Å).

        rho_a(q) = sum_{j in a} exp(i q r_j),    S_ab(q) = Re < rho_a rho_b* > / sqrt(N_a N_b)

    averaged over the vectors of each bin; of a bin with more than `vectors_per_bin` that many are
    drawn, always the same ones. Each vector keeps its whole numbers where the cell changes; q is
    that of the first cell. Below 2 pi over the longest edge a cell says nothing. The curves are the
    partials of `convention` (see `scattering`), all atoms alike (`total`), X-rays and neutrons.
    """

    q_max: float = 15.0
    bins: int = 150
    convention: Convention = "faber-ziman"
    vectors_per_bin: int = 60

    def __post_init__(self) -> None:
        if not (self.q_max > 0.0 and self.bins >= 1 and self.vectors_per_bin >= 1):
            raise InputError(
                f"A structure factor up to {self.q_max} 1/Å in {self.bins} bins is impossible.",
                "Choose positive numbers.",
            )

    def compute(self, samples: Samples) -> Observation:
        """All partials and totals with bands.

        Raises `InputError` where a direction is not periodic, or where no reciprocal vector lies
        below q_max.
        """
        trajectory = as_trajectory(samples)
        if not trajectory.periodic.all():
            raise InputError(
                f"{trajectory.origin} is not periodic in all directions: it has no reciprocal "
                "lattice.",
                "Use the radial distribution and its Fourier transform.",
            )
        cell = trajectory.frames(0, 1).cells[0]
        vectors, label, q = self._vectors(cell)
        species, kinds = np.unique(trajectory.numbers, return_inverse=True)
        heavy_first = len(species) - 1 - kinds
        symbols = trajectory.symbols[::-1]
        n = np.bincount(heavy_first).astype(np.float64)
        partials = self._partials(trajectory, vectors, label, heavy_first, len(q))
        partials /= np.sqrt(n[:, None] * n)[:, :, None, None]
        concentrations = n / n.sum()
        named = dict(in_convention(self.convention, partials, concentrations, symbols))
        alike = np.ones((len(n), len(q)))
        named["total"] = total("ashcroft-langreth", partials, concentrations, alike)
        notes = [f"The smallest q of this cell is {q[0]:.3g} 1/Å."]
        for radiation in RADIATIONS:
            try:
                w = amplitudes(radiation, symbols, q)
            except InputError as problem:
                notes.append(str(problem))
                continue
            named[radiation] = total(self.convention, partials, concentrations, w)
        return Observation(
            f"structure factor ({self.convention})",
            trajectory.kind,
            len(trajectory),
            Axis("q", "1/Å"),
            Axis("S"),
            {name: curve_of(trajectory, q, rows) for name, rows in named.items()},
            notes=tuple(notes),
        )

    def _vectors(self, cell: Array) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
        """Whole numbers (n_vectors, 3) of half of all vectors, the bin of each, q of each bin."""
        reciprocal = 2.0 * np.pi * np.linalg.inv(cell).T
        reach = np.floor(self.q_max * np.linalg.norm(cell, axis=1) / (2.0 * np.pi)).astype(int)
        grid = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), -1)
        whole = grid.reshape(-1, 3)
        whole = whole[len(whole) // 2 + 1 :]  # -q says the same as q
        length = np.linalg.norm(whole @ reciprocal, axis=1)
        whole, length = whole[length < self.q_max], length[length < self.q_max]
        if len(whole) == 0:
            raise InputError(
                f"No reciprocal vector of the cell is shorter than {self.q_max:g} 1/Å.",
                "Choose a larger q_max or a larger cell.",
            )
        label = (length * (self.bins / self.q_max)).astype(np.int64)
        order = np.random.default_rng(0).permutation(len(whole))
        order = order[np.argsort(label[order], kind="stable")]
        sizes = np.bincount(label, minlength=self.bins)
        rank = np.arange(len(whole)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        kept = order[rank < self.vectors_per_bin]
        _, compact = np.unique(label[kept], return_inverse=True)
        q = np.bincount(compact, length[kept]) / np.bincount(compact)
        return whole[kept], compact, q

    @staticmethod
    def _partials(
        trajectory: Trajectory,
        whole: NDArray[np.int64],
        label: NDArray[np.int64],
        kinds: NDArray[np.int64],
        n_bins: int,
    ) -> Array:
        """<rho_a rho_b*> over the vectors of each bin, (n_species, n_species, n_frames, n_bins)."""
        n_species = int(kinds.max()) + 1
        member = (kinds[:, None] == np.arange(n_species)).astype(np.complex128)
        found = np.zeros((n_species, n_species, len(trajectory), n_bins))
        size = np.bincount(label)
        some = max(1, BLOCK // trajectory.n_atoms)
        reach = np.abs(whole).max(axis=0)
        for window, frames in trajectory.chunks():
            for step, positions, cell in zip(
                range(window.start, window.stop), frames.positions, frames.cells, strict=True
            ):
                # exp(i h s) of each direction by itself: waves are products, not cosines.
                scaled = 2j * np.pi * np.linalg.solve(cell.T, positions.T)
                along = [
                    np.exp(np.arange(-n, n + 1)[:, None] * one)
                    for n, one in zip(reach, scaled, strict=True)
                ]
                waves = np.empty((len(whole), n_species), dtype=np.complex128)
                for start in range(0, len(whole), some):
                    part = slice(start, start + some)
                    wave = along[0][whole[part, 0] + reach[0]]
                    wave *= along[1][whole[part, 1] + reach[1]]
                    wave *= along[2][whole[part, 2] + reach[2]]
                    waves[part] = wave @ member
                for a in range(n_species):
                    for b in range(a, n_species):
                        product = (waves[:, a] * waves[:, b].conj()).real
                        found[a, b, step] = np.bincount(label, product) / size
                        found[b, a, step] = found[a, b, step]
        return found


@dataclass(frozen=True)
class FourierStructureFactor:
    """S(q) as the Fourier transform of radial distributions up to their r_max.

        A_ab(q) = 1 + 4 pi rho int_0^r_max r^2 [g_ab(r) - g_ab(inf)] sin(qr)/(qr) M(r) dr

    with g_ab(inf) = 1 - delta_ab/N_a, the limit of a closed cell, and M = 1, or with `lorch` the
    window sin(pi r/r_max)/(pi r/r_max) that trades ripples for width (E. Lorch, J. Phys. C 2, 229
    (1969)). Below 2 pi/r_max the transform is an extrapolation. Curves as in `StructureFactor`.
    """

    q_max: float = 15.0
    points: int = 150
    convention: Convention = "faber-ziman"
    lorch: bool = True

    def compute(self, distribution: RadialDistributionResult) -> Observation:
        """Transform the distributions, frame by frame, so that errors are those of the frames."""
        r, dr = distribution.r, 2.0 * distribution.r[0]
        r_max = float(r[-1] + distribution.r[0])
        q = (np.arange(self.points) + 0.5) * self.q_max / self.points
        q = q[q >= np.pi / r_max]
        if len(q) == 0:
            raise InputError(
                f"A distribution up to {r_max:g} Å says nothing of q below {np.pi / r_max:.3g} "
                "1/Å.",
                "Choose a larger q_max, or a larger r_max of the distribution.",
            )
        window = np.sinc(r / r_max) if self.lorch else np.ones(len(r))
        # The exact integral of r sin(qr) over each bin, so that bin width does not smear.
        low, high = r - dr / 2.0, r + dr / 2.0

        def primitive(x: Array) -> Array:
            qx = np.outer(x, q)
            return np.asarray((np.sin(qx) - qx * np.cos(qx)) / q**2)

        kernel = 4.0 * np.pi * window[:, None] * (primitive(high) - primitive(low)) / q
        symbols = [name for name in distribution.n_atoms if name != "total"]
        n = np.array([distribution.n_atoms[s] for s in symbols], dtype=np.float64)
        c = n / n.sum()
        density = (n.sum() / distribution.volumes)[:, None]
        m = len(symbols)
        partials = np.zeros((m, m, distribution.n_configurations, len(q)))
        for a in range(m):
            for b in range(m):
                limit = 1.0 - (a == b) / n[a]
                excess = distribution.curves(f"{symbols[a]}-{symbols[b]}") - limit
                fz = 1.0 + density * (excess @ kernel)
                partials[a, b] = (a == b) + np.sqrt(c[a] * c[b]) * (fz - 1.0)
        named = dict(in_convention(self.convention, partials, c, symbols))
        named["total"] = total("ashcroft-langreth", partials, c, np.ones((m, len(q))))
        notes = [f"Below {2.0 * np.pi / r_max:.3g} 1/Å the transform extrapolates."]
        for radiation in RADIATIONS:
            try:
                named[radiation] = total(
                    self.convention, partials, c, amplitudes(radiation, symbols, q)
                )
            except InputError as problem:
                notes.append(str(problem))
        curves = {}
        for name, rows in named.items():
            linear = linearised(rows, distribution.weights)
            error = curve_error(by_label(linear, distribution.walkers))
            curves[name] = Curve(q, linear.mean(axis=0), error)
        return Observation(
            f"structure factor by Fourier transform ({self.convention})",
            distribution.kind,
            distribution.n_configurations,
            Axis("q", "1/Å"),
            Axis("S"),
            curves,
            notes=tuple(notes),
        )


@dataclass(frozen=True)
class PairDistribution:
    """The pair distribution function as a diffractometer shows it, measured up to `q_max` (1/Å).

        G(r) = 4 pi rho r [sum_ab c_a c_b w_a w_b g_ab(r) / <w>^2 - 1]

    with neutron scattering lengths, or X-ray form factors at q = 0, convolved with the resolution
    sin(q_max r)/(pi r) of a measurement that ends at q_max; without `q_max` it is sharp. D. A.
    Keen, J. Appl. Cryst. 34, 172 (2001).
    """

    radiation: Radiation = "neutron"
    q_max: float | None = 25.0

    def compute(self, distribution: RadialDistributionResult) -> Observation:
        """G(r) in 1/Å^2 with its band. Raises `InputError` where a species does not scatter."""
        symbols = [name for name in distribution.n_atoms if name != "total"]
        n = np.array([distribution.n_atoms[s] for s in symbols], dtype=np.float64)
        c = n / n.sum()
        w = amplitudes(self.radiation, symbols, np.zeros(1))[:, 0]
        r, dr = distribution.r, 2.0 * distribution.r[0]
        density = (n.sum() / distribution.volumes)[:, None]
        rows = -np.ones((distribution.n_configurations, len(r)))
        for a, first in enumerate(symbols):
            for b, second in enumerate(symbols):
                weight = c[a] * c[b] * w[a] * w[b] / (c @ w) ** 2
                rows += weight * distribution.curves(f"{first}-{second}")
        rows = 4.0 * np.pi * density * r * rows
        notes: tuple[str, ...] = ()
        if self.q_max is not None:
            # G is odd in r: the mirror image takes part.
            def resolution(x: Array) -> Array:
                assert self.q_max is not None
                return np.asarray(self.q_max / np.pi * np.sinc(self.q_max * x / np.pi))

            kernel = dr * (resolution(r[:, None] - r) - resolution(r[:, None] + r))
            rows = rows @ kernel.T
            notes = (f"Convolved with the resolution of a measurement up to {self.q_max:g} 1/Å.",)
        linear = linearised(rows, distribution.weights)
        error = curve_error(by_label(linear, distribution.walkers))
        return Observation(
            f"pair distribution function ({self.radiation})",
            distribution.kind,
            distribution.n_configurations,
            Axis("r", "Å"),
            Axis("G", "1/Å^2"),
            {self.radiation: Curve(r, linear.mean(axis=0), error)},
            notes=notes,
        )
