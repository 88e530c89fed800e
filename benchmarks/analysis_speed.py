"""How fast observables are beside independent libraries, and what memory a long stream takes.

    python benchmarks/analysis_speed.py [--quick] [--stream GB]

| figure                              | what                                                     |
|-------------------------------------|----------------------------------------------------------|
| analysis_speed.rdf_over_freud       | RDF of 10,000 atoms x 100 frames: freud's time over ours |
| analysis_speed.msd_over_mdanalysis  | MSD of 1,000 atoms x 100,000 frames: its time over ours  |
| analysis_speed.rdf_seconds          | ours                                                     |
| analysis_speed.msd_seconds          | ours                                                     |
| analysis_speed.stream_memory        | most memory for the RDF of a file of --stream GB         |

Both sides read the same array in memory and use all cores. Needs `pip install hyperatom[peers]`.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from figures import Figure, report
from hyperatom.analysis.mean_squared_displacement import MeanSquaredDisplacement
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.frames import FramesInMemory
from hyperatom.trajectory import Trajectory

R_MAX, BINS = 10.0, 200


def liquid(n_atoms: int, n_frames: int) -> tuple[np.ndarray, float]:
    """Disordered positions of silica's density, no two atoms on top of each other."""
    edge = (n_atoms / 0.066) ** (1.0 / 3.0)
    n = int(np.ceil(n_atoms ** (1.0 / 3.0)))
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3), axis=-1).reshape(-1, 3)[:n_atoms]
    rng = np.random.default_rng(0)
    return (grid * (edge / n) + rng.normal(0.0, 0.4, (n_frames, n_atoms, 3))) % edge, edge


def trajectory(positions: np.ndarray, edge: float, step: float | None = None) -> Trajectory:
    times = None if step is None else step * np.arange(len(positions))
    n = positions.shape[1]
    source = FramesInMemory(positions, edge * np.eye(3))
    return Trajectory(np.full(n, 14), np.full(n, 28.0855), np.ones(3, bool), source, times)


def time_rdf(n_atoms: int, n_frames: int) -> tuple[float, float]:
    import freud

    positions, edge = liquid(n_atoms, n_frames)
    box = freud.box.Box.cube(edge)
    centred = positions - edge / 2.0
    clock = time.perf_counter()
    theirs = freud.density.RDF(bins=BINS, r_max=R_MAX)
    for frame in centred:
        theirs.compute((box, frame), reset=False)
    peer = time.perf_counter() - clock
    clock = time.perf_counter()
    ours = RadialDistribution(R_MAX, BINS).compute(trajectory(positions, edge))
    own = time.perf_counter() - clock
    np.testing.assert_allclose(ours.g["total"], theirs.rdf, atol=0.01)
    return own, peer


def time_msd(n_atoms: int, n_frames: int) -> tuple[float, float]:
    import MDAnalysis
    from MDAnalysis.analysis.msd import EinsteinMSD

    rng = np.random.default_rng(1)
    steps = rng.normal(0.0, 0.05, (n_frames, n_atoms, 3)).astype(np.float32)
    steps -= steps.mean(axis=1, keepdims=True)
    positions = np.cumsum(steps, axis=0, out=steps)
    edge = 40.0
    clock = time.perf_counter()
    ours = MeanSquaredDisplacement(largest=1.0).compute(trajectory(positions, edge, 1.0))
    own = time.perf_counter() - clock
    clock = time.perf_counter()
    universe = MDAnalysis.Universe.empty(n_atoms, trajectory=True)
    universe.load_new(positions)
    theirs = EinsteinMSD(universe, msd_type="xyz", fft=True).run()
    peer = time.perf_counter() - clock
    half = n_frames // 2
    np.testing.assert_allclose(
        ours.curves["Si"].y[1:half], theirs.results.timeseries[1:half], rtol=2e-3
    )
    return own, peer


def stream(path: Path, gigabytes: float) -> None:
    """In a process of its own: an RDF of a memory-mapped file; prints the most memory, MiB."""
    n_atoms = 10_000
    n_frames = int(gigabytes * 1e9 / (12 * n_atoms))
    table = np.memmap(path, np.float32, "w+", shape=(n_frames, n_atoms, 3))
    frames, edge = liquid(n_atoms, 8)
    for start in range(0, n_frames, 8):
        stop = min(start + 8, n_frames)
        table[start:stop] = frames[: stop - start]
    table.flush()
    del table
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = FramesFromFile(path, n_frames, n_atoms, edge)
    n = np.full(n_atoms, 14)
    whole = Trajectory(n, np.full(n_atoms, 28.0), np.ones(3, bool), source)
    RadialDistribution(4.0, 100).compute(whole)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) / 1024.0)


class FramesFromFile:
    """Reads without mapping, so that the file's cache is not counted as ours."""

    def __init__(self, path: Path, n_frames: int, n_atoms: int, edge: float) -> None:
        self.path, self.n_frames, self.n_atoms, self.edge = path, n_frames, n_atoms, edge

    def __len__(self) -> int:
        return self.n_frames

    def read(self, start: int, stop: int, step: int):
        size = 3 * self.n_atoms
        flat = np.fromfile(self.path, np.float32, (stop - start) * size, offset=4 * size * start)
        positions = flat.reshape(-1, self.n_atoms, 3)[::step]
        return FramesInMemory(positions, self.edge * np.eye(3)).read(0, len(positions), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the frames")
    parser.add_argument("--stream", type=float, default=5.0, help="GB")
    parser.add_argument("--stream-here", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stream_here:
        stream(given.stream_here, given.stream)
        return
    part = 10 if given.quick else 1
    rdf, freud_time = time_rdf(10_000, 100 // part)
    msd, mda_time = time_msd(1_000, 100_000 // part)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        command = [sys.executable, __file__, "--stream", str(given.stream / part),
                   "--stream-here", str(Path(folder) / "positions")]  # fmt: skip
        memory = float(subprocess.run(command, capture_output=True, check=True).stdout)
    details = {
        "rdf": {"freud_seconds": freud_time, "r_max": R_MAX, "bins": BINS},
        "msd": {"mdanalysis_seconds": mda_time},
        "stream": {"gigabytes": given.stream / part},
        "quick": given.quick,
    }
    report(
        [
            Figure("analysis_speed.rdf_over_freud", freud_time / rdf),
            Figure("analysis_speed.msd_over_mdanalysis", mda_time / msd),
            Figure("analysis_speed.rdf_seconds", rdf, "s"),
            Figure("analysis_speed.msd_seconds", msd, "s"),
            Figure("analysis_speed.stream_memory", memory, "MiB"),
        ],
        "analysis_speed",
        details,
    )


if __name__ == "__main__":
    main()
