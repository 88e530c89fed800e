"""Where a chain was: a key of its steps, as a configuration and what the reference said of it."""

from dataclasses import dataclass

from hyperatom.configuration import Configuration
from hyperatom.references.label_store import LabelStore
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
        # Masses are not part of a label's identity; those of the campaign move the atoms.
        there = label.configuration
        configuration = self.start.with_cell(there.positions, there.cell)
        return ChainState(configuration, label.evaluation)
