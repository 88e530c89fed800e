"""Where a chain was: a key of its steps, as a configuration and what the reference said of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hyperatom.campaign.chain_store import Step
from hyperatom.configuration import Configuration
from hyperatom.errors import RunDirectoryError
from hyperatom.evaluation import Evaluation
from hyperatom.references.label_store import LabelStore
from hyperatom.ring_polymer import RingPolymer
from hyperatom.sampling.metropolis import ChainState


@dataclass(frozen=True)
class States:
    """States of a run by their keys; `start` lends the masses of its atoms."""

    labels: LabelStore
    start: Configuration

    def get(self, key: str) -> ChainState | None:
        """The state, bit for bit; None where its label is missing."""
        label = self.labels.get(key)
        if label is None:
            return None
        # Masses are not part of a label's identity; those of the campaign move the atoms.
        there = label.configuration
        masses = np.tile(self.start.masses, there.n_copies)
        return ChainState(replace(there, masses=masses), label.evaluation)

    def __getitem__(self, key: str) -> ChainState:
        """The same; raises `RunDirectoryError` where its label is missing."""
        state = self.get(key)
        if state is None:
            raise RunDirectoryError(
                f"{self.labels.path} lacks a state of the chain.", "Restore it from a copy."
            )
        return state

    def after(self, steps: Sequence[Step]) -> list[ChainState]:
        """The state after each step; one that was kept is read once. Errors as above."""
        known = {key: self[key] for key in {step.state_label for step in steps}}
        return [known[step.state_label] for step in steps]


def ring_of(start: Configuration, beads: int) -> Configuration:
    """What moves: a ring of so many beads, all in one place, for each atom; one: the atoms."""
    return start if beads == 1 else RingPolymer.collapsed(start, beads)


def mean_over_copies(configuration: Configuration, evaluation: Evaluation) -> float:
    """The energy in eV; of a ring polymer the mean over its beads."""
    return evaluation.energy / configuration.n_copies
