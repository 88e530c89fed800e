"""Accuracy against cost: our families and three rivals, same frames, same wall clock, real data.

    python benchmarks/accuracy.py [--data FOLDER] [--peers FOLDER] [--minutes 5]
                                  [--sets mlearn_Si ...] [--potentials ace gap_fit ...] [--go-on]

For every set the frames are divided by a fixed seed into those to learn from, to stop by, and to be
judged by. Each potential is fitted to the same frames within `--minutes` on all cores, then judged
on frames that it has not seen: root mean square errors of energies (meV/atom) and forces (meV/Å),
and the processor time of one call of energy and forces, microseconds per atom, on one core.
`python benchmarks/accuracy.py --build` makes the environments of the rivals; one that is not there
is named and has no figure. Scores are kept in `benchmarks/results/` after each fit: with `--go-on`
what is there is not fitted again. Table and picture of docs/accuracy.md are made of them, at last.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from figures import RESULTS, Figure, keep, processor, report
from peers.build import FOLDER, build, interpreter

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SEED = 20
VALIDATION = 0.1
RIVALS = ("gap_fit", "pacemaker", "mace")
DOCS = Path(__file__).resolve().parents[1] / "docs"
MARK = "<!-- made by benchmarks/accuracy.py -->\n"
OURS: dict[str, dict[str, Any]] = {
    "linear_density": {"cutoff": 5.5},
    "ace": {"cutoff": 5.5},
    "gap": {"cutoff": 5.0},
    "flare": {"cutoff": 5.0},
    "behler_parrinello": {"cutoff": 6.0},
}
_OF_ELEMENTS = {
    "cutoff": 5.5, "crowding": 0.0, "power_channels": 8, "power_degree": 6,
    "bispectrum_channels": 4, "bispectrum_degree": 4,
}  # fmt: skip
OURS_OF_ELEMENTS: dict[str, tuple[dict[str, Any], ...]] = {
    "linear_density": tuple(
        {**_OF_ELEMENTS, "trispectrum_channels": channels} for channels in (0, 3, 4)
    ),
}
"""Settings for a single species, where higher degrees cost little, smaller first; of several those
of least error on the validation frames."""

OURS_OF_MOLECULES: dict[str, tuple[dict[str, Any], ...]] = {
    "linear_density": (
        {"cutoff": 4.2, "power_channels": 5, "power_degree": 5, "trispectrum_channels": 1},
    ),
}
"""Settings for molecules, where all that matters is near, in five bodies and more."""

ALONE = 300.0
"""Å^3 per atom beyond which a cell holds a molecule."""

FORCE_NOISE, ENERGY_NOISE = 50.0, 2.0
"""meV/Å and meV/atom: errors that count alike where settings are compared."""


class DataSet(NamedTuple):
    """Frames of a file, at most so many to learn from and to be judged by.

    `apart` names another file to be judged by, or the key of `info` whose values (topologies, say)
    never stand on both sides. Frames with an edge shorter than `shortest` (Å) are left out.
    """

    file: str
    n_training: int
    n_test: int
    apart: str = ""
    shortest: float = 0.0


SETS = {
    **{
        f"mlearn_{element}": DataSet(f"mlearn_{element}_train.xyz", 180, 60)
        for element in ("Ge", "Li", "Mo", "Si")
    },
    "mlearn_Cu": DataSet("mlearn_Cu_train_reconstructed.xyz", 200, 60),
    "mlearn_Ni": DataSet("snap_Ni_full_minus_mlearntest.xyz", 200, 60),
    "zeolites": DataSet("sio2_zeo22_dev.xyz", 250, 100, apart="config_type"),
    # One k-point is too few for 5 Å: ewo and mtt are left out (docs/accuracy.md).
    "zeolites_converged": DataSet("sio2_zeo22_dev.xyz", 250, 100, "config_type", shortest=6.0),
    "tio2": DataSet("tio2_train.xyz", 800, 300),
    "ethanol": DataSet("rmd17_ethanol_train1000.xyz", 700, 300),
    "aspirin": DataSet("rmd17_aspirin_split01_train1000.xyz", 600, 300),
    "acetylacetone": DataSet("acac_train_300K.xyz", 500, 300, apart="acac_train_600K.xyz"),
    "water": DataSet("water_pbe0_dev.xyz", 60, 30),
    "hydrogen": DataSet("h_pbe_dev.xyz", 200, 80),
}


def frames_of(data: DataSet, folder: Path) -> tuple[list[Any], list[Any], list[Any]]:
    """Frames to learn from, to stop by, and to be judged by."""
    from ase.io import read

    frames = [
        atoms
        for atoms in read(folder / data.file, ":")
        if not data.shortest or atoms.cell.lengths().min() >= data.shortest
    ]
    rng = np.random.default_rng(SEED)
    if data.apart.endswith(".xyz"):
        test = read(folder / data.apart, ":")
        order = rng.permutation(len(frames))
    elif data.apart:
        groups = sorted({str(atoms.info[data.apart]) for atoms in frames})
        held = set(rng.choice(groups, max(1, len(groups) // 4), replace=False))
        test = [atoms for atoms in frames if str(atoms.info[data.apart]) in held]
        rest = [atoms for atoms in frames if str(atoms.info[data.apart]) not in held]
        frames, order = rest, rng.permutation(len(rest))
    else:
        order = rng.permutation(len(frames))
        n_test = min(data.n_test, len(frames) // 4)
        test, order = [frames[k] for k in order[:n_test]], order[n_test:]
    test = [test[k] for k in sorted(rng.permutation(len(test))[: data.n_test])]
    chosen = [frames[k] for k in order[: data.n_training]]
    n_validation = max(1, int(VALIDATION * len(chosen)))
    return chosen[n_validation:], chosen[:n_validation], test


def written(folder: Path, parts: Sequence[tuple[str, list[Any]]]) -> None:
    """Energies and forces alone, which all programs read."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    for name, frames in parts:
        bare = []
        for atoms in frames:
            cell, periodic = atoms.cell, atoms.pbc
            if not periodic.any():  # programs that know only cells see a molecule in a wide one
                cell, periodic = 30.0 * np.eye(3), np.ones(3, dtype=bool)
            one = Atoms(atoms.numbers, atoms.positions, cell=cell, pbc=periodic)
            one.calc = SinglePointCalculator(
                one, energy=atoms.get_potential_energy(), forces=atoms.get_forces()
            )
            bare.append(one)
        write(folder / f"{name}.xyz", bare, format="extxyz")


class Score(NamedTuple):
    """Errors on the test in meV/atom and meV/Å, µs per atom of a call, seconds of the fit.

    Of predicted errors: how many lie within one and two of them, times one number, their ranks, and
    what these would be if errors were normal and of exactly the predicted sizes. `median` is that
    of the sizes of errors of energies, meV/atom: a few frames do not set it.
    """

    energy: float
    force: float
    microseconds: float
    seconds: float
    within_68: float = float("nan")
    within_95: float = float("nan")
    rank: float = float("nan")
    rank_at_best: float = float("nan")
    median: float = float("nan")


Table = dict[str, dict[str, dict[str, Any]]]
"""Of each set and potential the fields of its `Score`, and how, where and when it was measured."""


def ours(name: str, folder: Path, minutes: float) -> Score:
    """A family of ours, fitted in a process of its own, as `hyperatom fit` does it."""
    command = [sys.executable, __file__, "--child", name, str(folder), str(minutes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60.0 * 4 * minutes + 600)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return Score(**json.loads(done.stdout.splitlines()[-1]))


def child(name: str, folder: Path, minutes: float) -> None:
    """Print the score of a family of ours."""
    from hyperatom.fitting.data_set import read_data
    from hyperatom.fitting.errors_of_potentials import assess, cost
    from hyperatom.potentials.energies_of_atoms import energies_of_atoms, species_of
    from hyperatom.potentials.family import FitTask
    from hyperatom.potentials.family_catalogue import checked_settings, find_family

    training, validation, test = (
        read_data(folder / f"{part}.xyz") for part in ("train", "validation", "test")
    )
    family = find_family(name)
    species = species_of(training)
    constants = energies_of_atoms(training, species)
    least, best = np.inf, None
    began = time.perf_counter()
    room = [one.configuration.volume / one.configuration.n_atoms for one in training]
    kind = OURS_OF_ELEMENTS if len(species) == 1 else OURS_OF_MOLECULES if min(room) > ALONE else {}
    for given in kind.get(name, (OURS[name],)):
        clock = time.perf_counter()
        left = 60.0 * minutes - (clock - began)
        settings = checked_settings(family, {"kind": name, **given})
        task = FitTask(settings, species, training, validation, constants, seconds=left)
        potential = family.fit(task).potential
        unseen = assess(potential, validation, timed=False).total
        error = float(np.hypot(unseen.energy / ENERGY_NOISE, unseen.forces / FORCE_NOISE))
        if best is None or error < least:
            least, best = error, potential
        spent = time.perf_counter() - clock
        if time.perf_counter() - began + 2.2 * spent > 60.0 * minutes:
            break
    assert best is not None
    seconds = time.perf_counter() - began
    judged = assess(best, test, timed=False)
    found = judged.total
    os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
    trusted = judged.trust
    score = Score(
        found.energy,
        found.forces,
        cost(best, test, time.process_time),
        seconds,
        median=1e3 * float(np.median(np.abs(np.diff(judged.energies)))),
    )
    if trusted is not None:
        score = score._replace(
            within_68=trusted.coverage(0.68),
            within_95=trusted.coverage(0.95),
            rank=trusted.rank_correlation,
            rank_at_best=trusted.rank_at_best[0],
        )
    print(json.dumps(score._asdict()))


def theirs(name: str, folder: Path, minutes: float, environments: Path) -> Score:
    """A rival, in its own Python."""
    from ase.io import read

    rival = importlib.import_module(f"rivals.{name}")
    python = interpreter(rival.ENVIRONMENT, environments)
    if not python.is_file():
        raise RuntimeError(f"{rival.ENVIRONMENT} is not installed")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    environment |= {f"{library}_NUM_THREADS": "2" for library in ("OMP", "MKL", "OPENBLAS")}
    said = folder / f"{name}.log"
    with said.open("w") as log:
        done = subprocess.run(
            [python, "-m", "rivals.run", name, str(folder), str(60.0 * minutes)],
            stdout=log, stderr=log, env=environment, cwd=folder,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(" | ".join(said.read_text().strip().splitlines()[-3:]))
    test = read(folder / "test.xyz", ":")
    with np.load(folder / "predicted.npz") as found:
        energies = np.array([atoms.get_potential_energy() for atoms in test])
        n_atoms = np.array([len(atoms) for atoms in test])
        forces = np.concatenate([atoms.get_forces().ravel() for atoms in test])
        wrong = 1e3 * (found["energies"] - energies) / n_atoms
        return Score(
            float(np.sqrt(np.mean(wrong**2))),
            1e3 * float(np.sqrt(np.mean((found["forces"] - forces) ** 2))),
            float(found["microseconds"]),
            float(found["seconds"]),
            median=float(np.median(np.abs(wrong))),
        )


def figures_of(table: Table) -> list[Figure]:
    """Every score of the table."""
    figures = []
    for name, scores in table.items():
        for potential, score in scores.items():
            stem = f"accuracy.{name}.{potential}"
            figures += [
                Figure(f"{stem}.energy", round(score["energy"], 3), "meV/atom"),
                Figure(f"{stem}.force", round(score["force"], 2), "meV/A"),
                Figure(f"{stem}.cost", round(score["microseconds"], 1), "us/atom"),
                Figure(f"{stem}.fit", round(score["seconds"], 1), "s"),
            ]
            if not np.isnan(score.get("median", np.nan)):
                median = round(score["median"], 3)
                figures.append(Figure(f"{stem}.energy_median", median, "meV/atom"))
            if not np.isnan(score["within_68"]):
                figures += [
                    Figure(f"{stem}.{which}", round(score[which], 3))
                    for which in ("within_68", "within_95", "rank", "rank_at_best")
                    if which in score
                ]
    return figures


def markdown(table: Table) -> str:
    """The tables of docs/accuracy.md: errors and cost, the least of each set in bold; trust."""
    names = [name for name in (*OURS, *RIVALS) if any(name in scores for scores in table.values())]
    lines = ["| set | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    fields = ("energy", "force", "microseconds")
    for which, scores in table.items():
        least = {key: min(score[key] for score in scores.values()) for key in fields}
        cells = []
        for name in names:
            if name not in scores:
                cells.append("–")
                continue
            told = (
                f"**{scores[name][key]:.3g}**"
                if scores[name][key] == least[key]
                else f"{scores[name][key]:.3g}"
                for key in fields
            )
            cells.append(" / ".join(told))
        lines.append(f"| {which} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| set | potential | within 68 % | within 95 % | rank | at best |",
        "|---" * 6 + "|",
    ]
    for which, scores in table.items():
        for name, score in scores.items():
            if not np.isnan(score["within_68"]):
                inside = " | ".join(f"{score[f'within_{level}']:.0%}" for level in (68, 95))
                best = f"{score['rank_at_best']:.2f}" if "rank_at_best" in score else "–"
                lines.append(f"| {which} | {name} | {inside} | {score['rank']:.2f} | {best} |")
    return "\n".join(lines) + "\n"


def picture(table: Table, path: Path) -> None:
    """Errors of forces against cost, a panel for each set."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    n_rows = -(-len(table) // 4)
    figure, axes = plt.subplots(n_rows, 4, figsize=(13, 3.2 * n_rows), squeeze=False)
    for axis in axes.ravel()[len(table) :]:
        axis.axis("off")
    for axis, (name, scores) in zip(axes.ravel(), table.items(), strict=False):
        for potential, score in scores.items():
            marker = "s" if potential in RIVALS else "o"
            place = score["microseconds"], score["force"]
            axis.loglog(*place, marker, label=potential)
            axis.annotate(potential, place, fontsize=7)
        axis.set(title=name, xlabel="µs per atom", ylabel="force error, meV/Å")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Fit, judge, print."""
    parser = argparse.ArgumentParser(description="Accuracy of potentials on real data.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the reference data")
    parser.add_argument("--peers", type=Path, default=FOLDER, help="environments of the rivals")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each fit, at the most")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    everyone = [*OURS, *RIVALS]
    parser.add_argument("--potentials", nargs="+", choices=everyone, default=everyone)
    parser.add_argument("--go-on", action="store_true", help="keep the scores that are there")
    parser.add_argument("--build", action="store_true", help="make the environments and end")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, folder, minutes = arguments.child
        child(name, Path(folder), float(minutes))
        return
    if arguments.build:
        for name in RIVALS:
            rival = importlib.import_module(f"rivals.{name}")
            if not interpreter(rival.ENVIRONMENT, arguments.peers).is_file():
                own = rival if hasattr(rival, "REQUIREMENTS") else None
                build(rival.ENVIRONMENT, arguments.peers, own)
        return
    kept = RESULTS / "accuracy.json"
    go_on = arguments.go_on and kept.is_file()
    table: Table = json.loads(kept.read_text())["details"]["scores"] if go_on else {}
    for name in arguments.sets:
        data = SETS[name]
        wanted = [one for one in arguments.potentials if one not in table.get(name, {})]
        if not wanted:
            continue
        if not (arguments.data / data.file).is_file():
            print(f"{name}: {arguments.data / data.file} is missing, no figure", flush=True)
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            parts = frames_of(data, arguments.data)
            written(folder, list(zip(("train", "validation", "test"), parts, strict=True)))
            scores = table.setdefault(name, {})
            for potential in wanted:
                run: Callable[..., Score] = ours if potential in OURS else theirs
                extra = () if potential in OURS else (arguments.peers,)
                try:
                    score = run(potential, folder, arguments.minutes, *extra)
                except Exception as problem:
                    print(f"{name} {potential}: no figure: {problem}", flush=True)
                    continue
                scores[potential] = {
                    **score._asdict(),
                    "minutes": arguments.minutes,
                    "processor": processor(),
                    "date": datetime.now(UTC).isoformat(timespec="seconds"),
                }
                print(f"{name} {potential}: {score}", flush=True)
                keep(figures_of(table), "accuracy", {"scores": table})
    report(figures_of(table), "accuracy", {"scores": table})
    if any(table.values()):
        picture(table, DOCS / "accuracy.svg")
        page = DOCS / "accuracy.md"
        before, _, after = page.read_text().split(MARK)
        page.write_text(MARK.join((before, markdown(table), after)))


if __name__ == "__main__":
    main()
