"""What moves the atoms: a compiled potential, or a calculator asked step by step."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hyperatom.campaign.baseline import load_baseline
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import load_settings
from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics
from hyperatom.dynamics.compiled_dynamics import DynamicsPath
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.interchange.potential_formats import read_potential
from hyperatom.potentials.compiled_potential import CompiledPotential, errors_along
from hyperatom.potentials.corrected import corrected
from hyperatom.potentials.families.linear_density import density_settings
from hyperatom.potentials.fitted import FittedPotential
from hyperatom.potentials.fitted_files import load_fitted, read_header
from hyperatom.potentials.linear_density import LinearDensityModel, LinearDensityPotential
from hyperatom.simulation.rings import centroid
from hyperatom.simulation.settings import MotionSettings

GUIDE = "guide.npz"


class Mover(Protocol):
    """Forces, and the loop over time steps on them."""

    def identity(self) -> str:
        """Text that changes whenever an energy can."""
        ...

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Energy and forces."""
        ...

    def run(
        self,
        configuration: Configuration,
        momenta: NDArray[np.float64],
        time_step: float,
        n_steps: int,
        check_every: int,
        dynamics: Dynamics,
        first_step: int,
    ) -> DynamicsPath:
        """As `CompiledModel.run`."""
        ...

    def errors(self, configuration: Configuration, path: DynamicsPath) -> NDArray[np.float64]:
        """Predicted standard deviation of the energy at each checked point, eV; 0: unknown."""
        ...

    def close(self) -> None:
        """Release processes."""
        ...


@dataclass(frozen=True, eq=False)
class PotentialMover:
    """A potential in a compiled loop."""

    potential: CompiledPotential | LinearDensityPotential

    def identity(self) -> str:
        """Digest of the potential, and the arithmetic."""
        return f"{self.potential.digest()} {self.potential.model.precision}"

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Energy and forces."""
        return self.potential.evaluate(configuration)

    def run(
        self,
        configuration: Configuration,
        momenta: NDArray[np.float64],
        time_step: float,
        n_steps: int,
        check_every: int,
        dynamics: Dynamics,
        first_step: int,
    ) -> DynamicsPath:
        """As `CompiledModel.run`."""
        return self.potential.model.run(
            self.potential.parameters, configuration, momenta, time_step, n_steps, check_every,
            dynamics, first_step,
        )  # fmt: skip

    def errors(self, configuration: Configuration, path: DynamicsPath) -> NDArray[np.float64]:
        """Those of a guide; zero for potentials that do not know theirs."""
        return errors_along(self.potential, configuration, path)

    def close(self) -> None:
        """Nothing to release."""


@dataclass(frozen=True, eq=False)
class ReferenceMover:
    """First principles, one call a step: the baseline that everything else is measured against."""

    reference: Any

    def identity(self) -> str:
        """That of the reference."""
        return str(self.reference.identity)

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Energy and forces."""
        found: Evaluation = self.reference.evaluate(configuration)
        return found

    def run(
        self,
        configuration: Configuration,
        momenta: NDArray[np.float64],
        time_step: float,
        n_steps: int,
        check_every: int,
        dynamics: Dynamics,
        first_step: int,
    ) -> DynamicsPath:
        """As `CompiledModel.run`."""
        from hyperatom.dynamics.stepped_dynamics import run_stepwise

        def forces(positions: Any, cell: Any) -> tuple[float, Any, Any]:
            found = self.evaluate(configuration.with_cell(positions, cell))
            stress = found.stress
            if stress is None:
                if dynamics.integrator.changes_cell:
                    raise InputError(
                        "The calculator gives no stress, without which no cell can be rescaled.",
                        "Use an ensemble of constant volume.",
                    )
                return found.energy, found.forces, np.zeros((3, 3))
            xx, yy, zz, yz, xz, xy = stress * abs(np.linalg.det(cell))
            return found.energy, found.forces, np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])

        return run_stepwise(
            forces, configuration, momenta, time_step, n_steps, check_every, dynamics, first_step
        )

    def errors(self, configuration: Configuration, path: DynamicsPath) -> NDArray[np.float64]:  # noqa: ARG002
        """Zero: first principles do not know their errors."""
        return np.zeros(len(path.energies))

    def close(self) -> None:
        """End its processes."""
        self.reference.close()


def make_mover(
    settings: MotionSettings, configuration: Configuration, folder: Path, logs: Path | None
) -> Mover:
    """The mover that the settings name; paths are looked for relative to `folder`.

    Raises `InputError` where it is missing, unreadable, or does not know the species.
    """
    wanted = settings.potential
    if wanted.calculator is not None:
        return _reference(settings, configuration, logs)
    place = wanted.file if wanted.file is not None else settings.start
    assert place is not None
    path = folder / place
    if path.name == GUIDE:
        path = path.parent
    potential: CompiledPotential | LinearDensityPotential
    if (path / "chain.db").exists() or (path / GUIDE).exists():
        potential = _guide(path, settings.precision)
    else:
        given = read_potential(path, wanted.format, wanted.species, wanted.units)
        potential = given.in_precision(settings.precision)
    potential.model.reserve(configuration)
    return PotentialMover(potential)


def _guide(path: Path, precision: str) -> LinearDensityPotential | FittedPotential:
    directory = RunDirectory.open(path, lock=False)
    if not directory.file(GUIDE).exists():
        raise InputError(
            f"{path} has not frozen its guide yet.",
            f"Go on with 'hyperatom resume {path}' until it has.",
        )
    campaign = load_settings(directory.input_text, str(directory.file("input.yaml")))
    baseline = load_baseline(campaign, directory)
    if read_header(directory.file(GUIDE)) is not None:
        fitted = load_fitted(directory.file(GUIDE)).in_precision(precision)
        return fitted if baseline is None else corrected(baseline, fitted)
    with np.load(directory.file("start.npz"), allow_pickle=False) as start:
        species = tuple(int(number) for number in np.unique(start["numbers"]))
    wanted = density_settings(campaign.guide, species)
    lent = LinearDensityModel(wanted, campaign.guide.precision, baseline)
    guide = LinearDensityPotential.load(directory.file(GUIDE), lent)
    return replace(guide, model=guide.model.in_precision(precision))


def _reference(
    settings: MotionSettings, configuration: Configuration, logs: Path | None
) -> ReferenceMover:
    from hyperatom.references.ase_calculator import AseReference
    from hyperatom.references.bead_reference import BeadReference
    from hyperatom.references.engine_catalogue import find_engine

    wanted = settings.potential
    assert wanted.calculator is not None
    preset = find_engine(wanted.calculator, wanted.keywords, {})
    if lacking := preset.missing():
        raise InputError(
            f"The engine '{wanted.calculator}' lacks {lacking}.", f"Install it: {preset.install}"
        )
    reference = AseReference.from_preset(
        preset.prepared(centroid(configuration), None), threads=1, workers=1, log_directory=logs
    )
    return ReferenceMover(BeadReference(reference) if settings.beads > 1 else reference)


def exact_samples(path: Path, n_walkers: int, beads: int = 1) -> list[Configuration]:
    """Production states of a run, as far apart as they can be, one for each walker.

    With `beads` rings of as many: those of the run, or its classical atoms, rings of no extent. One
    bead of a run of rings is as good as another.

    Raises `InputError` where there are fewer samples, or rings of another number of beads, and
    `RunDirectoryError` where there is no run.
    """
    from hyperatom.campaign.assembly import load_configuration
    from hyperatom.campaign.counted import chain_labels, counted_steps
    from hyperatom.campaign.states import States, ring_of
    from hyperatom.references.label_store import LabelStore

    directory = RunDirectory.open(path, lock=False)
    there = load_settings(directory.input_text, str(directory.file("input.yaml"))).beads
    if beads > 1 and there not in (1, beads):
        raise InputError(
            f"{path} sampled rings of {there} beads, and {beads} are wanted here.",
            f"Write 'beads: {there}'.",
        )
    walkers = counted_steps(directory)
    keys = chain_labels(directory, walkers)
    if there == beads:
        keys = [step.state_label for walker in walkers for step in walker]
    if len(keys) < n_walkers:
        raise InputError(
            f"{path} holds {len(keys)} samples that count; {n_walkers} walkers want one each.",
            "Ask for fewer walkers, or let the run produce more.",
        )
    # The latest first, evenly spread: sample i stands for its share of the chain.
    chosen = [keys[int((i + 0.5) * len(keys) / n_walkers)] for i in range(n_walkers)]
    labels = LabelStore(directory.file("labels.db"), read_only=True)
    try:
        states = States(labels, load_configuration(directory.file("start.npz")))
        found = [states[key].configuration for key in chosen]
    finally:
        labels.close()
    return found if there == beads else [ring_of(one, beads) for one in found]
