"""What can be wrong with a data set: each a plain sentence that names the frames, and a cure.

Slopes of the data themselves are looked at: between two configurations of the same atoms that are
close, with s the strain and u the displacements beyond it,

    E_2 - E_1 = -1/2 (F_1 + F_2) . u + 1/2 (V_1 S_1 + V_2 S_2) : s + O(u^3)

exact for harmonic forces. A slope of 27.2 where one is expected says Hartree, one of -1 for the
stress says the other sign.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.evaluation import VOIGT
from hyperatom.geometry.neighbours import minimum_distance
from hyperatom.potentials.energies_of_atoms import compositions
from hyperatom.potentials.family import LabelledFrame
from hyperatom.units import GIGAPASCAL, HARTREE

Array = NDArray[np.float64]

LARGEST_FORCE = 1.0e3
"""eV/Å; no electronic-structure method is fitted there."""

CLOSEST = 0.35
"""Atoms closer than this fraction of the sum of their covalent radii are on top of each other."""

SAME_ENERGY = 1.0e-3
"""eV/atom; equal configurations whose energies differ by more contradict each other."""

GAP = 1.0
"""eV/atom; a gap among energies of equal compositions that is larger, and ..."""

GAP_RATIO = 8.0
"""... so many times wider than the spread on both of its sides, is one between zeros of energy."""

ENOUGH_PAIRS = 8
"""Pairs of close frames from which a slope is told."""

SLOPES = {
    "the energies look like Hartree": 1.0 / HARTREE,
    "the energies look like Rydberg": 2.0 / HARTREE,
    "the energies look like kcal/mol": 23.0605,
    "the energies look like kJ/mol": 96.4853,
    "the energies look like meV": 1.0e3,
    "the forces look like Hartree/Bohr": 51.4221,
    "the forces look like Rydberg/Bohr": 25.7110,
    "the forces look like kcal/mol/Å": 1.0 / 23.0605,
    "the forces have the wrong sign: they look like gradients": -1.0,
}
"""What a slope of so much, energies against forces, says."""


@dataclass(frozen=True)
class Finding:
    """Something about the data: a sentence and its cure. What is `serious` spoils a fit."""

    sentence: str
    cure: str
    serious: bool = True


def check_data(frames: Sequence[LabelledFrame], n_unknowns: int | None = None) -> list[Finding]:
    """Everything that is found; nothing where the data are as they should be."""
    findings = [
        *_overlaps(frames),
        *_forces(frames),
        *_duplicates(frames),
        *_zeros(frames),
        *_slopes(frames),
    ]
    if n_unknowns is not None:
        findings += _rows(frames, n_unknowns)
    return findings


def without_large_forces(
    frames: Sequence[LabelledFrame], largest: float
) -> tuple[list[LabelledFrame], int]:
    """The frames whose forces are all below `largest` eV/Å, and how many are not."""
    kept = [frame for frame in frames if _largest_force(frame) <= largest]
    return kept, len(frames) - len(kept)


def without_duplicates(
    frames: Sequence[LabelledFrame],
) -> tuple[list[LabelledFrame], int]:
    """The first of equal configurations, and how many others there were."""
    seen: dict[str, LabelledFrame] = {}
    for frame in frames:
        seen.setdefault(frame.configuration.digest(), frame)
    return list(seen.values()), len(frames) - len(seen)


def listed(words: Sequence[str]) -> str:
    """The first four, and how many more there are."""
    return "; ".join(words[:4]) + (f"; and {len(words) - 4} more" if len(words) > 4 else "")


def _named(frames: Sequence[LabelledFrame]) -> str:
    return listed([frame.source for frame in frames])


def _largest_force(frame: LabelledFrame) -> float:
    return float(np.abs(frame.evaluation.forces).max()) if frame.has_forces else 0.0


def _overlaps(frames: Sequence[LabelledFrame]) -> list[Finding]:
    from ase.data import covalent_radii

    found, closest = [], np.inf
    for frame in frames:
        here = frame.configuration
        distance = minimum_distance(here.positions, here.cell, here.periodic)
        if distance < CLOSEST * 2.0 * float(covalent_radii[here.numbers].min()):
            found.append(frame)
            closest = min(closest, distance)
    if not found:
        return []
    return [
        Finding(
            f"Atoms are on top of each other, {closest:.3f} Å apart, in {_named(found)}.",
            "Take these frames out, or look for a wrong unit of length or a wrong cell.",
        )
    ]


def _forces(frames: Sequence[LabelledFrame]) -> list[Finding]:
    found = [frame for frame in frames if _largest_force(frame) > LARGEST_FORCE]
    if not found:
        return []
    worst = max(_largest_force(frame) for frame in found)
    return [
        Finding(
            f"Forces reach {worst:.3g} eV/Å in {_named(found)}.",
            "Leave such frames out: 'largest_force: 100' under 'data'.",
        )
    ]


def _duplicates(frames: Sequence[LabelledFrame]) -> list[Finding]:
    by_digest = defaultdict(list)
    for frame in frames:
        by_digest[frame.configuration.digest()].append(frame)
    several = [same for same in by_digest.values() if len(same) > 1]
    quarrel = [
        same
        for same in several
        if np.ptp([one.evaluation.energy / one.configuration.n_atoms for one in same]) > SAME_ENERGY
    ]
    findings = []
    if quarrel:
        energies = [one.evaluation.energy for one in quarrel[0]]
        findings.append(
            Finding(
                f"Equal configurations have different energies ({min(energies):.6g} and "
                f"{max(energies):.6g} eV): {_named(quarrel[0])}.",
                "Keep one of them: they are of different references, or one did not converge.",
            )
        )
    if several:
        extra = sum(len(same) - 1 for same in several)
        findings.append(
            Finding(
                f"{extra} frames are there twice, e.g. {_named(several[0])}.",
                "They are counted once.",
                serious=False,
            )
        )
    return findings


def _zeros(frames: Sequence[LabelledFrame]) -> list[Finding]:
    """Two heaps of energies of equal compositions, far apart and each narrow: two zeros."""
    from ase.data import chemical_symbols

    species = tuple(sorted({z for frame in frames for z in frame.configuration.species}))
    by_composition = defaultdict(list)
    for frame, counts in zip(frames, compositions(frames, species), strict=True):
        by_composition[tuple(counts / counts.sum())].append(frame)
    for fractions, same in by_composition.items():
        energies = np.array([f.evaluation.energy / f.configuration.n_atoms for f in same])
        order = np.argsort(energies)
        gaps = np.diff(energies[order])
        if not len(gaps):
            continue
        widest = int(np.argmax(gaps))
        lower, upper = order[: widest + 1], order[widest + 1 :]
        spread = max(np.ptp(energies[lower]), np.ptp(energies[upper]))
        if gaps[widest] < max(GAP, GAP_RATIO * spread) or min(len(lower), len(upper)) < 2:
            continue
        few, many = sorted((lower, upper), key=len)
        shift = float(np.median(energies[many]) - np.median(energies[few]))
        odd = [same[k] for k in sorted(few)]
        names = ", ".join(
            f"{chemical_symbols[z]}: {shift:.6g}"
            for z, part in zip(species, fractions, strict=True)
            if part > 0.0
        )
        return [
            Finding(
                f"Energies have two zeros: {len(few)} frames lie {abs(shift):.4g} eV/atom "
                f"{'below' if shift > 0 else 'above'} the other {len(many)} of the same "
                f"composition: {_named(odd)}.",
                "Keep them in a file of their own and give offsets for each element, e.g. "
                f"'energy_offsets: {{FILE: {{{names}}}}}' under 'data'.",
            )
        ]
    return []


def _slopes(frames: Sequence[LabelledFrame]) -> list[Finding]:
    changes = _changes_between_close_frames(frames)
    findings = []
    if len(changes) >= ENOUGH_PAIRS:
        energy, by_force, by_stress = np.array(changes).T
        with_stress = np.isfinite(by_stress)
        pulled = with_stress & (np.abs(by_stress) > 0.3 * np.abs(by_force))
        alone = ~pulled
        if alone.sum() >= ENOUGH_PAIRS:
            slope, certain = _slope(
                by_force[alone], energy[alone] - np.nan_to_num(by_stress[alone])
            )
            said = next((text for text, one in SLOPES.items() if _near(slope, one)), None)
            if certain and said is not None:
                findings.append(
                    Finding(
                        f"Energies change {slope:.3g} times as much as the forces say between "
                        f"{int(alone.sum())} pairs of close frames: {said}.",
                        "Bring energies to eV and forces to eV/Å.",
                    )
                )
        if not findings and pulled.sum() >= ENOUGH_PAIRS // 2:
            slope, certain = _slope(by_stress[pulled], energy[pulled] - by_force[pulled])
            said = None
            if _near(slope, -1.0):
                said = "its sign is the other one (here tension is positive, as in ASE)"
            elif _near(abs(slope), GIGAPASCAL):
                said = "it is in GPa"
            elif _near(abs(slope), 0.1 * GIGAPASCAL):
                said = "it is in kbar"
            if certain and said is not None:
                findings.append(
                    Finding(
                        f"Energies change {slope:.3g} times as much with the cell as the stress "
                        f"says between {int(pulled.sum())} pairs of frames: {said}.",
                        "Give the stress in eV/Å^3 with tension positive, or 'stress: false'.",
                    )
                )
    return findings


def _near(slope: float, expected: float) -> bool:
    return abs(slope / expected - 1.0) < 0.05


def _slope(x: Array, y: Array) -> tuple[float, bool]:
    """y against x through zero, and whether they go together at all."""
    if not (np.any(x) and np.any(y)):
        return float("nan"), False
    # Medians: a few pairs that are not close enough do not matter.
    large = np.abs(x) >= np.median(np.abs(x))
    ratios = y[large] / x[large]
    slope = float(np.median(ratios))
    scatter = float(np.median(np.abs(ratios - slope)))
    return slope, scatter < 0.15 * abs(slope)


def _changes_between_close_frames(
    frames: Sequence[LabelledFrame],
) -> list[tuple[float, float, float]]:
    """(E_2 - E_1, what forces say, what the stress says) of neighbours in the data, eV."""
    changes = []
    for one, other in pairwise(frames):
        here, there = one.configuration, other.configuration
        comparable = (
            np.array_equal(here.numbers, there.numbers)
            and np.array_equal(here.periodic, there.periodic)
            and one.has_forces
            and other.has_forces
        )
        if not comparable:
            continue
        stretch: NDArray[np.floating[Any]] = np.eye(3)
        by_stress = float("nan")
        if here.periodic.all():
            stretch = np.linalg.solve(here.cell, there.cell)
            if np.abs(stretch - np.eye(3)).max() > 0.06:
                continue
            strain = 0.5 * (stretch + stretch.T) - np.eye(3)
            voigt = strain[VOIGT] * [1, 1, 1, 2, 2, 2]
            first, second = one.evaluation.stress, other.evaluation.stress
            if first is not None and second is not None:
                mean = 0.5 * (first * here.volume + second * there.volume)
                by_stress = float(mean @ voigt)
            elif np.abs(strain).max() > 1e-6:
                continue
        moved = there.positions - here.positions @ stretch
        if here.periodic.all():
            fractional = moved @ np.linalg.inv(there.cell)
            moved = (fractional - np.round(fractional)) @ there.cell
        # Beyond a third of an Ångström forces are not linear.
        if np.abs(moved).max() > 0.35:
            continue
        force = 0.5 * (one.evaluation.forces + other.evaluation.forces)
        energy = other.evaluation.energy - one.evaluation.energy
        changes.append((energy, -float(np.sum(force * moved)), by_stress))
    return changes


def _rows(frames: Sequence[LabelledFrame], n_unknowns: int) -> list[Finding]:
    n_rows = sum(
        1
        + 3 * frame.configuration.n_atoms * frame.has_forces
        + 6 * (frame.evaluation.stress is not None)
        for frame in frames
    )
    if n_rows >= n_unknowns:
        return []
    return [
        Finding(
            f"{n_rows} numbers are to determine {n_unknowns} unknowns: the rest is the prior's.",
            "Give more frames, forces, or choose fewer functions; look at the predicted errors.",
            serious=False,
        )
    ]
