"""Radial distribution functions: how many neighbours at which distance, with error bands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations_with_replacement
from math import nan
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.statistics import (
    Array,
    Estimate,
    Kind,
    block_jackknife,
    curve_error,
    estimate_mean,
)
from hyperatom.analysis.weighted import Samples, as_trajectory, by_label, linearised
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory

TOTAL: Final = "total"
"""Name of the pair that counts all atoms alike."""

SMOOTHING: Final = 0.05
"""Width in Å of the Gaussian with which shells are looked for; no number is read off the result."""


@dataclass(frozen=True)
class FirstPeak:
    """The first coordination shell of one pair of species.

    | field           | unit | meaning                                                             |
    |-----------------|------|---------------------------------------------------------------------|
    | `position`      | Å    | vertex of a parabola through the upper 30 % of the peak of mean g   |
    | `height`        | -    | g averaged over the highest bin and its two neighbours              |
    | `mean_distance` | Å    | mean distance of the pairs inside the shell                         |
    | `coordination`  | -    | neighbours (second species) of an atom (first species) in the shell |
    | `shell_end`     | Å    | first minimum behind the peak, where the shell ends                 |
    """

    position: Estimate
    height: Estimate
    mean_distance: Estimate
    coordination: Estimate
    shell_end: float


@dataclass(frozen=True, eq=False)
class RadialDistributionResult:
    """Mean radial distribution functions, and the counts that they came from.

    | field     | shape                     | unit | meaning                                    |
    |-----------|---------------------------|------|--------------------------------------------|
    | `r`       | (n_bins,)                 | Å    | middle of each bin                         |
    | `g`       | per pair (n_bins,)        | -    | `"Si-O"`, heavier species first; `"total"` |
    | `error`   | per pair (n_bins,)        | -    | one correlated standard error of `g`       |
    | `counts`  | per pair (n_conf, n_bins) | -    | ordered pairs of each configuration        |
    | `volumes` | (n_conf,)                 | Å^3  | by which the densities are defined         |
    | `n_atoms` | per species               | -    | number of atoms, with their `"total"`      |
    | `weights` | (n_conf,)                 | -    | mean 1                                     |
    | `walkers` | (n_conf,)                 | -    | which chain each configuration belongs to  |
    """

    r: Array
    g: dict[str, Array]
    error: dict[str, Array]
    kind: Kind
    counts: dict[str, NDArray[np.int32]] = field(repr=False)
    volumes: Array = field(repr=False)
    n_atoms: dict[str, int] = field(repr=False)
    weights: Array = field(repr=False)
    walkers: NDArray[np.int64] = field(repr=False)

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of the pairs of species, the total last."""
        return tuple(self.counts)

    @property
    def n_configurations(self) -> int:
        """How many configurations were counted, repeated ones each time."""
        return len(self.weights)

    @cached_property
    def n_effective(self) -> dict[str, float]:
        """Independent samples behind each pair, by its first-shell distance; NaN if never seen."""
        return {
            pair: self._mean(self.first_peak_series(pair), "Å").n_effective
            if self.counts[pair].any()
            else nan
            for pair in self.pairs
        }

    def coordination(self, pair: str, r_end: float) -> Estimate:
        """Mean number of neighbours within `r_end` (Å; counted in whole bins).

        `"Si-O"` counts O around Si, `"O-Si"` Si around O.
        """
        counts = self.counts[self._name(pair)][:, self.r < r_end].sum(axis=1)
        return self._mean(counts / self.n_atoms[pair.split("-")[0]], "")

    def first_peak(self, pair: str) -> FirstPeak:
        """Position, height, mean distance and coordination of the first shell, with errors.

        The shell is searched on g smoothed by a Gaussian of 0.05 Å: from the first maximum that
        reaches half of the global one to the lowest point before g rises by a tenth of the peak.
        Raises `InputError` for an unknown pair or one never seen within r_max.
        """
        name = self._name(pair)
        top, end = self._shell(name)
        g, curves = self.g[name], self.curves(name)
        first, last = top, top + 1
        while first > 0 and g[first - 1] >= 0.7 * g[top]:
            first -= 1
        while last < len(g) and g[last] >= 0.7 * g[top]:
            last += 1
        window = slice(max(0, min(first, top - 1)), max(last, top + 2))
        r = self.r[window]

        def vertex(rows: Array) -> float:
            curve = rows[:, 1:].sum(axis=0) / rows[:, 0].sum()
            if len(r) >= 3:
                curvature, slope, _ = np.polyfit(r - self.r[top], curve, 2)
                if curvature < 0.0:
                    at = self.r[top] - slope / (2.0 * curvature)
                    return float(np.clip(at, r[0], r[-1]))
            return float(self.r[top])

        rows = self.weights[:, None] * np.insert(curves[:, window], 0, 1.0, axis=1)
        position, error = block_jackknife(vertex, by_label(rows, self.walkers))
        height = self._mean(curves[:, max(0, top - 1) : top + 2].mean(axis=1), "")
        shell_end = float(self.r[end - 1] + self.r[0])
        return FirstPeak(
            Estimate(
                float(position),
                float(error),
                height.n_effective,
                height.autocorrelation_time,
                "Å",
                self.kind,
            ),
            height,
            self._mean(self.first_peak_series(pair), "Å"),
            self.coordination(pair, shell_end),
            shell_end,
        )

    def first_peak_series(self, pair: str) -> Array:
        """Mean distance within the first shell, one per configuration, (n_configurations,), Å.

        NaN for a configuration whose shell is empty. The middles of the bins stand for distances.
        """
        name = self._name(pair)
        _, end = self._shell(name)
        counts = self.counts[name][:, :end]
        inside = counts.sum(axis=1)
        distance: Array = np.where(inside > 0, counts @ self.r[:end] / np.maximum(inside, 1), nan)
        return distance

    @cached_property
    def observation(self) -> Observation:
        """The same as every observable returns it, first shells among its numbers."""
        curves, numbers = {}, {}
        for pair in self.pairs:
            curves[pair] = Curve(self.r, self.g[pair], self.error[pair], self.n_effective[pair])
            if pair == TOTAL or not self.counts[pair].any():
                continue
            peak = self.first_peak(pair)
            numbers[f"{pair} first peak"] = peak.position
            numbers[f"{pair} height of the first peak"] = peak.height
            numbers[f"{pair} mean distance in the first shell"] = peak.mean_distance
            numbers[f"{pair} coordination"] = peak.coordination
        return Observation(
            "radial distribution function",
            self.kind,
            self.n_configurations,
            Axis("r", "Å"),
            Axis("g"),
            curves,
            numbers,
        )

    def to_csv(self, path: Path | str) -> None:
        """One row per bin: r in Å, then g and its standard error for each pair."""
        self.observation.to_csv(path)

    def to_json(self, path: Path | str) -> None:
        """Everything but the counts, with units; NaN becomes null."""
        self.observation.to_json(path)

    def plot(self, axes: Any = None, pairs: Sequence[str] | None = None) -> Any:
        """Draw curves with bands of two standard errors into matplotlib `axes`."""
        axes = self.observation.plot(axes, [self._name(pair) for pair in pairs or self.pairs])
        axes.set_xlabel("distance r (Å)")
        axes.set_ylabel("g(r)")
        axes.set_xlim(0.0, self.r[-1] + self.r[0])
        axes.set_ylim(bottom=0.0)
        return axes

    def _name(self, pair: str) -> str:
        for name in (pair, "-".join(reversed(pair.split("-")))):
            if name in self.counts:
                return name
        raise InputError(
            f"There is no pair of species '{pair}'.", f"Choose from {', '.join(self.pairs)}."
        )

    def curves(self, pair: str) -> Array:
        """g of each configuration, (n_configurations, n_bins)."""
        name = self._name(pair)
        return _normalised(self.counts[name], self.volumes, self.r, *_members(name, self.n_atoms))

    def _mean(self, values: Array, unit: str) -> Estimate:
        """Weighted mean of one value per configuration, leaving out NaN."""
        usable = np.isfinite(values)
        if not usable.any():
            return Estimate(nan, nan, 0.0, 1.0, unit, self.kind)
        linear = linearised(values[usable], self.weights[usable])
        return estimate_mean(by_label(linear, self.walkers[usable]), unit, self.kind)

    def _shell(self, name: str) -> tuple[int, int]:
        """Highest bin of the first peak, and the first bin behind the shell."""
        g, width = self.g[name], 2.0 * self.r[0]
        if not g.any():
            raise InputError(
                f"No pair {name} was found within {self.r[-1] + self.r[0]:.2f} Å.",
                "Choose a larger r_max.",
            )
        reach = int(np.ceil(3.0 * SMOOTHING / width))
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * width / SMOOTHING) ** 2)
        smooth = np.convolve(g, kernel / kernel.sum())[reach : reach + len(g)]
        top = int(np.argmax(smooth >= 0.5 * smooth.max()))
        while top + 1 < len(g) and smooth[top + 1] > smooth[top]:
            top += 1
        lowest = top
        for b in range(top, len(g)):
            if smooth[b] < smooth[lowest]:
                lowest = b
            elif smooth[b] > smooth[lowest] + 0.1 * smooth[top]:
                break
        start = max(0, top - reach)
        return start + int(np.argmax(g[start : top + reach + 1])), lowest + 1


@dataclass(frozen=True)
class RadialDistribution:
    """Radial distribution functions of all pairs of species up to `r_max` (Å).

        g_ab(r) = < V n_ab(r) > / (N_a N_b v(r))

    n_ab(r) counts ordered pairs with distances in the bin, v(r) is the volume of the bin's
    spherical shell, V that of the cell of the same configuration (Allen and Tildesley, Computer
    Simulation of Liquids, section 2.6). All periodic images count, an atom's own too, so cells may
    be thinner than r_max and a replicated cell gives the same g; beyond half the cell, though, the
    images repeat each other. With N_a N_b also for a = b, the ideal gas has g_aa = 1 - 1/N_a. The
    total is sum_ab c_a c_b g_ab, c the concentrations.

    Where a direction is not periodic there is no density, and V is chosen instead such that the
    total g has the average 1 over the sphere of radius r_max.
    """

    r_max: float = 8.0
    bins: int = 200

    def __post_init__(self) -> None:
        if not (self.r_max > 0.0 and np.isfinite(self.r_max) and self.bins >= 1):
            raise InputError(
                f"A radial distribution up to {self.r_max} Å in {self.bins} bins is impossible.",
                "Choose a positive r_max and at least one bin.",
            )

    def compute(
        self,
        samples: Samples,
        weights: ArrayLike | None = None,
        walkers: ArrayLike | None = None,
        kind: Kind | None = None,
    ) -> RadialDistributionResult:
        """Count the pairs of successive configurations of a run, repeated (rejected) ones again.

        `samples` is a trajectory; or configurations, with `weights` (n_conf,), `walkers` (n_conf,)
        (integers that tell chains apart, each in its order of time) and `kind` beside them. Raises
        `InputError` without configurations, where the composition changes, or for impossible
        weights.
        """
        trajectory = as_trajectory(samples, weights, walkers, kind)
        weight, walker = trajectory.weights, trajectory.walkers
        counts, n_atoms, volumes = self._count(trajectory)
        r = (np.arange(self.bins) + 0.5) * self.r_max / self.bins
        if not trajectory.periodic.all():
            mean_pairs = float(np.average(counts[TOTAL].sum(axis=1), weights=weight))
            sphere = 4.0 / 3.0 * np.pi * self.r_max**3
            density = sphere * trajectory.n_atoms**2 / max(mean_pairs, 1.0)
            volumes = np.full(len(trajectory), density)

        series = {
            pair: linearised(_normalised(table, volumes, r, *_members(pair, n_atoms)), weight)
            for pair, table in counts.items()
        }
        return RadialDistributionResult(
            r=r,
            g={pair: curves.mean(axis=0) for pair, curves in series.items()},
            error={pair: curve_error(by_label(curves, walker)) for pair, curves in series.items()},
            kind=trajectory.kind,
            counts=counts,
            volumes=volumes,
            n_atoms=n_atoms,
            weights=weight,
            walkers=walker,
        )

    def _count(
        self, trajectory: Trajectory
    ) -> tuple[dict[str, NDArray[np.int32]], dict[str, int], Array]:
        from ase.data import chemical_symbols
        from vesin import NeighborList

        numbers = trajectory.numbers
        species, ascending = np.unique(numbers, return_inverse=True)
        n_species = len(species)
        species = species[::-1]
        kinds = (n_species - 1 - ascending).astype(np.int32)
        symbols = [str(chemical_symbols[z]) for z in species]
        pairs = list(combinations_with_replacement(range(n_species), 2))
        # Half a list: each pair once, counted twice.
        neighbours = NeighborList(cutoff=self.r_max, full_list=False)
        quantities = "d" if n_species == 1 else "ijd"
        tables = np.zeros((len(pairs) + 1, len(trajectory), self.bins), dtype=np.int32)
        volumes = np.zeros(len(trajectory))
        previous: tuple[Array, Array] | None = None
        for window, frames in trajectory.chunks():
            volumes[window] = np.abs(np.linalg.det(frames.cells))
            for step, positions, cell in zip(
                range(window.start, window.stop), frames.positions, frames.cells, strict=True
            ):
                if previous is not None and all(
                    np.array_equal(*two) for two in zip(previous, (positions, cell), strict=True)
                ):  # a rejected proposal: the same atoms once more
                    tables[:, step] = tables[:, step - 1]
                    continue
                previous = positions, cell
                *ends, distance = neighbours.compute(
                    positions, cell, trajectory.periodic, quantities
                )
                # The last bin collects what lies at the very end.
                index = (distance * (self.bins / self.r_max)).astype(np.int32)
                width = self.bins + 1
                if ends:
                    index += (kinds[ends[0]] * n_species + kinds[ends[1]]) * width
                table = np.bincount(index, minlength=n_species**2 * width)
                table = table.reshape(n_species, n_species, width)[:, :, : self.bins]
                table = table + table.transpose(1, 0, 2)
                for p, (a, b) in enumerate(pairs):
                    tables[p, step] = table[a, b]
                tables[-1, step] = table.sum(axis=(0, 1))
        names = [f"{symbols[a]}-{symbols[b]}" for a, b in pairs] + [TOTAL]
        n_atoms = {s: int((numbers == z).sum()) for s, z in zip(symbols, species, strict=True)}
        n_atoms[TOTAL] = len(numbers)
        return dict(zip(names, tables, strict=True)), n_atoms, volumes


def _members(name: str, n_atoms: dict[str, int]) -> tuple[int, int]:
    first, _, second = name.partition("-")
    return n_atoms[first], n_atoms[second or first]


def _normalised(
    counts: NDArray[np.int32], volumes: Array, r: Array, n_first: int, n_second: int
) -> Array:
    half = r[0]
    shell = 4.0 / 3.0 * np.pi * ((r + half) ** 3 - (r - half) ** 3)
    curves: Array = counts * (volumes / (n_first * n_second))[:, None] / shell
    return curves
