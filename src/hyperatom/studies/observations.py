"""What a study finds of each member: heat capacity, energies, diffusion, minima."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np

from hyperatom.analysis.arrhenius import arrhenius
from hyperatom.analysis.free_energy_difference import FreeEnergyDifference
from hyperatom.analysis.heat_capacity import DULONG_PETIT, HeatCapacityCurve
from hyperatom.analysis.inherent_structures import InherentStructures
from hyperatom.analysis.mean_squared_displacement import (
    SQUARE_CENTIMETRE_PER_SECOND,
    MeanSquaredDisplacement,
)
from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.statistics import Array, Estimate, estimate_mean
from hyperatom.campaign.run_directory import write_atomically
from hyperatom.errors import InputError
from hyperatom.studies.parts import Part
from hyperatom.studies.samples import samples_of, surface_of
from hyperatom.studies.settings import StudySettings
from hyperatom.trajectory import Trajectory
from hyperatom.units import BOLTZMANN

Told = Callable[[float, str], None]
"""Is told which fraction of what is done."""

Minima = dict[float, dict[str, Estimate]]
"""By temperature, K: energies of minima and of vibration, eV/atom."""


def heat_capacity(
    runs: Sequence[tuple[float, Trajectory]],
    minima: Minima,
    reference: FreeEnergyDifference | None = None,
) -> Observation:
    """C_V three ways, and the part of the inherent structures, d<e_IS>/dT; k_B by atom.

    With `reference`, what it adds, C_V of the reference by fluctuation and slope as well.

    The number `slope over all temperatures` is that of a straight line through <U>, with the
    kinetic part: for a harmonic crystal 3 (N - 1)/N.
    """
    found = HeatCapacityCurve().compute(runs)
    n = runs[0][1].n_atoms
    kinetic = 1.5 * (n - 1) / n
    curves = dict(found.curves)
    fluctuation = curves["fluctuation"]
    kind = found.kind
    numbers = {
        f"C_V at {t:g} K": Estimate(
            float(y), float(e), fluctuation.n_effective, 1.0, "k_B/atom", kind
        )
        for t, y, e in zip(fluctuation.x, fluctuation.y, fluctuation.error, strict=True)
    }
    kelvins, means = zip(*_mean_energies(runs), strict=True)
    numbers["slope over all temperatures"] = _line(kelvins, means, kinetic)
    notes = list(found.notes)
    if reference is not None:
        fluctuations = [
            (t, _sum(numbers[f"C_V at {t:g} K"], reference.heat_capacity(t))) for t in kelvins
        ]
        curves["fluctuation, of the reference"] = _curve(fluctuations)
        numbers |= {f"C_V at {t:g} K, of the reference": one for t, one in fluctuations}
        slopes = curves["slope"]
        between = np.array([-1.0, 1.0]) / (BOLTZMANN * np.diff(kelvins)[:, None])
        added = [
            reference.slope(weights, np.array(pair))
            for weights, pair in zip(between, pairwise(kelvins), strict=True)
        ]
        curves["slope, of the reference"] = replace(
            slopes,
            y=slopes.y + [one.value for one in added],
            error=np.hypot(slopes.error, [one.error for one in added]),
        )
        line = numbers["slope over all temperatures"]
        numbers["slope over all temperatures, of the reference"] = _sum(
            line, reference.slope(_line_weights(kelvins, means), np.array(kelvins))
        )
        notes.append(
            "Slopes and fluctuations of the reference are those of its own energies in its own "
            "ensemble: the guide's, and a parabola in the temperature for the difference of free "
            "energies, to second order in what the guide errs (chi^2 per degree of freedom: "
            f"{reference.departure:.2g}). Their error bars hold that of both."
        )
    if len(minima) > 1:
        ours = sorted(minima)
        inherent = [minima[t]["inherent structure"] for t in ours]
        curves["inherent structures"] = _slopes(ours, inherent)
        numbers["inherent structures, over all temperatures"] = _line(ours, inherent, 0.0)
        notes.append(
            "The part of the inherent structures is the slope of the mean energy of the minima "
            "below the sampled configurations; the rest is vibration."
        )
    return replace(found, curves=curves, numbers=numbers, notes=tuple(notes))


def energies(runs: Sequence[tuple[float, Trajectory]], minima: Minima) -> Observation:
    """Mean potential energy at each temperature, and its split into minimum and vibration."""
    means = _mean_energies(runs)
    curves = {"potential energy": _curve(means)}
    if minima:
        for name in ("inherent structure", "vibration"):
            curves[name] = _curve([(t, minima[t][name]) for t in sorted(minima)])
    return Observation(
        "potential energy",
        runs[0][1].kind,
        sum(len(one) for _, one in runs),
        Axis("temperature", "K"),
        Axis("energy", "eV/atom"),
        curves,
        {f"<U> at {t:g} K": one for t, one in means},
    )


def diffusion(runs: Sequence[tuple[float, Trajectory]]) -> tuple[Observation, Observation]:
    """D(T) by species with Arrhenius lines where they can be, and how far atoms have come.

    The second holds mean squared displacements at the longest lag t. Where a species does not
    diffuse they bound its constant, D <= MSD(t) / 6 t: bound atoms, and jumps back and forth, make
    this ratio fall with t. Raises `InputError` for Monte Carlo chains, which have no clock.
    """
    symbols = runs[0][1].symbols
    constants: dict[str, dict[float, Estimate]] = {symbol: {} for symbol in symbols}
    reached: dict[str, list[tuple[float, float, float]]] = {symbol: [] for symbol in symbols}
    lag = 0.0
    for kelvin, trajectory in runs:
        one = MeanSquaredDisplacement().compute(trajectory)
        for symbol in symbols:
            curve = one.curves[symbol]
            last = int(np.flatnonzero(np.isfinite(curve.y))[-1])
            reached[symbol].append((kelvin, float(curve.y[last]), float(curve.error[last])))
            lag = float(curve.x[last])
            if (constant := one.numbers.get(f"diffusion of {symbol}")) is not None:
                constants[symbol][kelvin] = constant
    kind = runs[0][1].kind
    frames = sum(len(one) for _, one in runs)
    curves, numbers, notes = {}, {}, []
    for symbol, found in constants.items():
        for kelvin, constant in found.items():
            numbers[f"D of {symbol} at {kelvin:g} K"] = constant
        if found:
            curves[symbol] = _curve(sorted(found.items()))
        bounds = [
            (kelvin, *(SQUARE_CENTIMETRE_PER_SECOND * np.array(one) / (6.0 * lag)))
            for kelvin, *one in reached[symbol]
            if kelvin not in found
        ]
        if bounds:
            curves[f"{symbol}, at most"] = Curve(*np.array(bounds).T)
        usable = {t: d for t, d in found.items() if d.value > 0.0 and d.error > 0.0}
        if len(usable) >= 3:
            line = arrhenius(usable)
            numbers[f"activation energy of {symbol}"] = line.numbers["activation energy"]
            numbers[f"prefactor of {symbol}"] = line.numbers["prefactor"]
            notes += [f"{symbol}: {note}" for note in line.notes]
        else:
            notes.append(
                f"{symbol}: diffusive at {len(found)} of {len(runs)} temperatures within the runs"
                f"{', too few for an Arrhenius line' if found else ''}."
            )
    constants_found = Observation(
        "diffusion", kind, frames, Axis("temperature", "K"), Axis("D", "cm^2/s"), curves, numbers,
        tuple(notes),
    )  # fmt: skip
    displacement = Observation(
        f"mean squared displacement after {lag / 1000.0:.4g} ps",
        kind,
        frames,
        Axis("temperature", "K"),
        Axis("mean squared displacement", "Å^2"),
        {symbol: Curve(*np.array(rows).T) for symbol, rows in reached.items()},
    )
    return constants_found, displacement


def minima(parts: Sequence[Part], settings: StudySettings, told: Told) -> tuple[Minima, list[str]]:
    """Inherent structures of each run, kept beside it; and where none were reached, why.

    Begun anew for a run whose `minima.json` was made with other settings.
    """
    wanted = settings.minima
    found: Minima = {}
    problems: list[str] = []
    if wanted.frames == 0:
        return found, problems
    surface = None
    try:
        for number, part in enumerate(parts):
            told(number / len(parts), f"minima, {part.member.name} at {part.kelvin:g} K")
            file = part.path / "minima.json"
            request = wanted.model_dump()
            kept = _read(file, request)
            if kept is None:
                if surface is None or part.kind == "chain":
                    if surface is not None:
                        surface.close()
                    surface = surface_of(part, settings)
                trajectory = samples_of(part, settings)
                every = ceil(len(trajectory) / wanted.frames)
                search = InherentStructures(surface, every, wanted.force, wanted.steps)
                try:
                    kept = dict(search.compute(trajectory).numbers)
                except InputError as problem:
                    problems.append(f"{part.sentence}: {problem.problem}")
                    continue
                content = {name: asdict(one) for name, one in kept.items()}
                write_atomically(file, json.dumps({"settings": request, "found": content}))
            found[part.kelvin] = kept
    finally:
        if surface is not None:
            surface.close()
    return found, problems


def harmonic(n_atoms: int) -> float:
    """Dulong and Petit's heat capacity of N atoms whose centre of mass rests, k_B by atom."""
    return DULONG_PETIT * (n_atoms - 1) / n_atoms


def _read(file: Path, request: dict[str, object]) -> dict[str, Estimate] | None:
    try:
        content = json.loads(file.read_text())
        if content["settings"] != request:
            return None
        return {name: Estimate(**one) for name, one in content["found"].items()}
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _mean_energies(runs: Sequence[tuple[float, Trajectory]]) -> list[tuple[float, Estimate]]:
    return [
        (t, estimate_mean(one.by_walker(one.energies / one.n_atoms), "eV/atom", one.kind))
        for t, one in runs
    ]


def _curve(points: Sequence[tuple[float, Estimate]]) -> Curve:
    return Curve(
        np.array([t for t, _ in points]),
        np.array([one.value for _, one in points]),
        np.array([one.error for _, one in points]),
        min(one.n_effective for _, one in points),
    )


def _slopes(kelvins: Sequence[float], means: Sequence[Estimate]) -> Curve:
    """Differences of neighbours at their middle, k_B by atom."""
    t = np.array(kelvins)
    value = np.array([one.value for one in means])
    error = np.array([one.error for one in means])
    gap = BOLTZMANN * np.diff(t)
    return Curve(
        (t[1:] + t[:-1]) / 2.0,
        np.diff(value) / gap,
        np.hypot(error[1:], error[:-1]) / gap,
        min(one.n_effective for one in means),
    )


def _sum(one: Estimate, other: Estimate) -> Estimate:
    """Of independent estimates."""
    return replace(
        one,
        value=one.value + other.value,
        error=float(np.hypot(one.error, other.error)),
        n_effective=min(one.n_effective, other.n_effective),
    )


def _line(kelvins: Sequence[float], means: Sequence[Estimate], kinetic: float) -> Estimate:
    """Slope of a straight line through independent means with their errors, plus `kinetic`."""
    weights = _line_weights(kelvins, means)
    error = np.array([one.error for one in means])
    known = bool((error > 0.0).all())
    return Estimate(
        float(weights @ np.array([one.value for one in means])) + kinetic,
        float(np.linalg.norm(weights * error)) if known else float("nan"),
        min(one.n_effective for one in means),
        1.0,
        "k_B/atom",
        means[0].kind,
    )


def _line_weights(kelvins: Sequence[float], means: Sequence[Estimate]) -> Array:
    """What each mean counts for in the slope of that line, (n,), 1/eV."""
    x = BOLTZMANN * np.array(kelvins)
    error = np.array([one.error for one in means])
    weight: Array = np.where(error > 0.0, error, np.nan) ** -2.0
    if not np.isfinite(weight).all():
        weight = np.ones_like(x)
    centred = x - (weight @ x) / weight.sum()
    return np.asarray(weight * centred / (weight @ centred**2))
