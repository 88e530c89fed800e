"""Plain path-integral Monte Carlo: staging bridges and rigid displacements, without any guide.

A bridge cuts a piece out of the ring of one atom and draws it anew from the free ring between its
ends (Levy's construction; Pollock and Ceperley, Phys. Rev. B 30, 2555 (1984); staging: Sprik, Klein
and Chandler, Phys. Rev. B 31, 4234 (1985)). With s beads still to be drawn after a bead at r, and
the far end at e,

    next bead ~ N[ (s r + e) / (s + 1),  sigma^2 s / (s + 1) ],     sigma^2 = k_B T / m omega_P^2

so that q(x -> x') is proportional to exp[-S(x') / k_B T] with all else held, and the log ratio
log[q(x' -> x) / q(x -> x')] = [S(x') - S(x)] / k_B T takes the springs out of the acceptance: what
is left is exp[-(beta / P) sum_j dU_j] over the beads that moved. A displacement moves the whole
ring of one atom by a uniform random vector: symmetric, springs unchanged, log ratio 0.
"""

from dataclasses import dataclass

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.errors import InputError
from hyperatom.ring_polymer import ring_frequency
from hyperatom.sampling.quantum_canonical import as_ring
from hyperatom.units import BOLTZMANN


@dataclass(frozen=True)
class StagingMove:
    """Draws a piece of the ring of one atom anew, or displaces that ring as a whole.

    | field          | unit | meaning                                                              |
    |----------------|------|----------------------------------------------------------------------|
    | `temperature`  | K    | of the ensemble                                                      |
    | `length`       | -    | beads drawn anew in a bridge, fewer than the ring has                |
    | `displacement` | Å    | half width of the cube of displacements                              |
    | `bridges`      | -    | probability of a bridge; always a displacement with one bead         |

    Which move, which atom and where the bridge begins are drawn without looking at the state.
    Nothing is held fixed: let the centre of mass go free in the ensemble.
    """

    temperature: float
    length: int
    displacement: float
    bridges: float = 0.5

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: the change of the springs over k_B T for a bridge, 0 for a displacement.

        Raises `InputError` for a bridge as long as the ring.
        """
        ring = as_ring(configuration)
        n_beads = ring.n_beads
        if n_beads > 1 and not 1 <= self.length < n_beads:
            raise InputError(
                f"A bridge of {self.length} beads does not fit into a ring of {n_beads}.",
                f"Choose a length from 1 to {n_beads - 1}.",
            )
        positions = ring.bead_positions.copy()
        atom = int(rng.integers(ring.atoms_per_bead))
        if n_beads == 1 or rng.random() >= self.bridges:
            positions[:, atom] += rng.uniform(-self.displacement, self.displacement, 3)
            moved = ring.with_positions(positions.reshape(-1, 3))
            return Proposed(moved, 0.0, None, {"move": "displacement", "atom": atom})
        first = int(rng.integers(n_beads))
        thermal_energy = BOLTZMANN * self.temperature
        stiffness = ring.bead_masses[atom] * ring_frequency(n_beads, self.temperature) ** 2
        here = positions[first, atom]
        end = positions[(first + self.length + 1) % n_beads, atom].copy()
        for step in range(self.length):
            left = self.length - step
            width = np.sqrt(thermal_energy / stiffness * left / (left + 1))
            here = (left * here + end) / (left + 1) + width * rng.standard_normal(3)
            positions[(first + 1 + step) % n_beads, atom] = here
        bridged = ring.with_positions(positions.reshape(-1, 3))
        change = bridged.spring_energy(self.temperature) - ring.spring_energy(self.temperature)
        record = {"move": "bridge", "atom": atom, "first": first, "length": self.length}
        return Proposed(bridged, change / thermal_energy, None, record)
