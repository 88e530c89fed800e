"""Ring polymers: exactly known for every number of beads, with guides that are wrong."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from exact_rows import Row, case
from hyperatom.analysis.path_integrals import PathIntegrals
from hyperatom.references.bead_reference import BeadReference
from hyperatom.references.bead_screen import BeadScreen
from hyperatom.ring_polymer import RingPolymer
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.nested_chain import NestedChain
from hyperatom.sampling.quantum_canonical import QuantumCanonical
from hyperatom.sampling.staging import StagingMove
from hyperatom.units import BOLTZMANN
from ring_targets import (
    CRYSTAL,
    WELLS,
    Beads,
    DimerOfBeads,
    LineOfBeads,
    Rings,
    all_rows,
    assert_sharp,
    crystal_rings,
    dimer_energy,
    oscillator,
    steps,
)
from targets import isolated

CRYSTAL_CASES = {
    "forces scaled by 0.7": (4, 120.0, CRYSTAL.soft(), 1000, steps(7.0, 5)),
    "wrong minimum, two segments": (3, 150.0, CRYSTAL.displaced(), 1000, steps(7.0, 5, segments=2)),
}


def crystal_of_beads(name: str, effort: float, seeds: Sequence[int]) -> list[Row]:
    n_beads, temperature, *_ = CRYSTAL_CASES[name]
    rings = crystal_rings(*CRYSTAL_CASES[name], effort, seeds)
    assert_sharp(rings)
    thermal_energy = BOLTZMANN * temperature
    modes = [oscillator(w, 1.0, temperature, n_beads) for w in CRYSTAL.frequencies]
    total = {key: 3.0 * sum(mode[key] for mode in modes) for key in modes[0]}
    # The centre of mass: a free ring, of which the centroid rests.
    springs = total["S"] + 1.5 * (n_beads - 1) * thermal_energy
    energy = total["E"] + 1.5 * thermal_energy
    assert total["U"] > 1.4 * 10.5 * thermal_energy, "hardly quantum"

    potential = rings.series(lambda ring, evaluation: evaluation.energy / n_beads)
    measure = PathIntegrals(temperature)
    kinetic = rings.series(measure.kinetic_energies)
    stretched = rings.series(lambda ring, _: ring.spring_energy(temperature))
    primitive = [1.5 * 8 * n_beads * thermal_energy - s for s in stretched]
    found = {
        "U": (potential, total["U"]),
        "S": (stretched, springs),
        "virial": ([k.sum(axis=1) + u for k, u in zip(kinetic, potential, strict=True)], energy),
        "primitive": ([k + u for k, u in zip(primitive, potential, strict=True)], energy),
    }
    # Kinetic energy of the lightest and the heaviest atom: |v_ik|^2 of each mode's.
    shares = (CRYSTAL._modes / np.sqrt(CRYSTAL.masses)[:, None]) ** 2
    for atom in (int(np.argmin(CRYSTAL.masses)), int(np.argmax(CRYSTAL.masses))):
        exact = 3.0 * sum(
            share * (mode["E"] - mode["U"]) for share, mode in zip(shares[atom], modes, strict=True)
        )
        exact += 1.5 * thermal_energy * CRYSTAL.masses[atom] / CRYSTAL.masses.sum()
        found[f"K of {CRYSTAL.masses[atom]} amu"] = ([k[:, atom] for k in kinetic], exact)
    return all_rows(found)


@case("ring polymers of a harmonic crystal with isotopes, forces scaled by 0.7")
def soft_crystal(effort: float, seeds: Sequence[int]) -> list[Row]:
    return crystal_of_beads("forces scaled by 0.7", effort, seeds)


@case("ring polymers of a harmonic crystal with isotopes, wrong minimum, two segments", long=True)
def displaced_crystal(effort: float, seeds: Sequence[int]) -> list[Row]:
    return crystal_of_beads("wrong minimum, two segments", effort, seeds)


class Counted:
    """A reference that counts the beads it was asked about, each place once."""

    identity = "counted"

    def __init__(self, reference: Any) -> None:
        self.reference, self.asked = reference, {}

    def evaluate(self, configuration: Any) -> Any:
        key = configuration.digest()
        if key not in self.asked:
            self.asked[key] = self.reference.evaluate(configuration)
        return self.asked[key]

    def close(self) -> None:
        pass


@case("ring polymers judged in two stages: every second bead, then all", long=True)
def screened_crystal(effort: float, seeds: Sequence[int]) -> list[Row]:
    n_beads, temperature, n_samples = 4, 120.0, int(800 * effort)
    ensemble = QuantumCanonical(temperature, mode_period=40.0)
    counted = Counted(Beads(lambda x: CRYSTAL.energy(CRYSTAL.right(), x)))
    soft = (0.8, CRYSTAL.sites, CRYSTAL.laplacian)
    guide = Beads(lambda x: CRYSTAL.energy(soft, x))
    trajectory = GuidedTrajectory(guide, ensemble, **steps(7.0, 5))
    proposal = NestedChain(BeadScreen(counted, guide, every=2), ensemble, [trajectory])

    def start(seed):
        return RingPolymer.collapsed(CRYSTAL.start(seed), n_beads)

    rings = Rings(proposal, BeadReference(counted), ensemble, start, n_samples, seeds)
    modes = [oscillator(w, 1.0, temperature, n_beads) for w in CRYSTAL.frequencies]
    potential = rings.series(lambda _, evaluation: evaluation.energy / n_beads)
    springs = rings.series(lambda ring, _: ring.spring_energy(temperature))
    free = 1.5 * (n_beads - 1) * BOLTZMANN * temperature
    found = {
        "U": (potential, 3.0 * sum(mode["U"] for mode in modes)),
        "S": (springs, 3.0 * sum(mode["S"] for mode in modes) + free),
    }
    assert len(counted.asked) < 0.85 * n_beads * len(seeds) * (n_samples + 50)
    return all_rows(found)


@case("ring polymers of light particles in skewed wells, displaced guide, swirling forces")
def light_wells(effort: float, seeds: Sequence[int]) -> list[Row]:
    n_beads, temperature = 5, 300.0
    masses = np.array([0.2, 0.4])
    ensemble = QuantumCanonical(temperature, fixed_centre_of_mass=False, mode_period=25.0)
    reference = Beads(lambda x: WELLS.energy(WELLS.right, x))
    guide = Beads(lambda x: WELLS.energy(WELLS.displaced, x), swirl=0.004)
    proposal = GuidedTrajectory(guide, ensemble, **steps(7.0, 5))

    def start(seed):
        return RingPolymer.collapsed(isolated(WELLS.start(seed).positions, masses), n_beads)

    rings = Rings(proposal, reference, ensemble, start, int(1800 * effort), seeds)
    assert_sharp(rings)
    a, b, w, _, trough = WELLS.right
    kt = WELLS.thermal_energy
    grid = np.linspace(-3.0, 3.0, 301)
    found = {}
    positions = rings.series(lambda ring, _: ring.bead_positions)
    for atom, mass in enumerate(masses):

        def well(x):
            return kt * (a * ((x / w) ** 2 - 1.0) ** 2 + b * x / w)

        line = LineOfBeads(well, mass, temperature, n_beads, grid)
        for power in (1, 2, 3):
            found[f"x^{power} of {mass} amu"] = (
                [(x[:, :, atom, 0] ** power).mean(axis=1) for x in positions],
                line.average(lambda x, k=power: x**k),
            )
        across = oscillator(np.sqrt(kt * trough / mass), mass, temperature, n_beads)
        found[f"y^2 + z^2 of {mass} amu"] = (
            [(x[:, :, atom, 1:] ** 2).mean(axis=(1, 2)) for x in positions],
            2.0 * across["U"] / (kt * trough),
        )
    return all_rows(found)


DEPTH, STIFFNESS, MINIMUM = 4.7445, 1.9426, 0.7414  # eV, 1/Å, Å: hydrogen
HYDROGEN_DEUTERIUM = np.array([1.00784, 2.01410])


def morse(distance, depth=DEPTH, stiffness=STIFFNESS, minimum=MINIMUM):
    return depth * (1.0 - jnp.exp(-stiffness * (distance - minimum))) ** 2


def dimer(positions, *parameters):
    return morse(jnp.sqrt(jnp.sum((positions[0] - positions[1]) ** 2)), *parameters)


def distances(ring, _):
    return np.linalg.norm(ring.bead_positions[:, 0] - ring.bead_positions[:, 1], axis=1)


def dimer_of_beads(guided: bool, effort: float, seeds: Sequence[int]) -> list[Row]:
    n_beads, temperature = 6, 500.0
    ensemble = QuantumCanonical(temperature, mode_period=7.5, fixed_centre_of_mass=guided)
    reference = Beads(dimer)
    if guided:
        guide = Beads(lambda x: dimer(x, 0.8 * DEPTH, STIFFNESS, MINIMUM + 0.02))
        proposal: Any = GuidedTrajectory(guide, ensemble, **steps(0.9, 6, segments=2))
        n_samples = 900
    else:
        proposal = StagingMove(temperature, length=3, displacement=0.15)
        n_samples = 5000

    def start(seed):
        pair = isolated(np.array([[0.0, 0.0, 0.0], [0.4, 0.4, 0.5]]), HYDROGEN_DEUTERIUM)
        return RingPolymer.collapsed(pair, n_beads)

    rings = Rings(proposal, reference, ensemble, start, int(effort * n_samples), seeds, burn_in=100)
    assert_sharp(rings)
    reduced = 1.0 / np.sum(1.0 / HYDROGEN_DEUTERIUM)
    grid = np.linspace(0.3, 1.8, 151)

    def potential(r):
        return np.asarray(morse(r))

    exact = DimerOfBeads(potential, reduced, temperature, n_beads, grid)
    energy = dimer_energy(potential, reduced, temperature, n_beads, grid)
    energy += 1.5 * BOLTZMANN * temperature
    assert energy > 1.5 * 3.5 * BOLTZMANN * temperature, "hardly quantum"
    measure = PathIntegrals(temperature)
    mean_potential = rings.series(lambda _, evaluation: evaluation.energy / n_beads)
    kinetic = rings.series(lambda r, e: measure.kinetic_energies(r, e).sum())
    springs = rings.series(lambda r, _: r.spring_energy(temperature))
    between = rings.series(distances)
    offset = 3.0 * n_beads * BOLTZMANN * temperature
    found = {
        "U": (mean_potential, exact.average(potential)),
        "virial": ([k + u for k, u in zip(kinetic, mean_potential, strict=True)], energy),
        "primitive": (
            [offset - s + u for s, u in zip(springs, mean_potential, strict=True)],
            energy,
        ),
        "r": ([r.mean(axis=1) for r in between], exact.average(lambda r: r)),
        "r squared": ([(r**2).mean(axis=1) for r in between], exact.average(lambda r: r**2)),
    }
    return all_rows(found)


@case("ring polymer of a Morse dimer of two isotopes, guide soft and too long", long=True)
def guided_dimer(effort: float, seeds: Sequence[int]) -> list[Row]:
    return dimer_of_beads(True, effort, seeds)


@case("ring polymer of a Morse dimer, plain staging", long=True)
def staged_dimer(effort: float, seeds: Sequence[int]) -> list[Row]:
    return dimer_of_beads(False, effort, seeds)
