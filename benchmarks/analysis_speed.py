"""How fast observables are beside independent libraries, and what memory a long stream takes.

    python benchmarks/analysis_speed.py [--quick] [--stream GB] [--folder SCRATCH]

| figure                              | what                                                     |
|-------------------------------------|----------------------------------------------------------|
| analysis_speed.rdf_over_freud       | RDF of 10,000 atoms x 100 frames: freud's time over ours |
| analysis_speed.msd_over_mdanalysis  | MSD of 1,000 atoms x 100,000 frames: its time over ours  |
| analysis_speed.rdf_seconds          | ours                                                     |
| analysis_speed.msd_seconds          | ours                                                     |
| analysis_speed.stream_memory        | most memory of the program: density map of --stream GB   |
| analysis_speed.stream_memory_on_top | how much of that came on top of what it had before       |

Both sides read the same array in memory and use all cores. Needs `pip install hyperatom[peers]`,
and room for --stream GB in --folder (default: a temporary one), which is freed again.
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
from hyperatom.analysis.density_map import DensityMap
from hyperatom.analysis.mean_squared_displacement import MeanSquaredDisplacement
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.trajectory import FramesInMemory, Trajectory

R_MAX, BINS = 10.0, 200
STREAM_ATOMS = 10_000


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


def write_stream(path: Path, gigabytes: float) -> int:
    """A file of positions, float32, frame after frame; returns how many frames."""
    n_frames = int(gigabytes * 1e9 / (12 * STREAM_ATOMS))
    frames = liquid(STREAM_ATOMS, 8)[0].astype(np.float32)
    with path.open("wb") as file:
        for start in range(0, n_frames, 8):
            file.write(frames[: min(8, n_frames - start)].tobytes())
    return n_frames


def stream(path: Path) -> None:
    """In a process of its own: mean density of a file; prints memory before, and at most, MiB."""
    edge = liquid(STREAM_ATOMS, 1)[1]
    n_frames = path.stat().st_size // (12 * STREAM_ATOMS)
    source = FramesFromFile(path, n_frames, STREAM_ATOMS, edge)
    n = np.full(STREAM_ATOMS, 14)
    whole = Trajectory(n, np.full(STREAM_ATOMS, 28.0), np.ones(3, bool), source)
    DensityMap(spacing=1.0).compute(whole.select(0, 2))  # what is loaded when first used
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    DensityMap(spacing=1.0).compute(whole)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(before / 1024.0, after / 1024.0)


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
    parser.add_argument("--folder", type=Path, help="where the stream is put for a while")
    parser.add_argument("--stream-here", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stream_here:
        stream(given.stream_here)
        return
    part = 10 if given.quick else 1
    # The stream first: a process begins with the most memory that its parent ever had.
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "positions"
        n_frames = write_stream(path, given.stream / part)
        command = [sys.executable, __file__, "--stream-here", str(path)]
        clock = time.perf_counter()
        told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        streamed = time.perf_counter() - clock
    rdf, freud_time = time_rdf(10_000, 100 // part)
    msd, mda_time = time_msd(1_000, 100_000 // part)
    before, most = map(float, told.split())
    details = {
        "rdf": {"freud_seconds": freud_time, "r_max": R_MAX, "bins": BINS},
        "msd": {"mdanalysis_seconds": mda_time},
        "stream": {
            "gigabytes": given.stream / part,
            "frames": n_frames,
            "atoms": STREAM_ATOMS,
            "seconds": streamed,
            "mebibytes_before": before,
        },
        "quick": given.quick,
    }
    report(
        [
            Figure("analysis_speed.rdf_over_freud", freud_time / rdf),
            Figure("analysis_speed.msd_over_mdanalysis", mda_time / msd),
            Figure("analysis_speed.rdf_seconds", rdf, "s"),
            Figure("analysis_speed.msd_seconds", msd, "s"),
            Figure("analysis_speed.stream_memory", most, "MiB"),
            Figure("analysis_speed.stream_memory_on_top", most - before, "MiB"),
        ],
        "analysis_speed",
        details,
    )


if __name__ == "__main__":
    main()
