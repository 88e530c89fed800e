"""From the runs of a study to one page, and the tables and grids beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hyperatom.analysis.density_map import DensityMap, DensityMapResult
from hyperatom.analysis.observation import Observation
from hyperatom.errors import InputError
from hyperatom.report.comparison import Experiment, read_experiment, svg, write_comparison
from hyperatom.report.space.scene import INSIDE, Scene, inline_scene
from hyperatom.studies.observations import (
    Told,
    diffusion,
    energies,
    harmonic,
    heat_capacity,
    minima,
)
from hyperatom.studies.pictures import draw_densities, draw_heat_capacities, draw_perpendicular
from hyperatom.studies.reference_check import ask_the_reference
from hyperatom.studies.samples import samples_of
from hyperatom.studies.series import Member, build_member
from hyperatom.studies.six_dimensions import Lifted, lift_runs, phason_jumps
from hyperatom.studies.study import Study

GHOSTS = " Rings are sites of six dimensions outside the windows, by how much atoms were there."


@dataclass
class Findings:
    """All that a study has found, by member; `problems` are sentences on what to beware of."""

    observations: dict[str, dict[str, Observation]] = field(default_factory=dict)
    densities: dict[str, dict[float, DensityMapResult]] = field(default_factory=dict)
    lifted: dict[str, list[Lifted]] = field(default_factory=dict)
    scenes: dict[str, Scene] = field(default_factory=dict)
    n_atoms: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, name: str, member: str, observed: Observation) -> None:
        """Keep an observation."""
        self.observations.setdefault(name, {})[member] = observed

    def lines(self) -> list[str]:
        """The main numbers, one line each."""
        found = []
        for name, observed in self.observations.get("heat-capacity", {}).items():
            slope = observed.numbers["slope over all temperatures"]
            limit = harmonic(self.n_atoms[name])
            found.append(
                f"{name}: C_V = {slope} by the slope of the energy; harmonic: {limit:.4f} k_B/atom"
            )
            key = "slope over all temperatures, of the reference"
            if key in observed.numbers:
                found.append(f"{name}: C_V = {observed.numbers[key]} for the reference's energy")
            key = "inherent structures, over all temperatures"
            if key in observed.numbers:
                found.append(f"{name}: of which inherent structures {observed.numbers[key]}")
        return found + self.problems


def investigate(study: Study, told: Told) -> Findings:
    """All observables of a study whose runs are finished."""
    found = Findings()
    for member in study.members():
        _investigate(study, member, found, told)
    return found


def _investigate(study: Study, member: Member, found: Findings, told: Told) -> None:
    settings, name = study.settings, member.name
    parts = study.runs(member.settings)
    runs = [(part.kelvin, samples_of(part, settings)) for part in parts]
    found.n_atoms[name] = member.configuration.n_atoms
    if member.settings.relax is not None:
        found.problems.append(_relaxed(study, member))
    if n_further := study.n_further(member.settings):
        found.problems.append(
            f"{name}: the guide was not sure at {n_further} places on the way; the reference was "
            "asked there, and all trajectories are those of the guide that knows them."
        )
    below, problems = minima(parts, settings, told)
    found.problems += problems
    reference = ask_the_reference(study, parts, runs, told)
    told(0.0, f"heat capacity of {name}")
    found.add("heat-capacity", name, heat_capacity(runs, below, reference))
    found.add("energy", name, energies(runs, below))
    told(0.3, f"density of {name}")
    species = runs[0][1].symbols
    hottest: dict[str, DensityMapResult] = {}
    for symbol in ("all", *species) if len(species) > 1 else species:
        maps = {t: DensityMap(symbol, settings.maps.spacing).compute(one) for t, one in runs}
        if symbol == "all" or len(species) == 1:
            found.densities[name] = maps
        if symbol != "all":
            hottest[symbol] = maps[runs[-1][0]]
        for kelvin, one in maps.items():
            one.to_cube(study.path / member.settings.folder / f"density-{symbol}-{kelvin:g}K.cube")
    frames = {"start": member.configuration} | {
        f"{kelvin:g} K, last frame": one.configuration(len(one) - 1) for kelvin, one in runs
    }
    found.scenes[name] = Scene(
        frames,
        hottest,
        f"Isosurfaces of the mean density at {runs[-1][0]:g} K, which enclose {INSIDE:.0%} of the "
        "atoms of a species: where they join, atoms have moved from place to place.",
    )
    if settings.method == "exact":
        found.problems.append(
            f"{name}: exact chains follow no clock, so that diffusion and jumps are left out; a "
            "dynamic study shows them."
        )
        return
    told(0.6, f"diffusion of {name}")
    constants, displacement = diffusion(runs)
    found.add("diffusion", name, constants)
    if not constants.numbers:
        found.problems.append(
            f"{name}: nothing diffuses within the runs; the table of D has upper bounds."
        )
    found.add("displacement", name, displacement)
    if member.approximant is not None:
        told(0.8, f"six dimensions of {name}")
        try:
            found.lifted[name] = lift_runs(member.approximant, runs, settings.maps)
        except InputError as problem:
            found.problems.append(f"{name} could not be lifted: {problem.problem}")
            return
        found.add("phason-jumps", name, phason_jumps(found.lifted[name], runs[0][1].kind))


def _relaxed(study: Study, member: Member) -> str:
    wanted = member.settings.relax
    assert wanted is not None
    before, now = build_member(member.settings, study.path).configuration, member.configuration
    edges = ", ".join(f"{edge:.3f}" for edge in np.linalg.norm(now.cell, axis=1))
    return (
        f"{member.name} was relaxed first, to {wanted.force:g} eV/Å: volume "
        f"{now.volume / before.volume - 1.0:+.2%}, edges of the cell {edges} Å."
    )


def write_page(study: Study, found: Findings) -> Path:
    """`report.html` with everything inside, and CSV and JSON of each observable; the page."""
    measured = {
        name: [read_experiment(Path(one)) for one in files]
        for name, files in study.settings.experiment.items()
    }
    for name, by_member in found.observations.items():
        for member, observed in by_member.items():
            stem = f"{name}-{_folder(study, member)}"
            observed.to_csv(study.path / f"{stem}.csv")
            observed.to_json(study.path / f"{stem}.json")
    page = study.path / "report.html"
    write_comparison(
        found.observations,
        page,
        measured,
        title=study.settings.title or "Heat capacity",
        pictures=_pictures(found, measured),
        first=[_summary(found)],
        last=[*_densities(found), *_spaces(found), *_six_dimensions(found)],
    )
    return page


def _pictures(found: Findings, measured: Mapping[str, list[Experiment]]) -> dict[str, Figure]:
    name = "heat-capacity"
    return {
        name: draw_heat_capacities(found.observations[name], found.n_atoms, measured.get(name, ()))
    }


def _summary(found: Findings) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in found.lines())
    return f"<section><h2>In short</h2><ul>{lines}</ul></section>"


def _densities(found: Findings) -> list[str]:
    return [
        f"<section><h2>Density of the atoms, {escape(name)}</h2><figure>"
        f'<div class="wide">{svg(draw_densities(maps, found.lifted.get(name, ())))}</div>'
        "<figcaption>Averaged over the run and along the shortest edge."
        f"{GHOSTS if name in found.lifted else ''} Grids of each species at each temperature: "
        "density-*.cube in the folder of the member.</figcaption></figure></section>"
        for name, maps in found.densities.items()
    ]


def _spaces(found: Findings) -> list[str]:
    return [
        f"<section><h2>In space: {escape(name)}</h2>"
        f"{inline_scene(scene, f'space-{number}', again=number > 0)}</section>"
        for number, (name, scene) in enumerate(found.scenes.items())
    ]


def _six_dimensions(found: Findings) -> list[str]:
    return [
        f"<section><h2>Perpendicular space of {escape(name)}</h2><figure>"
        f'<div class="wide">{svg(draw_perpendicular(lifted))}</div><figcaption>Candidate sites by '
        "class, seen along a twofold axis: the colour is their mean occupation, rings are sites "
        "inside the windows; the others are ghosts.</figcaption></figure></section>"
        for name, lifted in found.lifted.items()
    ]


def _folder(study: Study, member: str) -> str:
    return next(one.folder for one in study.settings.series if one.name == member)
