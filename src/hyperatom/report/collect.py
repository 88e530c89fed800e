"""Reads a run directory into what a report shows."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.cell_averages import cell_averages
from hyperatom.analysis.density_map import DensityMap
from hyperatom.analysis.path_integrals import PathIntegrals, bead_radial_distribution
from hyperatom.analysis.radial_distribution import RadialDistribution, RadialDistributionResult
from hyperatom.analysis.reweighting import weights_of
from hyperatom.analysis.statistics import Estimate, estimate_mean
from hyperatom.campaign.assembly import load_configuration
from hyperatom.campaign.averages import Sampled, gather, weighed_energy
from hyperatom.campaign.certificate import Certificate, Check, certify
from hyperatom.campaign.chain_store import ChainStore, Seconds, Step
from hyperatom.campaign.ensemble import ensemble_of, in_words
from hyperatom.campaign.guide_chain import GuideChainStore
from hyperatom.campaign.noise import unbiased_energy
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.campaign.settings import Settings, load_settings
from hyperatom.campaign.states import States
from hyperatom.campaign.weighing import log_weights
from hyperatom.configuration import Configuration
from hyperatom.interchange.ase_atoms import to_ase
from hyperatom.references.label_store import LabelStore
from hyperatom.report.credits import citations_of_run
from hyperatom.report.data import (
    LEARN,
    PRODUCE,
    Ledger,
    ProposalTable,
    ReportData,
    SystemDescription,
)
from hyperatom.report.engines import cheap_calls, engine_in_words
from hyperatom.report.ladder import ladder_of
from hyperatom.report.space.scene import INSIDE, SMOOTHED, Scene, enclosing_level, smoothed
from hyperatom.ring_polymer import RingPolymer
from hyperatom.sampling.metropolis import ChainState
from hyperatom.sampling.quantum_canonical import as_ring
from hyperatom.trajectory import Kind, Trajectory
from hyperatom.units import BOLTZMANN

FARTHEST = 8.0
"""Å; radial distribution functions end here."""

FEWEST_FOR_DENSITY = 20
"""Samples below which a mean density is not drawn."""

FINEST_GRID = 60_000
"""Voxels of a mean density."""

SPREAD = 0.4
"""Nine atoms of ten within this part of the cell or less: they have places, as in a crystal."""

RECENT = 200
"""Configurations, the latest, that a live page averages over."""


def collect(path: Path, *, live: bool = False) -> ReportData:
    """All that the report of a run shows; writes nothing, so a run may be at work meanwhile.

    `live` is quicker: structure of the latest configurations alone, of learning where nothing
    counts yet, and averages that the guide's own chain has not sharpened.
    """
    directory = RunDirectory.open(path, lock=False)
    settings = load_settings(directory.input_text, str(directory.file("input.yaml")))
    start = load_configuration(directory.file("start.npz"))
    chain = ChainStore(directory.file("chain.db"), read_only=True)
    labels = LabelStore(directory.file("labels.db"), read_only=True)
    try:
        steps = chain.steps()
        engines = json.loads(chain.fact("engines") or "{}")
        first = settings.chains_at(0)
        produced = _produced(steps, first)
        weighed = weighed_energy(produced, start.n_atoms)
        states = States(labels, start)
        energy = weighed[0] if weighed else _energy(produced, settings, states)
        sampled = None if live else _sampled(directory, chain, settings)
        sharpened = sampled.energy(start.n_atoms) if sampled else None
        shown = _latest([step for step in steps if step.walker in first]) if live else produced
        visited = [states.after(walker) for walker in shown]
        configurations = _configurations(visited)
        counted = bool(produced) or not live
        kind: Kind = "reweighted" if weighed else "exact" if counted else "as given"
        logarithms = log_weights(shown)
        weights = None if logarithms is None else weights_of(np.concatenate(logarithms))
        structure = _structure(configurations, kind, weights)
        if sampled and structure:
            structure = sampled.distribution(structure, states)
        certificate = _certificate(directory)
        return ReportData(
            title=settings.title or f"{_formula(start)} at {settings.temperature:g} K",
            distribution=_distribution(settings, start, weighed is not None),
            system=SystemDescription(
                formula=_formula(start),
                n_atoms=start.n_atoms,
                cell=start.cell,
                temperature=settings.temperature,
                pressure=settings.pressure,
                beads=settings.beads,
                engine=engine_in_words(labels, engines, settings),
                versions=directory.header["versions"],
            ),
            proposals=_table(steps, settings, start.n_atoms),
            energy=energy,
            sharpened_energy=sharpened,
            radial_distribution=structure,
            ledger=_ledger(
                steps,
                chain.seconds(),
                energy,
                sharpened,
                cheap_calls(labels, engines),
            ),
            certificate=certificate,
            citations=citations_of_run(settings),
            input_text=directory.input_text,
            notes=_notes(chain, settings, energy, weighed[1].warning if weighed else ""),
            averages={} if live else _averages(settings, visited, kind, weights),
            scene=None if live else _scene(configurations, kind, weights),
            ladder=ladder_of(settings, start, steps),
            guide=settings.guide.kind,
        )
    finally:
        labels.close()
        chain.close()


def _produced(steps: Sequence[Step], chains: Collection[int]) -> list[list[Step]]:
    walkers: dict[int, list[Step]] = {}
    for step in steps:
        if step.phase == "produce" and step.walker in chains:
            walkers.setdefault(step.walker, []).append(step)
    return list(walkers.values())


def _latest(steps: Sequence[Step]) -> list[list[Step]]:
    """The latest steps that count, of each walker; while nothing counts, those of learning."""
    produced = [step for step in steps if step.phase == "produce"]
    walkers: dict[int, list[Step]] = {}
    for step in (produced or steps)[-RECENT:]:
        walkers.setdefault(step.walker, []).append(step)
    return list(walkers.values())


def _sampled(directory: RunDirectory, chain: ChainStore, settings: Settings) -> Sampled | None:
    path = directory.file("guide_chain.db")
    if not path.exists():
        return None
    store = GuideChainStore(path, read_only=True)
    try:
        return gather(chain, store, settings.temperature)
    finally:
        store.close()


def _energy(
    produced: Sequence[Sequence[Step]], settings: Settings, states: States
) -> Estimate | None:
    if not produced:
        return None
    if settings.reference.standard_errors:
        ensemble = ensemble_of(settings, states.start)

        def energy(step: Step) -> float:
            return unbiased_energy(settings, ensemble, states[step.state_label])
    else:

        def energy(step: Step) -> float:
            return step.state_energy

    series = [np.array([energy(step) for step in walker]) for walker in produced]
    return estimate_mean([one / states.start.n_atoms for one in series], "eV/atom", "exact")


def _averages(
    settings: Settings,
    walkers: Sequence[Sequence[ChainState]],
    kind: Kind,
    weights: NDArray[np.float64] | None,
) -> dict[str, Estimate]:
    """Of the cell where it moves, of quantum nuclei where there are beads."""
    if settings.pressure is not None:
        return cell_averages(_configurations(walkers), kind, weights)
    if settings.beads == 1 or not any(walkers):
        return {}
    states = [state for walker in walkers for state in walker]
    result = PathIntegrals(settings.temperature).compute(
        [as_ring(state.configuration) for state in states],
        [state.evaluation for state in states],
        _owners(walkers),
        kind,
    )
    return dict(result.observation.numbers)


def _configurations(walkers: Sequence[Sequence[ChainState]]) -> list[list[Configuration]]:
    return [[state.configuration for state in walker] for walker in walkers]


def _structure(
    walkers: Sequence[Sequence[Configuration]],
    kind: Kind,
    weights: NDArray[np.float64] | None = None,
) -> RadialDistributionResult | None:
    configurations = [one for walker in walkers for one in walker]
    if not configurations:
        return None
    rings = [one for one in configurations if isinstance(one, RingPolymer)]
    if rings:
        return bead_radial_distribution(rings, FARTHEST, walkers=_owners(walkers), kind=kind)
    return RadialDistribution(r_max=FARTHEST).compute(
        configurations, weights=weights, walkers=_owners(walkers), kind=kind
    )


def _owners(walkers: Sequence[Sequence[object]]) -> NDArray[np.int64]:
    return np.array([number for number, walker in enumerate(walkers) for _ in walker])


def _scene(
    walkers: Sequence[Sequence[Configuration]], kind: Kind, weights: NDArray[np.float64] | None
) -> Scene | None:
    """The latest sample of each walker; densities of species that keep to their places."""
    latest = {
        f"walker {number}, latest sample" if len(walkers) > 1 else "latest sample": walker[-1]
        for number, walker in enumerate(walkers)
    }
    if not latest:
        return None
    configurations = [one for walker in walkers for one in walker]
    first = configurations[0]
    densities = {}
    if first.periodic.all() and len(configurations) >= FEWEST_FOR_DENSITY:
        samples = Trajectory.from_configurations(
            configurations, walkers=_owners(walkers), weights=weights, kind=kind
        )
        spacing = max(0.1, (abs(np.linalg.det(first.cell)) / FINEST_GRID) ** (1.0 / 3.0))
        for species in samples.symbols[::-1]:
            found = DensityMap(species, spacing).compute(samples)
            density = smoothed(found.density, first.cell)
            if float((density >= enclosing_level(density)).mean()) < SPREAD:
                densities[species] = found
    caption = "Drag to turn, Ctrl and wheel to come nearer."
    if densities:
        caption = (
            f"Mean density over {len(configurations)} samples, smoothed by {SMOOTHED:g} Å; each "
            f"surface encloses {100 * INSIDE:g} % of the atoms of its species. {caption}"
        )
    return Scene(latest, densities, caption)


def _table(every: Sequence[Step], settings: Settings, n_atoms: int) -> ProposalTable:
    """Proposals of the first rung; calls are those of all."""
    made = np.cumsum([step.asked for step in every], dtype=np.int64)
    shown = [
        (step, calls)
        for step, calls in zip(every, made, strict=True)
        if step.phase != "start" and step.walker in settings.chains_at(0)
    ]
    steps = [step for step, _ in shown]
    thermal = BOLTZMANN * settings.temperature
    energies: dict[int, float] = {}
    delta_h, guide_error, energy = [], [], []
    for step in steps:
        if step.log_acceptance is not None and np.isfinite(step.log_ratio):
            delta_h.append(-thermal * step.log_acceptance)
        else:
            delta_h.append(np.nan)
        wrong = step.wrong(energies[step.walker]) if step.walker in energies else None
        guide_error.append(np.nan if wrong is None else 1.0e3 * wrong / n_atoms)
        energies[step.walker] = step.state_energy
        energy.append(step.state_energy)
    return ProposalTable(
        phase=np.array(
            [PRODUCE if step.phase == "produce" else LEARN for step in steps], dtype=np.str_
        ),
        walker=np.array([step.walker for step in steps]),
        calls=np.array([calls for _, calls in shown], dtype=np.int64),
        accepted=np.array([step.accepted for step in steps]),
        veto=np.array([step.veto for step in steps], dtype=np.str_),
        delta_h=np.array(delta_h),
        guide_error=np.array(guide_error),
        trajectory_length=np.array([step.record.get("length", 0.0) for step in steps]),
        energy=np.array(energy),
    )


def _ledger(
    steps: Sequence[Step],
    seconds: dict[tuple[int, int], Seconds],
    energy: Estimate | None,
    sharpened: Estimate | None,
    calls_cheap: int,
) -> Ledger:
    spent = sum(seconds.values(), Seconds())
    asked = sum(step.asked for step in steps if step.phase == "produce")

    def calls_per_sample(average: Estimate | None) -> float:
        return asked / average.n_effective if average and average.n_effective > 0 else np.nan

    return Ledger(
        calls_learn=sum(step.asked for step in steps if step.phase != "produce"),
        calls_produce=asked,
        failures=sum(bool(step.failure) for step in steps),
        cache_hits=0,
        seconds_guide=spent.guide,
        seconds_fit=spent.fit,
        seconds_reference=spent.reference,
        seconds_overhead=max(
            0.0, spent.total - spent.guide - spent.fit - spent.reference - spent.cheap
        ),
        calls_per_independent_sample=calls_per_sample(energy),
        calls_per_sharpened_sample=calls_per_sample(sharpened),
        calls_cheap=calls_cheap,
        seconds_cheap=spent.cheap,
    )


def _certificate(directory: RunDirectory) -> Certificate:
    try:
        return Certificate.from_json(directory.file("certificate.json").read_text())
    except FileNotFoundError:
        sentence = f"Run 'hyperatom verify {directory.path}' to put this run on trial."
        return certify((Check("verification", None, sentence),))


def _notes(
    chain: ChainStore, settings: Settings, energy: Estimate | None, overlap: str
) -> tuple[str, ...]:
    notes = []
    frozen = chain.frozen()
    if frozen is None:
        notes.append("Learning is not finished: nothing here is exact yet.")
    elif frozen.get("strategies"):
        notes.append(str(frozen["strategies"]))
    if settings.beads > 1:
        notes.append(
            f"One call is a ring of {settings.beads} beads, as many labels. Averages are those of "
            "so many beads; check that twice as many agree."
        )
    if energy is not None and energy.warning:
        notes.append(energy.warning)
    if overlap:
        notes.append(overlap)
    return tuple(notes)


def _distribution(settings: Settings, start: Configuration, weighed: bool) -> str:
    ensemble = f"The ensemble of the reference with {start.n_atoms} atoms, {in_words(settings)}."
    if len(settings.rungs) > 1:
        ensemble += (
            f" It is the first of the {len(settings.rungs)} rungs of a ladder, each of which "
            "samples its own ensemble exactly; neighbours exchange what they hold."
        )
    if any(rung.share < 1.0 for rung in settings.rungs):
        ensemble += (
            " Rungs with a lambda lie between the frozen guide (0) and the reference (1); the "
            "energies told of them are the reference's all the same."
        )
    if weighed:
        return (
            f"{ensemble} What was sampled is the ensemble of the frozen guide; each sample has the "
            "weight exp[-(U_reference - U_guide)/k_BT]. Averages are exact in the limit of many "
            "samples that overlap."
        )
    return (
        f"{ensemble} Each proposal is a path of guide trajectories with fresh Maxwell momenta; it "
        "is accepted on the reference's Hamiltonian with the kinetic energy at both ends of every "
        "trajectory, and a rejected proposal counts its old configuration again."
    )


def _formula(start: Configuration) -> str:
    return str(to_ase(start).get_chemical_formula())
