"""Liquid water with quantum nuclei, from first principles, from zero labels, on one machine.

    python examples/water_beads.py                 # 8 molecules, 8 beads, 300 K, GFN1-xTB
    python examples/water_beads.py --molecules 1 --beads 16
    python examples/water_beads.py --heavy         # D2O
    python examples/water_beads.py --quick         # one molecule, a few steps: does it run?

Ring-polymer self-learning hybrid Monte Carlo: a guide learns from the beads that the reference
judges; then it is frozen, and what it proposes from there on samples the quantum canonical ensemble
of the reference (of so many beads) exactly. One molecule floats in free space, more are a liquid at
1 g/cm^3 in a periodic cube. Every label goes to `labels.db` in the folder given, and is not paid
for again.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hyperatom.analysis.path_integrals import (
    PathIntegralResult,
    PathIntegrals,
    bead_radial_distribution,
)
from hyperatom.campaign.settings import GuideSettings
from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation
from hyperatom.potentials.families.linear_density import density_settings
from hyperatom.potentials.linear_density import LinearDensityModel, LinearDensityPotential
from hyperatom.potentials.linear_learner import LinearDensityLearner
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.bead_reference import BeadReference
from hyperatom.references.engines.tblite import GFN1_XTB
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference
from hyperatom.ring_polymer import RingPolymer
from hyperatom.sampling.exploring_trajectory import ExploringTrajectory
from hyperatom.sampling.guided_trajectory import GuidedTrajectory
from hyperatom.sampling.metropolis import ChainState, Transition, metropolis
from hyperatom.sampling.quantum_canonical import QuantumCanonical, as_ring
from hyperatom.structures.crystals import rattle

Note = Callable[[str], None]
MASS_OF_WATER = 18.015  # amu
BOND, ANGLE = 0.96, np.radians(104.5)  # Å


def water(n_molecules: int, heavy: bool, rng: np.random.Generator) -> Configuration:
    """One molecule in free space, or a periodic cube of them at 1 g/cm^3, turned at random."""
    half = 0.5 * ANGLE
    molecule = BOND * np.array(
        [[0.0, 0.0, 0.0], [np.sin(half), np.cos(half), 0.0], [-np.sin(half), np.cos(half), 0.0]]
    )
    numbers = np.tile([8, 1, 1], n_molecules)
    masses = np.tile([15.999, *(2 * [2.014 if heavy else 1.008])], n_molecules)
    if n_molecules == 1:
        return Configuration(numbers, molecule, np.zeros((3, 3)), np.zeros(3, bool), masses)
    edge = (n_molecules * MASS_OF_WATER / 0.602214) ** (1.0 / 3.0)
    side = int(np.ceil(n_molecules ** (1.0 / 3.0) - 1e-9))
    sites = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions: list[np.ndarray] = []
    for site in sites[:n_molecules] * edge / side:
        placed = best = None
        for _ in range(200):  # the turn that keeps hydrogens farthest from what is there
            turn, upper = np.linalg.qr(rng.standard_normal((3, 3)))
            placed = site + molecule @ (turn * np.sign(np.diag(upper)))
            others = np.concatenate([np.array(positions).reshape(-1, 3), sites[:0]])
            if not len(others):
                best = (0.0, placed)
                break
            apart = placed[:, None] - others
            apart -= edge * np.round(apart / edge)
            closest = float(np.linalg.norm(apart, axis=-1).min())
            if best is None or closest > best[0]:
                best = (closest, placed)
        assert best is not None
        positions.append(best[1])
    return Configuration(
        numbers, np.concatenate(positions), edge * np.eye(3), np.ones(3, dtype=bool), masses
    )


@dataclass
class RingRun:
    """Learn, freeze, produce: the whole method for ring polymers.

    | field       | unit | meaning                                                                |
    |-------------|------|------------------------------------------------------------------------|
    | `time_step` | fs   | of the guide                                                           |
    | `length`    | fs   | of a segment; momenta are drawn `segments` times along a path          |
    | `limit`     | k_BT | while learning, a path ends where the guide's error is predicted larger|
    """

    reference: BeadReference
    learner: LinearDensityLearner
    ensemble: QuantumCanonical
    start: RingPolymer
    seed: int = 1
    time_step: float = 0.7
    length: float = 100.0
    segments: int = 2
    limit: float = 1.5
    calls: int = 0
    state: ChainState = field(init=False)
    states: list[ChainState] = field(default_factory=list)
    judged: list[Transition] = field(default_factory=list)

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Ask for every bead; one call is one ring."""
        self.calls += 1
        return self.reference.evaluate(configuration)

    def close(self) -> None:
        """End the reference."""
        self.reference.close()

    @property
    def identity(self) -> str:
        """That of the reference."""
        return self.reference.identity

    def teach(self, configuration: Configuration, evaluation: Evaluation) -> None:
        """Every bead is a label."""
        ring = as_ring(configuration)
        for bead, forces in zip(
            ring.beads(), evaluation.forces.reshape(ring.bead_positions.shape), strict=True
        ):
            # The label of a bead is in the store: asking again costs nothing.
            label = self.reference.evaluate(bead)
            assert np.array_equal(label.forces, forces)
            self.learner.add(bead, label)

    def teach_displaced(self, ring: RingPolymer, width: float, rng: np.random.Generator) -> None:
        """Labels of beads moved a little, each on its own."""
        moved = np.stack([rattle(bead, width, rng).positions for bead in ring.beads()])
        displaced = RingPolymer.of_beads(ring.centroid(), moved)
        self.teach(displaced, self.evaluate(displaced))

    def propose(self, guide: LinearDensityPotential, segments: int) -> GuidedTrajectory:
        """The distribution of paths."""
        return GuidedTrajectory(
            guide, self.ensemble, self.time_step, self.length, segments, check_every=10
        )

    def learn(self, calls: int, wanted: float, note: Note) -> LinearDensityPotential:
        """Explore, freeze, stand a probation that counts for nothing, go back if it fails.

        The guide is frozen when `wanted` of the latest 16 full paths were accepted; in probation it
        must keep three quarters of that. Ends in any case when `calls` are spent.
        """
        rng = np.random.default_rng([self.seed, 0])
        for width in (0.02, 0.04, 0.06):
            self.teach_displaced(self.start, width, rng)
        self.state = ChainState(self.start, self.evaluate(self.start))
        segments = 1
        while True:
            segments = self.explore(calls, wanted, segments, rng, note)
            guide = self.learner.fit()
            if self.calls >= calls or self.passes_probation(guide, 0.75 * wanted, rng, note):
                return guide

    def explore(
        self, calls: int, wanted: float, segments: int, rng: np.random.Generator, note: Note
    ) -> int:
        """Move, ask, learn until the guide is good; returns the segments of its paths."""
        window: list[bool] = []
        kt = self.ensemble.thermal_energy
        ring = self.start
        while self.calls < calls:
            guide = self.learner.fit()
            noise = guide.inflation * guide.noise * np.sqrt(ring.atoms_per_bead / ring.n_beads)
            limit = max(self.limit * kt, 2.0 * noise)
            exploring = ExploringTrajectory(self.propose(guide, segments), limit)
            proposed = exploring.propose(self.state.configuration, rng)
            self.state, transition = metropolis(self.state, proposed, self, self.ensemble, rng)
            if transition.evaluation is not None:
                self.teach(proposed.configuration, transition.evaluation)
            elif proposed.veto is not None:
                self.teach_displaced(self.state.configuration, 0.03, rng)
            if proposed.record["full"]:
                window.append(transition.accepted)
            rate = float(np.mean(window[-16:])) if window else 0.0
            note(
                f"{proposed.record['length']:4.0f} fs, guide's error "
                f"{proposed.record['guide_error'] / kt:5.2f} kT, acceptance {rate:.2f}"
            )
            if len(window) >= 4 and rate >= 0.5 and segments < self.segments:
                segments += 1
                window = []
            elif len(window) >= 16 and rate >= wanted and segments == self.segments:
                break
        return segments

    def passes_probation(
        self, guide: LinearDensityPotential, wanted: float, rng: np.random.Generator, note: Note
    ) -> bool:
        """Does the frozen guide keep its acceptance over 16 proposals? They teach afterwards."""
        proposal = self.propose(guide, self.segments)
        seen: list[Transition] = []
        for _ in range(16):
            proposed = proposal.propose(self.state.configuration, rng)
            self.state, transition = metropolis(self.state, proposed, self, self.ensemble, rng)
            seen.append(transition)
            rate = float(np.mean([t.accepted for t in seen]))
            note(f"probation, acceptance {rate:.2f}")
        if rate >= wanted:
            return True
        for transition in seen:
            if transition.evaluation is not None:
                self.teach(transition.proposed.configuration, transition.evaluation)
        return False

    def produce(self, guide: LinearDensityPotential, proposals: int, note: Note) -> None:
        """Sample with the frozen guide; each state counts, rejected ones again."""
        rng = np.random.default_rng([self.seed, 1])
        proposal = self.propose(guide, self.segments)
        for _ in range(proposals):
            proposed = proposal.propose(self.state.configuration, rng)
            self.state, transition = metropolis(self.state, proposed, self, self.ensemble, rng)
            self.states.append(self.state)
            self.judged.append(transition)
            note(f"acceptance {self.acceptance:.2f}")

    @property
    def acceptance(self) -> float:
        """Of the production so far."""
        return float(np.mean([t.accepted for t in self.judged]))

    def averages(self, discard: int = 0) -> PathIntegralResult:
        """Energies, kinetic energies, sizes."""
        kept = self.states[discard:]
        return PathIntegrals(self.ensemble.temperature).compute(
            [s.configuration for s in kept], [s.evaluation for s in kept]
        )


def set_up(
    start: Configuration,
    n_beads: int,
    temperature: float,
    folder: Path,
    stack: ExitStack,
    workers: int = 2,
    cutoff: float = 4.5,
    **settings: object,
) -> RingRun:
    """A run on GFN1-xTB with the default guide; whatever is opened is closed with `stack`."""
    engine = AseReference.from_preset(GFN1_XTB, workers=workers, log_directory=folder / "engines")
    store = stack.enter_context(LabelStore(folder / "labels.db"))
    reference = BeadReference(StoredReference(engine, store), workers)
    stack.callback(reference.close)
    model = LinearDensityModel(density_settings(GuideSettings(cutoff=cutoff), start.species))
    ring = RingPolymer.collapsed(start, n_beads)
    model.reserve(ring)
    learner = LinearDensityLearner(model, start, energy_window=np.inf)
    return RingRun(reference, learner, QuantumCanonical(temperature), ring, **settings)  # type: ignore[arg-type]


def main() -> None:
    """Sample, and print averages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", type=int, default=8)
    parser.add_argument("--beads", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=300.0, help="K")
    parser.add_argument("--heavy", action="store_true", help="deuterium instead of hydrogen")
    parser.add_argument("--calls", type=int, default=120, help="at most, while learning")
    parser.add_argument("--proposals", type=int, default=60, help="of the frozen guide")
    parser.add_argument("--folder", type=Path, help="labels are kept here")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.molecules, options.beads, options.calls, options.proposals = 1, 4, 12, 4
    console = Console()
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        start = water(options.molecules, options.heavy, np.random.default_rng(options.seed))
        run = set_up(start, options.beads, options.temperature, folder, stack, seed=options.seed)
        progress = stack.enter_context(
            Progress(
                TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(),
                TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console,
            )
        )  # fmt: skip
        task = progress.add_task("learn", total=options.calls, note="")
        guide = run.learn(
            options.calls,
            0.6,
            lambda text: progress.update(task, completed=run.calls, note=text),
        )
        learned = run.calls
        task = progress.add_task("produce", total=options.proposals, note="")
        run.produce(
            guide, options.proposals, lambda text: progress.update(task, advance=1, note=text)
        )
    found = run.averages(discard=len(run.states) // 5)
    table = Table(title=f"{options.molecules} H2O, {options.beads} beads, {options.temperature} K")
    table.add_column("quantity")
    table.add_column("value", justify="right")
    for line, estimate in found.observation.numbers.items():
        table.add_row(line, str(estimate))
    pairs = bead_radial_distribution(
        [state.configuration for state in run.states], r_max=3.0, bins=60
    )
    if pairs.counts["O-H"].any():
        table.add_row("O-H first peak", str(pairs.first_peak("O-H").position))
    table.add_row("acceptance", f"{run.acceptance:.2f}")
    table.add_row("calls while learning", f"{learned} rings")
    console.print(table)


if __name__ == "__main__":
    main()
