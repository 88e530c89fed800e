"""Icosahedral approximants: what is built, how fast, and how well atoms lift to six dimensions.

    python benchmarks/quasicrystal.py

`lift_noisy` is the share of atoms that single frames with Gaussian displacements of 0.3 Å rms lift
to the right site without any history; with the history of a trajectory it is higher (details).
`lift_us_per_atom_frame` follows 2288 atoms through frames with the same displacements.
"""

import time
from collections.abc import Callable
from itertools import cycle, islice

import numpy as np

from figures import Figure, report
from hyperatom.analysis.hyperspace.candidate_sites import candidate_sites
from hyperatom.analysis.hyperspace.lifting import Lifter
from hyperatom.structures.quasicrystal.approximants import Approximant
from hyperatom.structures.quasicrystal.katz_gratias import katz_gratias

SERIES = {(1, 1): 6.36, (2, 1): 6.42, (3, 2): 6.45, (5, 3): 6.45, (8, 5): 6.45, (13, 8): 6.45}
NOISE = 0.3 / 3.0**0.5
N_FRAMES = 1000


def fastest(work: Callable[[], object], times: int = 3) -> float:
    """Seconds of the fastest of some repetitions."""
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start)
    return min(durations)


def right(approximant: Approximant, indices: np.ndarray) -> float:
    """Share of atoms on the site that they came from."""
    return float((indices == approximant.indices).all(axis=1).mean())


def main() -> None:
    built = {ratio: katz_gratias(*ratio, constant) for ratio, constant in SERIES.items()}
    seconds = {ratio: fastest(lambda r=ratio: katz_gratias(*r, SERIES[r])) for ratio in SERIES}
    limit = built[8, 5].cut.crystal.class_densities().sum()
    exact, atoms = 0.0, 0
    for ratio in ((1, 1), (2, 1), (3, 2), (5, 3)):
        approximant = built[ratio]
        lifted = Lifter(candidate_sites(approximant.cut)).lift(
            [approximant.configuration.positions]
        )
        exact += right(approximant, lifted.indices(0)) * approximant.n_atoms
        atoms += approximant.n_atoms

    approximant = built[3, 2]
    lifter = Lifter(candidate_sites(approximant.cut))
    positions = approximant.configuration.positions
    rng = np.random.default_rng(0)
    frames = [positions + rng.normal(0.0, NOISE, positions.shape) for _ in range(60)]
    alone = [right(approximant, lifter.lift([frame]).indices(0)) for frame in frames]
    start = time.perf_counter()
    lifted = lifter.lift([positions, *islice(cycle(frames), N_FRAMES)])
    duration = time.perf_counter() - start
    history = [right(approximant, lifted.indices(k)) for k in range(1, len(frames) + 1)]

    report(
        [
            Figure("quasicrystal.atoms_1_1", built[1, 1].n_atoms),
            Figure("quasicrystal.shortest_1_1", built[1, 1].shortest_distance, "angstrom"),
            Figure("quasicrystal.atoms_3_2", built[3, 2].n_atoms),
            Figure("quasicrystal.lift_exact", exact / atoms),
            Figure("quasicrystal.lift_noisy", float(np.mean(alone))),
            Figure("quasicrystal.build_seconds_8_5", seconds[8, 5], "s"),
            Figure(
                "quasicrystal.lift_us_per_atom_frame",
                1e6 * duration / (N_FRAMES * approximant.n_atoms),
                "us",
            ),
        ],
        "quasicrystal",
        {
            "lift_noisy_with_history": float(np.mean(history)),
            "atoms_in_noisy_frames": len(frames) * approximant.n_atoms,
            "series": {
                f"{p}/{q}": {
                    "atoms": built[p, q].n_atoms,
                    "edge_angstrom": float(built[p, q].cut.cell[0, 0]),
                    "density_over_quasicrystal": built[p, q].point_density
                    / float(built[p, q].cut.crystal.class_densities().sum()),
                    "build_seconds": seconds[p, q],
                }
                for p, q in SERIES
            },
            "quasicrystal_density": float(limit),
        },
    )


if __name__ == "__main__":
    main()
