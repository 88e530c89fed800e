"""What a reference adds to averages of a potential: closed forms, quadrature, honest error bars."""

import numpy as np
import pytest

from hyperatom.analysis.free_energy_difference import free_energy_difference
from hyperatom.errors import InputError
from hyperatom.units import BOLTZMANN

ATOMS = 20
DEGREES = 3 * ATOMS
KELVINS = (200.0, 400.0, 600.0, 800.0)


def springs(reference, seed, n_frames, correlated=1):
    """Frames of unit springs and what `reference` makes of their (n_frames, DEGREES) in eV."""
    rng = np.random.default_rng(seed)
    frames = {}
    for kelvin in KELVINS:
        x = np.sqrt(BOLTZMANN * kelvin) * rng.normal(size=(n_frames // correlated, DEGREES))
        x = np.repeat(x, correlated, axis=0)
        frames[kelvin] = 0.5 * (x**2).sum(axis=1), reference(x)
    return free_energy_difference(frames, ATOMS, "exact")


def test_springs_that_are_too_soft_and_a_zero_that_is_off():
    """Springs of any stiffness have one energy and heat capacity; the zero moves the energy."""
    found = springs(lambda x: 0.515 * (x**2).sum(axis=1) + 0.2, 1, 60)
    assert found.n_frames == 60
    assert found.departure < 2.0
    for kelvin in KELVINS:
        energy, capacity = found.energy(kelvin), found.heat_capacity(kelvin)
        assert energy.unit == "eV/atom"
        assert energy.error < 1e-3 * BOLTZMANN * kelvin * DEGREES
        assert energy.value == pytest.approx(0.2 / ATOMS, abs=3.0 * energy.error)
        assert capacity.unit == "k_B/atom"
        assert capacity.error < 0.01
        assert abs(capacity.value) < 3.0 * capacity.error
        assert capacity.kind == "exact"


@pytest.mark.parametrize(("n_frames", "told"), [(60, 0.02), (4000, 0.01)])
def test_a_reference_that_is_stiffer_farther_out(n_frames, told):
    """U = x^2/2 + q x^4: averages by quadrature; 60 frames tell C_V to a hundredth of k_B."""
    quartic = 0.1  # 1/eV
    found = springs(lambda x: (0.5 * x**2 + quartic * x**4).sum(axis=1), 3, n_frames)

    def exact(kelvin):
        thermal = BOLTZMANN * kelvin
        x = np.linspace(-9.0, 9.0, 4001) * np.sqrt(thermal)
        energy = 0.5 * x**2 + quartic * x**4
        weight = np.exp(-energy / thermal) / np.exp(-energy / thermal).sum()
        mean = float(weight @ energy)
        return mean - 0.5 * thermal, float(weight @ (energy - mean) ** 2) / thermal**2 - 0.5

    for kelvin in KELVINS:
        moved, capacity = (DEGREES / ATOMS * one for one in exact(kelvin))
        energy, heat_capacity = found.energy(kelvin), found.heat_capacity(kelvin)
        # What the parabola leaves out is a tenth; without the second order it would be a third.
        for one, right in ((energy, moved), (heat_capacity, capacity)):
            doubt = 3.0 * one.error if n_frames < 1000 else 0.0
            assert one.value == pytest.approx(right, abs=doubt + 0.12 * abs(right))
        assert heat_capacity.error < told
    assert capacity < -4.0 * heat_capacity.error
    # A line through the mean energies: of two temperatures, the difference over k_B dT.
    cold, hot = KELVINS[0], KELVINS[-1]
    weights = np.array([-1.0, 1.0]) / (BOLTZMANN * (hot - cold))
    slope = found.slope(weights, np.array([cold, hot]))
    between = (found.energy(hot).value - found.energy(cold).value) / (BOLTZMANN * (hot - cold))
    assert slope.value == pytest.approx(between)
    assert slope.error < told


def test_error_bars_are_those_of_many_repetitions():
    """Also where each frame stands four times in a row, as of a run looked at too often."""
    for correlated in (1, 4):
        found = [
            springs(lambda x: (0.5 * x**2 + 0.1 * x**4).sum(axis=1), seed, 120, correlated)
            for seed in range(40)
        ]
        told = [one.heat_capacity(600.0) for one in found]
        spread = np.std([one.value for one in told], ddof=1)
        error = np.sqrt(np.mean([one.error**2 for one in told]))
        assert 0.7 < error / spread < 1.6, correlated
        assert np.mean([one.departure for one in found]) < 2.0, correlated


def test_a_jump_between_phases_is_told():
    """Frames whose energies differ by another constant above 500 K: no parabola, wide errors."""
    rng = np.random.default_rng(2)
    frames = {}
    for kelvin in (*KELVINS, 1000.0):
        ours = 0.5 * BOLTZMANN * kelvin * (rng.normal(size=(100, DEGREES)) ** 2).sum(axis=1)
        frames[kelvin] = ours, ours + (0.5 if kelvin > 500.0 else 0.0) + 0.01 * rng.normal(size=100)
    found = free_energy_difference(frames, ATOMS, "exact")
    assert found.departure > 100.0
    capacity = found.heat_capacity(600.0)
    assert capacity.error > 0.1
    assert abs(capacity.value) < 5.0 * capacity.error


def test_a_potential_that_is_its_own_reference_and_one_temperature():
    same = springs(lambda x: 0.5 * (x**2).sum(axis=1), 0, 12)
    assert same.heat_capacity(300.0).value == pytest.approx(0.0, abs=1e-9)
    assert same.energy(300.0).error == pytest.approx(0.0, abs=1e-9)
    energies = np.arange(5.0)
    with pytest.raises(InputError, match="frames at 1"):
        free_energy_difference({300.0: (energies, energies)}, 1, "exact")
