"""Where a chain was: a key of its steps, as a configuration and what the reference said of it."""

from dataclasses import dataclass, replace

from hyperatom.configuration import Configuration
from hyperatom.references.label_store import LabelStore
from hyperatom.ring_polymer import RingPolymer
from hyperatom.sampling.metropolis import ChainState


@dataclass(frozen=True)
class States:
    """States of a run by their keys; `start` lends species, periodicity and masses."""

    labels: LabelStore
    start: Configuration

    def get(self, key: str) -> ChainState | None:
        """The state, bit for bit; None where its label is missing."""
        label = self.labels.get(key)
        if label is None:
            return None
        return ChainState(moved_to(self.start, label.configuration), label.evaluation)


def ring_of(start: Configuration, beads: int) -> Configuration:
    """What moves: a ring of so many beads, all in one place, for each atom; one: the atoms."""
    return start if beads == 1 else RingPolymer.collapsed(start, beads)


def moved_to(start: Configuration, there: Configuration) -> Configuration:
    """The atoms of `start`, or a ring of them, where a label has them.

    Masses are not part of a label's identity; those of the campaign move the atoms.
    """
    if isinstance(there, RingPolymer):
        return RingPolymer.of_beads(replace(start, cell=there.cell), there.bead_positions)
    return start.with_cell(there.positions, there.cell)


def mean_over_copies(state: ChainState) -> float:
    """The energy in eV; of a ring polymer the mean over its beads."""
    return state.evaluation.energy / state.configuration.n_copies
