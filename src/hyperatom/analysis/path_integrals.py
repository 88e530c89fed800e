"""What ring polymers know of quantum nuclei: energies, kinetic energies, sizes, distances.

With S the spring energy and R_i the centroid of atom i, of a ring of P beads of N atoms

    primitive   E = 3NP/2 k_BT - S + (1/P) sum_j U(r_j)                   (Barker 1979)
    virial      E = 3N/2 k_BT + (1/2P) sum_ij (r_ij - R_i) . dU/dr_ij + (1/P) sum_j U(r_j)

(centroid virial: Parrinello and Rahman 1984; Cao and Berne, J. Chem. Phys. 91, 6359 (1989)). Both
have the same mean, that of P beads; the virial's variance does not grow with P. The kinetic energy
of a species is its part of the second form without U. With d<f>/dbeta = <df/dbeta> - cov(f, E_prim)
for the virial form f, the heat capacity is

    C = 3N/2 k + cov(E_virial, E_primitive) / k T^2

(Glaesemann and Fried, J. Chem. Phys. 117, 3020 (2002)). Centre-of-mass motion is included,
3/2 k_BT, whether or not it was held fixed while sampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperatom.analysis.observation import Observation
from hyperatom.analysis.radial_distribution import RadialDistribution, RadialDistributionResult
from hyperatom.analysis.statistics import (
    Array,
    Estimate,
    block_jackknife,
    curve_error,
    estimate_mean,
)
from hyperatom.analysis.weighted import by_label
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.ring_polymer import RingPolymer
from hyperatom.trajectory import Kind
from hyperatom.units import BOLTZMANN


@dataclass(frozen=True, eq=False)
class PathIntegralResult:
    """Averages over ring polymers, with errors.

    | field                | unit | meaning                                                        |
    |----------------------|------|----------------------------------------------------------------|
    | `energy`             | eV   | total energy, by the centroid virial                           |
    | `energy_primitive`   | eV   | the same by the primitive estimator                            |
    | `potential_energy`   | eV   | mean over the beads                                            |
    | `kinetic_energy`     | eV   | of all atoms, by the centroid virial                           |
    | `kinetic_of`         | eV   | kinetic energy per atom of each species                        |
    | `heat_capacity`      | k_B  | at constant volume, of all atoms                               |
    | `radius_of_gyration` | Å    | root mean square distance of a bead from its centroid          |
    """

    n_beads: int
    n_rings: int
    energy: Estimate
    energy_primitive: Estimate
    potential_energy: Estimate
    kinetic_energy: Estimate
    kinetic_of: dict[str, Estimate]
    heat_capacity: Estimate
    radius_of_gyration: dict[str, Estimate]

    @property
    def observation(self) -> Observation:
        """The same as every observable returns it."""
        return Observation(
            "quantum nuclei",
            self.energy.kind,
            self.n_rings,
            numbers={
                "energy": self.energy,
                "energy, primitive estimator": self.energy_primitive,
                "potential energy": self.potential_energy,
                "kinetic energy": self.kinetic_energy,
                **{f"kinetic energy per {name}": e for name, e in self.kinetic_of.items()},
                "heat capacity": self.heat_capacity,
                **{f"radius of gyration, {s}": e for s, e in self.radius_of_gyration.items()},
            },
            notes=(f"Averages of {self.n_beads} beads; check that twice as many agree.",),
        )


@dataclass(frozen=True)
class PathIntegrals:
    """Estimators for ring polymers at `temperature` (K)."""

    temperature: float

    def compute(
        self,
        rings: Sequence[RingPolymer],
        evaluations: Sequence[Evaluation],
        walkers: ArrayLike | None = None,
        kind: Kind = "exact",
    ) -> PathIntegralResult:
        """Averages over successive states of a chain, rejected ones counted again.

        `evaluations` are the reference's, sums over beads with forces of every bead. `walkers`
        (n_rings,) are integers that tell chains apart, each in its order of time. Raises
        `InputError` without rings, and where atoms, beads or numbers of evaluations do not match.
        """
        n_beads, walker = _checked(rings, walkers)
        if len(evaluations) != len(rings):
            raise InputError(
                f"{len(rings)} ring polymers came with {len(evaluations)} evaluations.",
                "Give one evaluation for each, those of rejected proposals left out.",
            )
        thermal_energy = BOLTZMANN * self.temperature
        n_atoms = rings[0].atoms_per_bead

        potential = np.array([e.energy for e in evaluations]) / n_beads
        springs = np.array([ring.spring_energy(self.temperature) for ring in rings])
        kinetic = np.array(
            [self.kinetic_energies(r, e) for r, e in zip(rings, evaluations, strict=True)]
        )
        spread = np.array([squared_spread(ring) for ring in rings])
        virial_energy = kinetic.sum(axis=1) + potential
        primitive = 1.5 * n_atoms * n_beads * thermal_energy - springs + potential

        def mean(values: Array, unit: str) -> Estimate:
            return estimate_mean(by_label(values, walker), unit, kind)

        def derived(value: Array, error: Array, of: Estimate, unit: str) -> Estimate:
            return replace(of, value=float(value), error=float(error), unit=unit)

        def heat_capacity() -> Estimate:
            def fluctuation(rows: Array) -> float:
                covariance = np.mean(rows.prod(axis=1)) - rows[:, 0].mean() * rows[:, 1].mean()
                return float(1.5 * n_atoms + covariance / thermal_energy**2)

            # About the means, so that large energies do not cancel.
            both = np.stack([virial_energy, primitive], axis=1)
            both -= both.mean(axis=0)
            value, error = block_jackknife(fluctuation, by_label(both, walker))
            return derived(value, error, mean(both.prod(axis=1), "k_B"), "k_B")

        def radius(atoms: NDArray[np.intp]) -> Estimate:
            square = spread[:, atoms].mean(axis=1)
            estimate = mean(square, "Å^2")
            root = float(np.sqrt(estimate.value))
            slope = 0.5 / root if root > 0.0 else 0.0
            return replace(estimate, value=root, error=estimate.error * slope, unit="Å")

        groups = species_and_isotopes(rings[0])
        return PathIntegralResult(
            n_beads=n_beads,
            n_rings=len(rings),
            energy=mean(virial_energy, "eV"),
            energy_primitive=mean(primitive, "eV"),
            potential_energy=mean(potential, "eV"),
            kinetic_energy=mean(kinetic.sum(axis=1), "eV"),
            kinetic_of={
                name: mean(kinetic[:, atoms].mean(axis=1), "eV") for name, atoms in groups.items()
            },
            heat_capacity=heat_capacity(),
            radius_of_gyration={name: radius(atoms) for name, atoms in groups.items()},
        )

    def kinetic_energies(self, ring: RingPolymer, evaluation: Evaluation) -> Array:
        """Centroid-virial kinetic energy of each atom, (n_atoms,), eV."""
        positions = ring.bead_positions
        forces = np.reshape(evaluation.forces, positions.shape)
        virial = np.sum((positions - positions.mean(axis=0)) * forces, axis=(0, 2))
        energies: Array = 1.5 * BOLTZMANN * self.temperature - 0.5 * virial / ring.n_beads
        return energies


def squared_spread(ring: RingPolymer) -> Array:
    """Mean squared distance of the beads of each atom from their centroid, (n_atoms,), Å^2."""
    positions = ring.bead_positions
    return np.asarray(np.mean(np.sum((positions - positions.mean(axis=0)) ** 2, axis=2), axis=0))


def species_and_isotopes(ring: RingPolymer) -> dict[str, NDArray[np.intp]]:
    """Indices of the atoms of each species; isotopes apart where a species has several."""
    from ase.data import chemical_symbols

    n_atoms = ring.atoms_per_bead
    numbers, masses = ring.numbers[:n_atoms], ring.bead_masses
    groups: dict[str, NDArray[np.intp]] = {}
    for number in np.unique(numbers):
        found = np.unique(masses[numbers == number])
        for mass in found:
            symbol = str(chemical_symbols[number])
            name = symbol if len(found) == 1 else f"{symbol} ({mass:g} amu)"
            groups[name] = np.flatnonzero((numbers == number) & (masses == mass))
    return groups


def bead_radial_distribution(
    rings: Sequence[RingPolymer],
    r_max: float = 8.0,
    bins: int = 200,
    walkers: ArrayLike | None = None,
    kind: Kind = "exact",
) -> RadialDistributionResult:
    """Radial distribution functions of the beads, one sample for each ring.

    Distances are between atoms of the same bead; counts are means over the beads of a ring, so that
    error bars see rings, which are far fewer than beads. Arguments as in `RadialDistribution`.
    """
    n_beads, walker = _checked(rings, walkers)
    measure = RadialDistribution(r_max, bins)
    positions = np.array([ring.bead_positions for ring in rings])
    slices = [
        measure.compute(
            [ring.bead(x) for ring, x in zip(rings, positions[:, bead], strict=True)],
            walkers=walker,
            kind=kind,
        )
        for bead in range(n_beads)
    ]
    first = slices[0]
    mean = replace(
        first,
        counts={pair: np.mean([s.counts[pair] for s in slices], axis=0) for pair in first.counts},
        volumes=np.mean([s.volumes for s in slices], axis=0),
    )
    curves = {pair: mean.curves(pair) for pair in mean.pairs}
    return replace(
        mean,
        g={pair: curve.mean(axis=0) for pair, curve in curves.items()},
        error={pair: curve_error(by_label(curve, walker)) for pair, curve in curves.items()},
    )


def _checked(
    rings: Sequence[RingPolymer], walkers: ArrayLike | None
) -> tuple[int, NDArray[np.int64]]:
    if not rings:
        raise InputError("Path-integral averages need at least one ring polymer.")
    shapes = {(ring.n_beads, ring.n_atoms) for ring in rings}
    if len(shapes) > 1:
        raise InputError(
            "The ring polymers differ in their numbers of beads or atoms.",
            "Average rings of one size at a time.",
        )
    walker = np.asarray(np.zeros(len(rings)) if walkers is None else walkers, np.int64)
    if walker.shape != (len(rings),):
        raise InputError(f"{len(rings)} ring polymers need as many walker labels.")
    return rings[0].n_beads, walker
