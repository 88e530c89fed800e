"""Acceptance in stages over the beads: some are asked about first, and may already say no.

    E_screen = sum_j V(r_j) + (P / |B|) sum_{j in B} [U(r_j) - V(r_j)]

with U the reference, V the guide and B every n-th bead of the ring. What the guide gets wrong is
nearly the same on neighbouring beads, so that a few of them know most of it. As the inner judge of
a `NestedChain` (delayed acceptance) over a ring trajectory, a screen spares the other beads of
proposals that it refuses; as a function of the ring alone it leaves the last judgement exact.
"""

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Potential, Reference
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.ring_polymer import RingPolymer


class BeadScreen:
    """A cheap `Reference` for ring polymers: it asks about every `every`-th bead.

    Over a `StoredReference`, what a screen asked costs the judge nothing. Raises `InputError` where
    `every` is no divisor of the number of beads, or not positive.
    """

    def __init__(self, reference: Reference, guide: Potential, every: int) -> None:
        self.reference = reference
        self.guide = guide
        self.every = every

    @property
    def identity(self) -> str:
        """That of the reference, and how many beads are asked about."""
        return f"{self.reference.identity}, every bead number {self.every}"

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Energy (eV) and forces (eV/Å) of the screen; raises what the reference raises."""
        n_beads = configuration.n_copies
        if self.every < 1 or n_beads % self.every or not isinstance(configuration, RingPolymer):
            raise InputError(
                f"Every bead number {self.every} of {n_beads} was to be asked about first.",
                "Choose a divisor of the number of beads of a ring polymer.",
            )
        guessed = self.guide.evaluate(configuration)
        energy = guessed.energy
        forces = guessed.forces.reshape(configuration.bead_positions.shape).copy()
        for number, bead in enumerate(configuration.beads()):
            if number % self.every:
                continue
            found, thought = self.reference.evaluate(bead), self.guide.evaluate(bead)
            energy += self.every * (found.energy - thought.energy)
            forces[number] += self.every * (found.forces - thought.forces)
        return Evaluation(float(energy), np.reshape(forces, (-1, 3)), origin="screen of some beads")

    def close(self) -> None:
        """Close the reference."""
        self.reference.close()
