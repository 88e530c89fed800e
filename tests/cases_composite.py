"""Nested chains, ladders of references, swaps, vacancy hops: exactly known, with wrong guides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from exact_rows import Row, case, rows_of
from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.evaluation import Evaluation
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.displacement import Displacement
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.mixture import Mixture
from hyperatom.sampling.nested_chain import NestedChain
from hyperatom.sampling.swap import Swap
from hyperatom.sampling.vacancy_hop import VacancyHop
from targets import AnalyticGuide, Chain, DoubleWells, HarmonicCrystal, sample

CRYSTAL, WELLS = HarmonicCrystal(), DoubleWells()


class Formula:
    """A potential or reference given by a function of the configuration, in plain Python."""

    identity = "formula"

    def __init__(self, energy: Callable[[Configuration], float]) -> None:
        self.energy = energy
        self.calls = 0

    def evaluate(self, configuration: Configuration) -> Evaluation:
        self.calls += 1
        return Evaluation(self.energy(configuration), np.zeros((configuration.n_atoms, 3)))

    def close(self) -> None:
        pass


def wells(parameters: tuple[float, ...]) -> Formula:
    """The skewed double wells of `targets`, without JAX."""
    a, b, w, shift, trough = parameters
    thermal_energy = WELLS.thermal_energy

    def energy(configuration: Configuration) -> float:
        x = (configuration.positions[:, 0] - shift) / w
        across = (configuration.positions[:, 1:] ** 2).sum(axis=1)
        reduced = a * (x * x - 1.0) ** 2 + b * x + 0.5 * trough * across
        return thermal_energy * float(reduced.sum())

    return Formula(energy)


TRUTH = wells(WELLS.right)


@dataclass(frozen=True)
class Mirror:
    """One atom's x changes its sign: its own reverse."""

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        positions = configuration.positions.copy()
        positions[rng.integers(len(positions)), 0] *= -1.0
        return Proposed(configuration.with_positions(positions), 0.0)


MOVE = Displacement(0.9, atoms=1, fixed_centre_of_mass=False)
HOP = Mixture({"move": MOVE, "mirror": Mirror()}, {"move": 2.0, "mirror": 1.0})
"""Across the barrier in one go, so that chains of a few thousand steps have honest error bars."""


def well_chains(
    proposal: Any, effort: float, seeds: Sequence[int], n_samples: int
) -> tuple[list[Chain], list[Row]]:
    n = int(n_samples * effort)
    chains = [
        sample(proposal, TRUTH, WELLS.ensemble, WELLS.start(seed), n, 100 + seed) for seed in seeds
    ]
    return chains, well_rows(chains)


def well_rows(chains: list[Chain]) -> list[Row]:
    x = [chain.positions[:, :, 0] for chain in chains]
    rows = []
    for power in (1, 2, 3, 4):
        exact = WELLS.average(lambda x, k=power: x**k)
        rows += rows_of(f"x^{power}", [(one**power).mean(axis=1) for one in x], exact)
    energies = [chain.energies / WELLS.thermal_energy for chain in chains]
    rows += rows_of("U", energies, WELLS.mean_energy())
    return rows + rows_of("balance", [chain.balance for chain in chains], 0.0)


@case("plain displacements in skewed wells")
def displacements(effort: float, seeds: Sequence[int]) -> list[Row]:
    return well_chains(MOVE, effort, seeds, 5000)[1]


def nested_wells(heat: float = 1.6, rounds: int = 4) -> NestedChain:
    hot = Canonical(WELLS.ensemble.temperature * heat, fixed_centre_of_mass=False)
    return NestedChain(wells(WELLS.displaced), hot, [HOP], rounds)


@case("nested chain, guide 1.6 times as hot, in skewed wells")
def nested_hot(effort: float, seeds: Sequence[int]) -> list[Row]:
    return well_chains(nested_wells(), effort, seeds, 2500)[1]


@case("nested chain of unlike moves, there and back, guide colder")
def nested_palindrome(effort: float, seeds: Sequence[int]) -> list[Row]:
    cold = Canonical(WELLS.ensemble.temperature * 0.85, fixed_centre_of_mass=False)
    small = Displacement(0.3, atoms=1, fixed_centre_of_mass=False)
    mixture = Mixture({"far": HOP, "near": small}, {"far": 1.0, "near": 2.0})
    nested = NestedChain(wells(WELLS.soft), cold, [HOP, mixture, small], rounds=1)
    return well_chains(nested, effort, seeds, 1500)[1]


class JudgingGuide(AnalyticGuide):
    """A guide that is asked for energies too."""

    def __init__(self, target: Any, parameters: Any) -> None:
        super().__init__(target.energy, parameters)
        self._evaluate = type(target.reference)(target.energy, parameters).evaluate

    def evaluate(self, configuration: Configuration) -> Evaluation:
        return self._evaluate(configuration)


@case("nested hybrid Monte Carlo, guide soft, displaced and colder, harmonic crystal")
def nested_trajectories(effort: float, seeds: Sequence[int]) -> list[Row]:
    cold = Canonical(0.92 * CRYSTAL.ensemble.temperature)
    guide = JudgingGuide(CRYSTAL, CRYSTAL.displaced())
    trajectory = GuidedTrajectory(guide, cold, time_step=12.0, length=48.0, check_every=4)
    nested = NestedChain(guide, cold, [trajectory], rounds=3)
    n = int(300 * effort)
    chains = [
        sample(nested, CRYSTAL.reference, CRYSTAL.ensemble, CRYSTAL.start(seed), n, 200 + seed)
        for seed in seeds
    ]
    u = [chain.energies / CRYSTAL.ensemble.thermal_energy for chain in chains]
    rows = rows_of("U", u, 10.5)
    rows += rows_of("(U - 10.5)^2", [(one - 10.5) ** 2 for one in u], 10.5)
    return rows + rows_of("balance", [chain.balance for chain in chains], 0.0)


# Small alloys: every arrangement is enumerated.


class Alloy:
    """Atoms of several species on the 8 sites of a cube or a 3 x 3 layer, some sites empty.

    U = sum over bonds of a coupling of the two species, plus a field of each site on each species:
    no two arrangements are alike. Atoms sit on the sites, or are bound to them by springs.
    """

    ensemble = Canonical(1000.0, fixed_centre_of_mass=False)
    kinds = (13, 28, 44)

    def __init__(self, shape: tuple[int, int, int], numbers: Sequence[int], spacing: float) -> None:
        self.sites = np.array(list(product(*(range(n) for n in shape))), dtype=float)
        self.cell = spacing * np.array(shape, dtype=float) * np.eye(3)
        self.fractions = self.sites / shape
        self.positions = self.sites * spacing
        self.spacing = spacing
        self.numbers = np.array(numbers)
        distances = np.linalg.norm(self.sites[:, None] - self.sites[None], axis=2)
        self.bonds = np.argwhere(np.triu(np.isclose(distances, 1.0)))
        thermal_energy = self.ensemble.thermal_energy
        self.coupling = thermal_energy * np.array(
            [[0, 0, 0, 0], [0, 0.5, -0.9, 0.3], [0, -0.9, 0.1, 0.7], [0, 0.3, 0.7, -0.6]]
        )  # fmt: skip
        fields = np.sin(1.7 * np.arange(len(self.sites))[:, None] * np.arange(4)[None] + 0.5)
        self.field = 0.6 * thermal_energy * fields
        self.field[:, 0] = 0.0
        self.codes = np.searchsorted(self.kinds, self.numbers) + 1

    def occupation_energy(self, occupation: np.ndarray) -> Any:
        """Energies (...) of occupations (..., n_sites): 0 for a vacancy, else 1 + species."""
        a, b = occupation[..., self.bonds[:, 0]], occupation[..., self.bonds[:, 1]]
        bonds = self.coupling[a, b].sum(axis=-1)
        return bonds + self.field[np.arange(len(self.sites)), occupation].sum(axis=-1)

    @cached_property
    def arrangements(self) -> np.ndarray:
        """Every occupation, (n, n_sites)."""
        n_vacant = len(self.sites) - len(self.codes)
        every: set[tuple[int, ...]] = {()}
        counts = {code: int(np.sum(self.codes == code)) for code in set(self.codes.tolist())}
        counts[0] = n_vacant
        for _ in range(len(self.sites)):
            every = {
                (*one, code) for one in every for code, n in counts.items() if one.count(code) < n
            }
        return np.array(sorted(every))

    def exact(self, values: np.ndarray) -> float:
        weight = self.weights
        return float(np.sum(weight * values))

    @cached_property
    def weights(self) -> np.ndarray:
        reduced = self.occupation_energy(self.arrangements) / self.ensemble.thermal_energy
        weight = np.exp(reduced.min() - reduced)
        normalised: np.ndarray = weight / weight.sum()
        return normalised

    def nearest(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Site and squared distance, Å^2, of each atom; positions (..., n_atoms, 3)."""
        away = positions[..., :, None, :] - self.positions
        lengths = np.diag(self.cell)
        away -= lengths * np.rint(away / lengths) * self.periodic
        square = (away**2).sum(axis=-1)
        return square.argmin(axis=-1), square.min(axis=-1)

    periodic = np.zeros(3, dtype=bool)

    def occupations(self, positions: np.ndarray) -> np.ndarray:
        site, _ = self.nearest(positions)
        occupation = np.zeros((*site.shape[:-1], len(self.sites)), dtype=int)
        np.put_along_axis(occupation, site, np.broadcast_to(self.codes, site.shape), axis=-1)
        return occupation

    def reference(self, scale: float = 1.0, spring: float = 0.0) -> Formula:
        """Couplings times `scale`; springs in eV/Å^2 hold atoms to their sites."""

        def energy(configuration: Configuration) -> float:
            site, square = self.nearest(configuration.positions)
            if len(set(site.tolist())) < len(site):
                return float("inf")
            occupation = np.zeros(len(self.sites), dtype=int)
            occupation[site] = self.codes
            held = 0.5 * spring * float(square.sum())
            return scale * float(self.occupation_energy(occupation)) + held

        return Formula(energy)

    def start(self, seed: int) -> Configuration:
        """An arrangement drawn from the exact distribution."""
        rng = np.random.default_rng(40_000 + seed)
        drawn = self.arrangements[rng.choice(len(self.weights), p=self.weights)]
        positions = np.zeros((len(self.numbers), 3))
        for code in np.unique(self.codes):
            where = np.flatnonzero(drawn == code)
            positions[self.codes == code] = self.positions[rng.permutation(where)]
        masses = np.linspace(20.0, 90.0, len(self.numbers))
        return Configuration(self.numbers, positions, self.cell, self.periodic, masses)

    def rows(self, chains: list[Chain], springs: int = 0) -> list[Row]:
        every = self.arrangements
        thermal_energy = self.ensemble.thermal_energy
        found = [self.occupations(chain.positions) for chain in chains]
        u = self.occupation_energy(every) / thermal_energy
        energies = [chain.energies / thermal_energy for chain in chains]
        rows = rows_of("U", energies, self.exact(u) + 0.5 * springs)
        of_sites = [self.occupation_energy(one) / thermal_energy for one in found]
        rows += rows_of("U of the sites squared", [one**2 for one in of_sites], self.exact(u**2))

        def unlike(occupation: np.ndarray) -> np.ndarray:
            a, b = occupation[..., self.bonds[:, 0]], occupation[..., self.bonds[:, 1]]
            bonds: np.ndarray = ((a != b) & (a > 0) & (b > 0)).sum(axis=-1)
            return bonds.astype(float)

        rows += rows_of("unlike bonds", [unlike(one) for one in found], self.exact(unlike(every)))
        for site, code in ((0, 1), (3, 2), (5, 0)):
            if (every[:, site] == code).any():
                exact = self.exact((every[:, site] == code).astype(float))
                hits = [(one[:, site] == code).astype(float) for one in found]
                rows += rows_of(f"species {code} at site {site}", hits, exact)
        return rows + rows_of("balance", [chain.balance for chain in chains], 0.0)

    def chains(
        self, proposal: Any, reference: Any, n_samples: float, seeds: Sequence[int]
    ) -> list[Chain]:
        return [
            sample(proposal, reference, self.ensemble, self.start(seed), int(n_samples), 300 + seed)
            for seed in seeds
        ]


CUBE = Alloy((2, 2, 2), [13, 13, 13, 28, 28, 28, 44, 44], 3.0)
"""560 arrangements."""

LAYER = Alloy((3, 3, 1), [13, 13, 13, 28, 28], 3.0)
"""1260 arrangements, four sites of nine vacant."""

SWAP = Swap(fixed_centre_of_mass=False)


@case("swaps of three species on a cube, every arrangement known")
def swaps(effort: float, seeds: Sequence[int]) -> list[Row]:
    return CUBE.rows(CUBE.chains(SWAP, CUBE.reference(), 4000 * effort, seeds))


@case("nested swaps, guide's couplings halved and 1.5 times as hot")
def nested_swaps(effort: float, seeds: Sequence[int]) -> list[Row]:
    guide = CUBE.reference(scale=0.5)
    nested = NestedChain(guide, Canonical(1500.0, False), [SWAP], rounds=5)
    return CUBE.rows(CUBE.chains(nested, CUBE.reference(), 1200 * effort, seeds))


def layer_hop(reach: float = 3.5) -> VacancyHop:
    return VacancyHop(LAYER.fractions, capture=1.4, reach=reach)


@case("vacancy hops to neighbouring sites, every arrangement known")
def vacancy_hops(effort: float, seeds: Sequence[int]) -> list[Row]:
    return LAYER.rows(LAYER.chains(layer_hop(), LAYER.reference(), 4000 * effort, seeds))


@case("hops, swaps and displacements of atoms bound by springs")
def alloy_mixture(effort: float, seeds: Sequence[int]) -> list[Row]:
    reference = LAYER.reference(spring=4.0)
    mixture = Mixture(
        {
            "hop": layer_hop(),
            "swap": SWAP,
            "move": Displacement(0.3, atoms=2, fixed_centre_of_mass=False),
        },
        {"hop": 2.0, "swap": 1.0, "move": 2.0},
    )
    chains = LAYER.chains(mixture, reference, 4000 * effort, seeds)
    return LAYER.rows(chains, springs=3 * len(LAYER.numbers))
