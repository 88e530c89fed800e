"""Speed of other programs' own files here and there: peer over ours, in one run, on one core.

Both sides run velocity Verlet of 1 fs at 300 K from the same positions and momenta of the same
crystal, 216 and 1728 atoms, lists of neighbours included, in turns on the same core; the times are
processor times of a step. Before that, and where our trajectory has ended, both evaluate the same
positions: energies must agree to 1e-6 eV per atom, or there is no figure.

    python benchmarks/interchange_speed.py [--data FOLDER] [--peers FOLDER] [name ...]

Without names all peers of `benchmarks/peers`; its docstring says how to add one. A peer that is not
installed is named in the output and has no figure.
"""

import argparse
import importlib
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from figures import RESULTS, Figure, report
from peers.build import FOLDER, names
from peers.client import PeerSession, PeerUnavailableError
from peers.session import FEMTOSECOND, Session

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "conformance"
SIZES = (216, 1728)
ROUNDS = 5
SECONDS = 5.0
"""How long one measurement of the slower side should take: trajectories of a hundred steps."""
AGREEMENT = 1e-6
TEMPERATURE = 300.0
BOLTZMANN = 8.617330337217213e-05


class OurSession:
    """A `CompiledPotential` at work."""

    def __init__(self, potential: Any, atoms: Any) -> None:
        from hyperatom.interchange.ase_atoms import from_ase

        self.potential = potential
        self.configuration = from_ase(atoms)
        self.end = np.array(atoms.positions)

    def evaluate(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        found = self.potential.evaluate(self.configuration.with_positions(positions))
        return found.energy, found.forces

    def run(self, positions: np.ndarray, momenta: np.ndarray, n_steps: int) -> float:
        here = self.configuration.with_positions(positions)
        start = time.process_time()
        path = self.potential.trajectory(here, momenta, FEMTOSECOND, n_steps, n_steps)
        seconds = time.process_time() - start
        self.end = path.positions
        return seconds


def measure(name: str, n_atoms: int, data: Path, folder: Path) -> dict[str, Any]:
    """Microseconds per atom and step of each side, and how well they agree."""
    peer = importlib.import_module(f"peers.{name}")
    atoms = peer.crystal(n_atoms)
    assert len(atoms) == n_atoms, f"{name} made a crystal of {len(atoms)} atoms"
    rng = np.random.default_rng(n_atoms)
    atoms.positions += 0.02 * rng.normal(size=(n_atoms, 3))
    width = np.sqrt(BOLTZMANN * TEMPERATURE * atoms.get_masses())[:, None]
    momenta = width * rng.normal(size=(n_atoms, 3))
    momenta -= momenta.mean(axis=0)

    theirs = PeerSession(name, data, atoms, folder)
    try:
        ours = OurSession(peer.ours(data), atoms)
        sides: dict[str, Session] = {"ours": ours, "theirs": theirs}
        start = atoms.positions
        differences = [_difference(ours, theirs, start)]
        steps = 4
        once = {side: session.run(start, momenta, steps) for side, session in sides.items()}
        once["ours"] = ours.run(start, momenta, steps)  # compiled by now
        steps = int(np.clip(SECONDS * steps / max(once.values()), 8, 2000))
        times: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(ROUNDS):
            for side, session in sides.items():
                times[side].append(1e6 * session.run(start, momenta, steps) / (steps * n_atoms))
        differences.append(_difference(ours, theirs, ours.end))
    finally:
        theirs.close()
    return {
        "ours": min(times["ours"]),
        "theirs": min(times["theirs"]),
        "steps": steps,
        "all": times,
        "energy_difference": max(e for e, _ in differences),
        "force_difference": max(f for _, f in differences),
    }


def _difference(ours: Session, theirs: Session, positions: np.ndarray) -> tuple[float, float]:
    energy, forces = ours.evaluate(positions)
    other_energy, other_forces = theirs.evaluate(positions)
    return (
        abs(energy - other_energy) / len(positions),
        float(np.abs(forces - other_forces).max()),
    )


def figures_of(name: str, data: Path, folder: Path) -> tuple[list[Figure], dict[str, Any]]:
    """All figures of one peer, and the numbers behind them."""
    peer = importlib.import_module(f"peers.{name}")
    figure = f"interchange_speed.{peer.FIGURE}"
    details: dict[str, Any] = {"title": peer.TITLE, "wanted": peer.WANTED}
    figures = []
    ratios = []
    try:
        for n_atoms in SIZES:
            found = measure(name, n_atoms, data, folder)
            details[str(n_atoms)] = found
            if found["energy_difference"] > AGREEMENT:
                raise PeerUnavailableError(
                    f"energies differ by {found['energy_difference']:.1e} eV per atom"
                )
            ratios.append(found["theirs"] / found["ours"])
            figures += [
                Figure(f"{figure}.{side}_{n_atoms}", round(found[side], 3), "us/atom/step")
                for side in ("ours", "theirs")
            ]
    except PeerUnavailableError as problem:
        print(f"{peer.TITLE}: no figure: {problem}", flush=True)
        return [Figure(figure, None, f"no figure: {problem}")], details
    # The ratio of the size at which we do worse.
    return [Figure(figure, round(min(ratios), 3), "peer/ours"), *figures], details


def main() -> None:
    """Measure the peers that the command line names."""
    parser = argparse.ArgumentParser(description="Speed on other programs' own files.")
    parser.add_argument("names", nargs="*", help="peers; all where none is given")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the conformance cases")
    parser.add_argument("--peers", type=Path, default=FOLDER, help="where environments lie")
    arguments = parser.parse_args()
    # Before any thread of a library starts: everything here, peers included, stays on this core.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    for name in arguments.names or names():
        of_peer, details[name] = figures_of(name, arguments.data, arguments.peers)
        figures += of_peer
    name = "interchange_speed"
    if arguments.names:
        name += "_" + "_".join(arguments.names)
    report(figures, name, details)
    print(f"kept in {RESULTS / name}.json")


if __name__ == "__main__":
    main()
