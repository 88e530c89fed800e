"""The assembly that all potentials share, with a pair energy and a long-range energy of its own."""

import jax.numpy as jnp
import numpy as np
import pytest

from hyperatom.errors import InputError
from hyperatom.potentials.combined_potentials import total
from hyperatom.potentials.compiled_potential import CompiledModel, CompiledPotential
from potential_suite import CASES, check_cutoff, check_physics, make_configuration

CUTOFF = 4.0


def pair_energy(parameters, displacements, species, slots):
    """A smooth attraction whose strength depends on both species."""
    squared = jnp.sum(displacements**2, axis=0)
    window = jnp.maximum(1.0 - squared / CUTOFF**2, 0.0)
    of_slot = np.repeat(np.arange(len(slots)), slots)
    return -0.5 * jnp.sum(parameters[species][:, of_slot] * window**3, axis=1)


class Breathing:
    """sin^2(pi x / L) summed over atoms and directions, an energy of all positions and the cell."""

    def prepare(self, configuration):
        return np.array([1.0 if configuration.periodic.all() else 0.0])

    def energy(self, parameters, positions, cell, displacements, species, slots, prepared):
        fractional = positions @ jnp.linalg.inv(cell + jnp.eye(3) * (1.0 - prepared[0]))
        relative = fractional[:, None] - fractional[None]
        return prepared[0] * jnp.sum(jnp.sin(jnp.pi * relative) ** 2) / len(positions)


STRENGTHS = np.array([[1.0, 0.6], [0.6, 0.3]])
LOCAL = CompiledPotential(CompiledModel((8, 1), CUTOFF, pair_energy), STRENGTHS, "windows")
LONG = CompiledPotential(CompiledModel((8, 1), CUTOFF, None, Breathing()), (), "breathing")
BOTH = total([LOCAL, LONG])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("potential", [LOCAL, BOTH], ids=["local", "with long range"])
def test_physics(potential, case):
    check_physics(potential, case, spacing=2.0, extensive=potential is LOCAL)


def test_a_local_energy_ends_at_the_cutoff():
    check_cutoff(LOCAL)


def test_a_total_is_the_sum_of_its_parts():
    here = make_configuration((8, 1), "triclinic", 2.0)
    parts = [potential.evaluate(here) for potential in (LOCAL, LONG)]
    whole = BOTH.evaluate(here)
    assert whole.energy == pytest.approx(sum(part.energy for part in parts), abs=1e-12)
    np.testing.assert_allclose(whole.forces, sum(part.forces for part in parts), atol=1e-12)
    np.testing.assert_allclose(whole.stress, sum(part.stress for part in parts), atol=1e-12)
    assert BOTH.digest() != LOCAL.digest()


def test_what_it_does_not_know_is_named():
    here = make_configuration((8, 14), "isolated", 2.0)
    with pytest.raises(InputError, match="knows nothing of Si"):
        LOCAL.evaluate(here)
    other = CompiledPotential(CompiledModel((1, 8), CUTOFF, pair_energy), STRENGTHS, "other order")
    with pytest.raises(InputError, match="same species"):
        total([LOCAL, other])
