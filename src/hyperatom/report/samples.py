"""The samples of a run directory as a trajectory: a Monte Carlo chain, without a clock."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hyperatom.analysis.reweighting import weights_of
from hyperatom.campaign.assembly import load_configuration
from hyperatom.campaign.counted import produced_steps
from hyperatom.campaign.ensemble import ensemble_of
from hyperatom.campaign.noise import unbiased_energy
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import load_settings
from hyperatom.campaign.weighing import log_weights
from hyperatom.errors import InputError, RunDirectoryError
from hyperatom.frames import Frames
from hyperatom.references.label import Label
from hyperatom.references.label_store import LabelStore
from hyperatom.references.ring_label import keys_of_beads
from hyperatom.sampling.metropolis import ChainState
from hyperatom.trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class LabelledFrames:
    """Frames that a run names by their labels, read from the label store when needed."""

    path: Path
    keys: tuple[str, ...] = field(repr=False)
    energy_of: Callable[[Label], float] = lambda label: label.evaluation.energy

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, start: int, stop: int, step: int) -> Frames:
        """The frames start, start + step, ... before stop."""
        store = LabelStore(self.path, read_only=True)
        try:
            found = {}
            for key in dict.fromkeys(self.keys[start:stop:step]):
                label = store.get(key)
                if label is None:
                    raise RunDirectoryError(
                        f"{self.path} lacks a label of the chain.", "Restore it from a copy."
                    )
                found[key] = label
        finally:
            store.close()
        labels = [found[key] for key in self.keys[start:stop:step]]
        stresses = [label.evaluation.stress for label in labels]
        given = [stress for stress in stresses if stress is not None]
        return Frames(
            np.stack([label.configuration.positions for label in labels]),
            np.stack([label.configuration.cell for label in labels]),
            forces=np.stack([label.evaluation.forces for label in labels]),
            energies=np.array([self.energy_of(label) for label in labels]),
            stresses=np.stack(given) if len(given) == len(labels) else None,
        )


@dataclass(frozen=True)
class Held:
    """What was held while sampling: `temperature` in K, `pressure` in GPa; None where unknown."""

    temperature: float | None = None
    pressure: float | None = None


def run_samples(path: Path, rung: int = 0) -> tuple[Trajectory, Held]:
    """What the frozen guide's proposals sampled, repeated where rejected; and what was held.

    Of each ring polymer one bead, in turn: all beads are distributed alike, and sampled together.
    Where samples of the guide were weighed, these, with their weights. Of a ladder what one `rung`
    sampled, from 0.

    Raises `RunDirectoryError` where production has not begun, and `InputError` for no such rung, or
    one between guide and reference.
    """
    directory = RunDirectory.open(path, lock=False)
    settings = load_settings(directory.input_text, str(directory.file("input.yaml")))
    if 0 <= rung < len(settings.rungs) and settings.rungs[rung].share < 1.0:
        raise InputError(
            f"Rung {rung} of {path} ({settings.rungs[rung]}) lies between guide and reference: "
            "averages over what it samples are not those of the reference.",
            f"Analyse the first rung: {path}.",
        )
    start = load_configuration(directory.file("start.npz"))
    walkers = produced_steps(directory, rung)
    keys = tuple(
        keys_of_beads(step.state_label)[number % settings.beads]
        for walker in walkers
        for number, step in enumerate(walker)
    )
    ensemble = ensemble_of(settings, start, rung)

    def energy(label: Label) -> float:
        state = ChainState(label.configuration, label.evaluation)
        return unbiased_energy(settings, ensemble, state)

    source = LabelledFrames(directory.file("labels.db"), keys, energy)
    owners = [walker for walker, counted in enumerate(walkers) for _ in counted]
    trajectory = Trajectory(
        start.numbers,
        start.masses,
        start.periodic,
        source,
        walkers=np.array(owners),
        kind="exact",
        origin=str(path),
    )
    logarithms = log_weights(walkers)
    if logarithms is not None:
        weights = weights_of(np.concatenate(logarithms))
        trajectory = replace(trajectory, weights=weights, kind="reweighted")
    held = settings.rungs[rung]
    return trajectory, Held(held.temperature, held.pressure)
