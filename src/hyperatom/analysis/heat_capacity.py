"""Heat capacity, by fluctuation, by the slope of the energy, and by MBAR, side by side.

All in k_B an atom, with the kinetic part 3/2 (N-1)/N of a centre of mass at rest, to be compared
with Dulong and Petit's 3. Agreement of fluctuation and slope is itself a test of ergodicity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from hyperatom.analysis.multistate import Multistate, State, with_errors
from hyperatom.analysis.observation import Axis, Curve, Observation
from hyperatom.analysis.statistics import Array, Estimate, estimate_mean
from hyperatom.analysis.weighted import Samples, as_trajectory, function_of
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory
from hyperatom.units import BOLTZMANN, GIGAPASCAL

DULONG_PETIT = 3.0


@dataclass(frozen=True)
class HeatCapacity:
    """C at one `temperature` (K), by fluctuation: C_V, or C_P with the `pressure` (GPa) held.

        C/(N k_B) = 3/2 (N-1)/N + var(U + pV)/(N k_B^2 T^2)

    An error of 1 % of the fluctuating part takes some twenty thousand independent samples.
    """

    temperature: float
    pressure: float | None = None

    def compute(self, samples: Samples) -> Observation:
        """The heat capacity with its parts. Raises `InputError` where energies are missing."""
        trajectory = as_trajectory(samples)
        enthalpy = _enthalpy(trajectory, self.pressure)
        n = trajectory.n_atoms
        kinetic = 1.5 * (n - 1) / n
        scale = n * (BOLTZMANN * self.temperature) ** 2
        centred = enthalpy - enthalpy.mean()
        # Bessel: the mean of so many independent samples was fitted.
        columns = [centred**2, centred]
        plain = function_of(trajectory, lambda m: (m[0] - m[1] ** 2) / scale, columns, "k_B/atom")
        part = _scaled(plain, plain.n_effective / max(plain.n_effective - 1.0, 1e-9))
        name = "C_P" if self.pressure is not None else "C_V"
        total = Estimate(
            part.value + kinetic, part.error, part.n_effective, part.autocorrelation_time,
            part.unit, part.kind,
        )  # fmt: skip
        return Observation(
            f"heat capacity {name} by fluctuation",
            trajectory.kind,
            len(trajectory),
            numbers={f"{name}": total, f"{name}, configurations": part},
            notes=(_beside(n),),
        )


@dataclass(frozen=True)
class HeatCapacityCurve:
    """C(T) from runs at several temperatures, by three routes.

    | curve       | from                                                                       |
    |-------------|----------------------------------------------------------------------------|
    | fluctuation | the variance at each temperature                                           |
    | slope       | differences of <H> between neighbouring temperatures, at their middle      |
    | MBAR        | the variance at each temperature of the samples of all, reweighted         |

    `pressure` (GPa) where it was held; else C_V.
    """

    pressure: float | None = None

    def compute(self, runs: Sequence[tuple[float, Samples]]) -> Observation:
        """`runs` are (temperature in K, trajectory).

        Raises `InputError` for fewer than two temperatures, or runs of different atoms.
        """
        if len({temperature for temperature, _ in runs}) < 2:
            raise InputError(
                "A slope needs runs at two temperatures or more.", "Use HeatCapacity for one."
            )
        runs = sorted(runs, key=lambda run: run[0])
        trajectories = [as_trajectory(samples) for _, samples in runs]
        n = trajectories[0].n_atoms
        if any(
            not np.array_equal(np.sort(t.numbers), np.sort(trajectories[0].numbers))
            for t in trajectories
        ):
            raise InputError("The runs are not of the same atoms.", "Compare like with like.")
        temperatures = np.array([temperature for temperature, _ in runs])
        kinetic = 1.5 * (n - 1) / n
        each = [
            HeatCapacity(t, self.pressure).compute(one)
            for t, one in zip(temperatures, trajectories, strict=True)
        ]
        totals = [next(iter(one.numbers.values())) for one in each]
        means = [
            estimate_mean(t.by_walker(_enthalpy(t, self.pressure)), "eV", t.kind)
            for t in trajectories
        ]
        value, error = np.array([(m.value, m.error) for m in means]).T
        gap = np.diff(temperatures)
        slope = kinetic + np.diff(value) / (n * BOLTZMANN * gap)
        slope_error = np.hypot(error[1:], error[:-1]) / (n * BOLTZMANN * gap)
        curves = {
            "fluctuation": Curve(
                temperatures,
                np.array([t.value for t in totals]),
                np.array([t.error for t in totals]),
                min(t.n_effective for t in totals),
            ),
            "slope": Curve(
                (temperatures[1:] + temperatures[:-1]) / 2.0,
                slope,
                np.where(slope_error > 0.0, slope_error, nan),
                min(m.n_effective for m in means),
            ),
        }
        notes = []
        states = [
            State(t, _enthalpy(one, self.pressure))
            for t, one in zip(temperatures, trajectories, strict=True)
        ]

        def variance(joined: Multistate) -> Array:
            found = []
            for t in temperatures:
                h = joined.energies - joined.energies.mean()
                mean = joined.average(h, t)
                found.append(joined.average((h - mean) ** 2, t) / (n * (BOLTZMANN * t) ** 2))
            return kinetic + np.array(found)

        # The pressure is the same in all states, so that enthalpies stand in for energies.
        joined_value, joined_error, joined = with_errors(states, variance)
        effective = min(joined.effective(t) for t in temperatures)
        curves["MBAR"] = Curve(temperatures, joined_value, joined_error, effective)
        if not joined.connected:
            notes.append(
                "Neighbouring temperatures hardly overlap: MBAR joins nothing; choose more of them."
            )
        kinds = {t.kind for t in trajectories}
        return Observation(
            f"heat capacity {'C_P' if self.pressure is not None else 'C_V'}",
            trajectories[0].kind if len(kinds) == 1 else "as given",
            sum(len(t) for t in trajectories),
            Axis("temperature", "K"),
            Axis("heat capacity", "k_B/atom"),
            curves,
            notes=(*notes, _beside(n)),
        )


def _enthalpy(trajectory: Trajectory, pressure: float | None) -> Array:
    if pressure is None:
        return trajectory.energies
    return np.asarray(trajectory.energies + pressure * GIGAPASCAL * trajectory.volumes)


def _scaled(one: Estimate, factor: float) -> Estimate:
    return Estimate(
        factor * one.value, factor * one.error, one.n_effective, one.autocorrelation_time, one.unit,
        one.kind,
    )  # fmt: skip


def _beside(n_atoms: int) -> str:
    part = (n_atoms - 1) / n_atoms
    return (
        f"The kinetic part is {1.5 * part:.6g} k_B/atom; "
        f"Dulong and Petit: {DULONG_PETIT * part:.6g}."
    )
