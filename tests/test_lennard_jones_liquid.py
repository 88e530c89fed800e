"""The Lennard-Jones liquid: energy and pressure against published values, by our own sampler."""

import numpy as np
import pytest

from hyperatom.analysis.statistics import Estimate, estimate_mean
from hyperatom.configuration import Configuration
from hyperatom.potentials.classical.lennard_jones import lennard_jones
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.metropolis import ChainState, metropolis
from hyperatom.units import BOLTZMANN
from liquid import fcc

EPSILON, SIGMA, CUTOFF = 0.0103, 3.4, 3.0  # eV, Å, sigma
TEMPERATURE = 0.85

# NIST Standard Reference Simulation Website (database 173): Monte Carlo of 500 particles at
# T* = 0.85, cut at 3 sigma with long-range corrections; density: energy, pressure.
PUBLISHED = {0.776: (-5.5121, 0.0067714), 0.860: (-6.0305, 1.2660)}


def liquid_averages(
    density: float, repeat: int, n_warm: int, n_samples: int, seed: int
) -> tuple[Estimate, Estimate, float]:
    """U*/N and p* with long-range corrections, and the acceptance, of 4 repeat^3 atoms.

    The guide is cut sooner and is one per cent too weak, on purpose.
    """
    n = 4 * repeat**3
    edge = SIGMA * (n / density) ** (1.0 / 3.0)
    rng = np.random.default_rng(seed)
    start = Configuration(
        [18] * n, fcc(repeat, edge / repeat) + rng.normal(0.0, 0.3, (n, 3)), edge * np.eye(3),
        [True] * 3, [39.948] * n,
    )  # fmt: skip
    reference = lennard_jones((18,), EPSILON, SIGMA, CUTOFF * SIGMA, "cut")
    guide = lennard_jones((18,), 0.99 * EPSILON, SIGMA, 2.5 * SIGMA)
    ensemble = Canonical(TEMPERATURE * EPSILON / BOLTZMANN)
    path = GuidedTrajectory(guide, ensemble, time_step=12.0, length=400.0)
    state = ChainState(start, reference.evaluate(start))
    energies, pressures, accepted = [], [], []
    for k in range(n_warm + n_samples):
        # The first trajectories melt the crystal, whatever they do to the energy.
        proposed = path.propose(state.configuration, rng)
        state, transition = metropolis(state, proposed, reference, ensemble, rng)
        if k >= n_warm:
            stress = state.evaluation.stress
            assert stress is not None
            accepted.append(transition.accepted)
            energies.append(state.evaluation.energy / n / EPSILON)
            pressures.append(density * TEMPERATURE - stress[:3].mean() * SIGMA**3 / EPSILON)
    third = CUTOFF**-3
    tail_energy = 8.0 / 3.0 * np.pi * density * (third**3 / 3.0 - third)
    tail_pressure = 16.0 / 3.0 * np.pi * density**2 * (2.0 * third**3 / 3.0 - third)
    return (
        estimate_mean(np.array(energies) + tail_energy, "", "exact"),
        estimate_mean(np.array(pressures) + tail_pressure, "", "exact"),
        float(np.mean(accepted)),
    )


def agrees(found: Estimate, published: float, finite_size: float) -> bool:
    """Within four standard errors and what so few atoms may be off."""
    return abs(found.value - published) < 4.0 * found.error + finite_size


@pytest.mark.slow
def test_energy_and_pressure_of_the_liquid() -> None:
    """108 atoms, a short chain: the energy to half a per cent."""
    energy, pressure, acceptance = liquid_averages(0.776, 3, 40, 80, 1)
    assert acceptance > 0.3
    assert energy.error < 0.03
    assert agrees(energy, PUBLISHED[0.776][0], 0.01)
    assert agrees(pressure, PUBLISHED[0.776][1], 0.02)


@pytest.mark.slow
@pytest.mark.parametrize("density", list(PUBLISHED))
def test_energy_and_pressure_of_256_atoms(density: float) -> None:
    energy, pressure, _ = liquid_averages(density, 4, 250, 500, 4)
    published = PUBLISHED[density]
    assert energy.error < 0.01
    assert pressure.error < 0.05
    assert agrees(energy, published[0], 0.005)
    assert agrees(pressure, published[1], 0.01)
