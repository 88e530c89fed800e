"""Are the averages of guided trajectories those of the reference? Alpha-quartz against plain Monte
Carlo.

    python benchmarks/exactness_quartz.py [--chains 3] [--minutes 15] [--proposals 500]
                                          [--folder DIR]

9 atoms, 300 K, GFN1-xTB. One side: a campaign with default settings, its counted production. The
other: hybrid Monte Carlo on tblite's own forces, a code path that shares nothing with hyperatom's
samplers, guides or references; several chains, as many at a time as there are cores, since one
that is short for its own memory has too small errors. Compared are the mean potential energy and
the partial radial distribution functions up to 4 Å.

| figure             | unit     | meaning                                                          |
|--------------------|----------|------------------------------------------------------------------|
| `.energy_z`        |          | difference of the means over its standard error                  |
| `.rdf_worst_z`     |          | largest |z| of all compared bins of Si-Si, Si-O, O-O             |
| `.rdf_worst_p`     |          | chance of one as large, the bins being correlated as they are    |
| `.rdf_chi2_per_bin`|          | mean z^2 of the bins                                             |
| `.rdf_chi2_p`      |          | chance of a mean as large                                        |
| `.rdf_bins`        |          | bins compared: those with ten independent counts on either side  |
| `.energy_...`      | meV/atom | means above the lower of the two, and errors                     |
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from campaign_runs import production, run_campaign
from figures import Figure, report
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.analysis.statistics import Estimate, curve_error, estimate_mean, sokal_inefficiency
from hyperatom.configuration import Configuration
from hyperatom.units import MILLI
from plain_sampling import HybridMonteCarlo, Plain, run, tight_binding

TEMPERATURE = 300.0
INPUT = """
configuration: {{crystal: alpha-quartz}}
temperature: 300
seed: 11
produce: {{proposals: {proposals}, guide_samples: 0}}
"""

PLAIN = HybridMonteCarlo(time_step=4.0, n_steps=5)
SEED = 5
"""Of the first plain chain."""

PAIRS = ("Si-O", "O-O", "Si-Si")
BIN = 0.04
R_MAX = 4.0
ENOUGH = 10.0

Array = NDArray[np.float64]


def curves(configurations: Sequence[Configuration]) -> Array:
    """Counts of each configuration in all bins of all pairs, (n_configurations, n_bins)."""
    result = RadialDistribution(r_max=R_MAX, bins=round(R_MAX / BIN)).compute(configurations)
    return np.concatenate([result.counts[pair] for pair in PAIRS], axis=1).astype(float)


def compare(
    one: Sequence[Array], other: Sequence[Array], rng: np.random.Generator
) -> dict[str, float]:
    """Bin by bin: largest |z| and mean z^2, with their chances under the bins' own correlations.

    Each side is a list of chains.
    """
    kept = np.ones(one[0].shape[1], dtype=bool)
    for side in (one, other):
        every = np.concatenate(side)
        independent = len(every) / sokal_inefficiency(side)
        # Few counts are not Gaussian; so is a bin that is nearly always full.
        kept &= (every.std(axis=0) > 0) & (independent * every.mean(axis=0) >= ENOUGH)
    a, b = (np.concatenate(side)[:, kept] for side in (one, other))
    errors = [curve_error([chain[:, kept] for chain in side]) for side in (one, other)]
    z = (a.mean(axis=0) - b.mean(axis=0)) / np.hypot(*errors)
    correlation = np.corrcoef(np.concatenate([a - a.mean(axis=0), b - b.mean(axis=0)]).T)
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    fancied = rng.standard_normal((20000, len(z))) @ root.T
    worst, mean = float(np.abs(z).max()), float(np.mean(z**2))
    return {
        "rdf_worst_z": worst,
        "rdf_worst_p": float(np.mean(np.abs(fancied).max(axis=1) >= worst)),
        "rdf_chi2_per_bin": mean,
        "rdf_chi2_p": float(np.mean(np.mean(fancied**2, axis=1) >= mean)),
        "rdf_bins": int(kept.sum()),
    }


def plain_monte_carlo(start: Configuration, minutes: float, seed: int, folder: Path) -> Plain:
    """A long run of the other side, or the one that is there."""
    file = folder / f"plain-{seed}.npz"
    if not file.exists():
        chain = run(
            PLAIN,
            tight_binding(start),
            start,
            TEMPERATURE,
            calls=10**9,
            seed=seed,
            discard=20 * PLAIN.n_steps,
            seconds=60.0 * minutes,
        )
        chain.save(file)
    return Plain.load(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0, help="of each plain chain")
    parser.add_argument("--chains", type=int, default=3, help="of plain Monte Carlo")
    parser.add_argument("--proposals", type=int, default=500, help="of the frozen guide")
    parser.add_argument("--folder", type=Path, help="keep both runs here, or take them from here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        run_campaign(INPUT.format(proposals=given.proposals), folder / "campaign")
        guided = production(folder / "campaign")
        start = guided.configurations[0]
        with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
            asked = [
                pool.submit(plain_monte_carlo, start, given.minutes, SEED + k, folder)
                for k in range(given.chains)
            ]
            plain = [one.result() for one in asked]

    unit = "meV/atom"
    other = [one.energies for one in plain]
    both = np.concatenate([guided.energies, *other])
    level = min(guided.energies.mean(), np.concatenate(other).mean())
    scale = start.n_atoms * MILLI
    energies: dict[str, Estimate] = {
        "slhmc": estimate_mean((guided.energies - level) / scale, unit, "exact"),
        "hmc": estimate_mean([(one - level) / scale for one in other], unit, "exact"),
    }
    difference = energies["slhmc"].value - energies["hmc"].value
    error = float(np.hypot(energies["slhmc"].error, energies["hmc"].error))
    found = compare(
        [curves(guided.configurations)],
        [curves([start.with_positions(x) for x in one.positions]) for one in plain],
        np.random.default_rng(0),
    )
    figures = [Figure("energy_z", difference / error)]
    figures += [Figure(name, value) for name, value in found.items()]
    for name, estimate in energies.items():
        figures.append(Figure(f"energy_{name}", estimate.value, unit))
        figures.append(Figure(f"energy_error_{name}", estimate.error, unit))
        figures.append(Figure(f"samples_{name}", estimate.n_effective))
    figures += [
        Figure("energy_spread", float(both.std() / scale), unit),
        Figure("calls_slhmc", guided.calls, "calls"),
        Figure("learning_calls_slhmc", guided.learning_calls, "calls"),
        Figure("calls_hmc", sum(one.calls for one in plain), "calls"),
        Figure("accepted_slhmc", guided.acceptance),
        Figure("accepted_hmc", float(np.mean([one.moved for one in plain]))),
    ]
    report(
        [Figure(f"exactness_quartz.{f.figure}", round(f.value or 0, 4), f.unit) for f in figures],
        "exactness_quartz",
        {"plain": str(PLAIN), "energy_level_eV": float(level)},
    )


if __name__ == "__main__":
    main()
