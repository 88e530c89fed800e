"""The label of a ring polymer: those of its beads, which are what is paid for and stored.

A ring's key is the keys of its beads in their order round the ring, so that a chain that names it
names its beads, and the store keeps each bead once.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.references.bead_reference import sum_over_beads
from hyperatom.references.label import Label, label_key
from hyperatom.ring_polymer import RingPolymer

_BETWEEN: Final = "+"


def key_of(configuration: Configuration, identity: str) -> str:
    """The key of a ring polymer, or of a plain configuration."""
    if not isinstance(configuration, RingPolymer):
        return label_key(configuration, identity)
    return _BETWEEN.join(label_key(bead, identity) for bead in configuration.beads())


def keys_of_beads(key: str) -> list[str]:
    """The keys of a ring's beads; of anything else its own."""
    return key.split(_BETWEEN)


def label_of_ring(labels: Sequence[Label]) -> Label:
    """The label of a ring from those of its beads: energy and stress are sums over them."""
    positions = np.stack([label.configuration.positions for label in labels])
    return replace(
        labels[0],
        key=_BETWEEN.join(label.key for label in labels),
        configuration=RingPolymer.of_beads(labels[0].configuration, positions),
        evaluation=sum_over_beads([label.evaluation for label in labels]),
        seconds=sum(label.seconds for label in labels),
    )
