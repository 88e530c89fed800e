"""Liquid silica, 72 atoms, 3000 K, GFN1-xTB: how much time of the guide does one call buy?

    python benchmarks/liquid_silica.py --folder DIR [--ensembles nvt npt] [--read]

The configuration is melted first: 72 atoms at 2.20 g/cm^3, 20 ps at 6000 K and 10 ps at 3000 K on
the BKS potential. Then a campaign from zero calls at constant volume, and one at 0 GPa. At the end
the frozen guide runs freely: a liquid diffuses.

| figure                     | unit   | meaning                                                    |
|----------------------------|--------|------------------------------------------------------------|
| `.fs_per_call_nvt`, `_npt` | fs     | acceptance x mean length of the last 100 calls             |
| `.acceptance_...`          |        | of these                                                   |
| `.length_...`              | fs     | of their paths                                             |
| `.calls_...`               | calls  | in all, from zero                                          |
| `.error_...`               | meV/atom | sigma of guide - reference along a path, over sqrt(2)    |
| `.energy_time_...`         | calls  | integrated autocorrelation time of the potential energy    |
| `.diffusion_...`           | A^2/ps | slope of the guide's mean squared displacement over 6      |
| `.density_npt`             | g/cm^3 | and its standard error `.density_error_npt`                |
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from campaign_runs import production, run_campaign
from figures import Figure, report
from hyperatom.analysis.mean_squared_displacement import squared_displacement
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.analysis.statistics import estimate_mean
from hyperatom.campaign.assembly import load_configuration, opened
from hyperatom.campaign.monitor import Unwatched
from hyperatom.potentials.classical.buckingham import bks_silica
from hyperatom.sampling.canonical import Canonical
from hyperatom.structures.crystals import build_crystal
from hyperatom.units import DALTON, FEMTOSECOND, MILLI

TEMPERATURE = 3000.0
DENSITY = 2.20
LAST = 100

INPUT = """
title: Liquid silica, 72 atoms, 3000 K, {ensemble}
configuration: {{file: {file}}}
temperature: 3000
{pressure}
sampling: {{time_step: 1.5, length: 5000, segments: 1}}
learn: {{calls: 100, acceptance: 0.75, window: 20, probation: 20, rattle: 0.0}}
produce: {{proposals: 100, guide_samples: 0}}
seed: 1
"""

PRESSURE = {"nvt": "", "npt": "pressure: 0\ncell: {moves: isotropic, barostat_time: 100}"}


def melt(path: Path) -> None:
    """Write a liquid at 3000 K, melted at 6000 K on the BKS potential."""
    import ase.io

    from hyperatom.interchange.ase_atoms import to_ase

    quartz = build_crystal("alpha-quartz", repeat=(2, 2, 2))
    edge = (quartz.masses.sum() * DALTON / DENSITY) ** (1.0 / 3.0)
    scaled = np.linalg.solve(quartz.cell.T, quartz.positions.T).T
    here = quartz.with_cell(scaled @ (edge * np.eye(3)), edge * np.eye(3))
    potential = bks_silica(8.0, accuracy=1e-5, precision="float32")
    potential.model.reserve(here)
    rng = np.random.default_rng(1)
    first = here.positions
    for temperature, picoseconds in ((6000.0, 20), (TEMPERATURE, 10)):
        # New momenta every 75 fs: Andersen's thermostat. The first ones take out the overlaps.
        for k in range(int(picoseconds * 1000 / 75)):
            step = 0.3 if temperature > 5000 and k < 20 else 1.5
            momenta = Canonical(temperature).draw_momenta(here.masses, rng)
            path_ = potential.trajectory(here, momenta, step * FEMTOSECOND, 50, 50)
            assert np.isfinite(path_.positions).all()
            here = here.with_positions(path_.positions)
    moved = np.mean(np.sum((here.positions - first) ** 2, axis=1))
    print(f"Melted: mean squared displacement {moved:.0f} A^2 since the crystal.", flush=True)
    ase.io.write(path, to_ase(here))


def diffusion(run: Path) -> tuple[float, list[float]]:
    """D in A^2/ps of oxygen and silicon together, and the guide's MSD over all origins, A^2.

    Over 42 ps, at the lags 0, 0.75 ps, ...; D from the lags beyond 7 ps.
    """
    with opened(run, Unwatched()) as campaign:
        guide = campaign.frozen_path().guide
        state = campaign.stepper.state_after(campaign.chain.last(0))
    here, rng = state.configuration, np.random.default_rng(5)
    momenta = Canonical(TEMPERATURE).draw_momenta(here.masses, rng)
    path = guide.trajectory(here, momenta, 1.5 * FEMTOSECOND, 28_000, 500)
    coordinates = path.waypoints.reshape(len(path.waypoints), -1).T
    squares = squared_displacement(coordinates, 29) / here.n_atoms
    slope = np.polyfit(0.75 * np.arange(29)[10:], squares[10:], 1)[0]
    return float(slope / 6.0), squares.tolist()


def measure(run: Path, name: str) -> tuple[list[Figure], dict[str, Any]]:
    """Figures of one campaign."""
    found = production(run)
    start = load_configuration(run / "start.npz")
    asked = [step for step in found.steps if step.asked][-LAST:]
    first = asked[0].number
    last = [step for step in found.steps if step.number >= first]
    lengths = np.array([step.record.get("length", 0.0) for step in last])
    accepted = np.array([step.accepted for step in last])
    calls = len(asked)
    differences, before = [], found.steps[0].state_energy
    for step in found.steps:
        if step.proposed_energy is not None and "guide_energy_after" in step.record:
            guide = step.record["guide_energy_after"] - step.record["guide_energy_before"]
            if step.number >= first:
                differences.append(step.proposed_energy - before - guide)
        before = step.state_energy
    energy = estimate_mean([found.energies / start.n_atoms], "eV/atom", "exact")
    per_proposal = found.calls / len(found.energies)
    slope, squares = diffusion(run)
    rdf = RadialDistribution(6.0, 120).compute(found.configurations)
    figures = [
        Figure(
            f"liquid_silica.fs_per_call_{name}", float((lengths * accepted).sum() / calls), "fs"
        ),
        Figure(f"liquid_silica.acceptance_{name}", float(accepted.mean())),
        Figure(f"liquid_silica.length_{name}", float(lengths.mean()), "fs"),
        Figure(f"liquid_silica.calls_{name}", sum(s.asked for s in found.steps), "calls"),
        Figure(
            f"liquid_silica.error_{name}",
            float(np.std(differences) / np.sqrt(2.0) / start.n_atoms / MILLI),
            "meV/atom",
        ),
        Figure(
            f"liquid_silica.energy_time_{name}",
            float(energy.autocorrelation_time * per_proposal),
            "calls",
        ),
        Figure(f"liquid_silica.diffusion_{name}", slope, "A^2/ps"),
    ]
    details: dict[str, Any] = {
        "energy_eV_per_atom": [energy.value, energy.error, energy.n_effective],
        "frozen": sum(s.phase == "produce" for s in found.steps),
        "vetoed": float(np.mean([bool(s.veto) for s in last])),
        "msd_A2_every_0.75_ps": squares,
        "peaks": {
            pair: [rdf.first_peak(pair).position.value, rdf.first_peak(pair).coordination.value]
            for pair in rdf.pairs
        },
        "seconds": {
            kind: sum(getattr(s, kind) for s in found.seconds.values())
            for kind in ("guide", "fit", "reference", "total")
        },
    }
    if name == "npt":
        mass = start.masses.sum() * DALTON
        density = estimate_mean(
            [np.array([mass / c.volume for c in found.configurations])], "g/cm^3", "exact"
        )
        figures += [
            Figure("liquid_silica.density_npt", density.value, "g/cm^3"),
            Figure("liquid_silica.density_error_npt", density.error, "g/cm^3"),
        ]
    return figures, details


def liquid(folder: Path) -> Path:
    """The melted start, made once."""
    path = folder / "liquid.extxyz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        melt(path)
    return path.resolve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the runs are kept")
    parser.add_argument("--ensembles", nargs="+", choices=tuple(PRESSURE), default=list(PRESSURE))
    parser.add_argument("--read", action="store_true", help="measure finished runs only")
    given = parser.parse_args()
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    for name in given.ensembles:
        run = given.folder / name
        if not given.read:
            text = INPUT.format(ensemble=name, file=liquid(given.folder), pressure=PRESSURE[name])
            run_campaign(text, run)
        more, details[name] = measure(run, name)
        figures += more
    report(figures, "liquid_silica", details)


if __name__ == "__main__":
    main()
