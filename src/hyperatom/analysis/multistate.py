"""MBAR: samples of several temperatures and pressures, each used for all of them.

M. R. Shirts and J. D. Chodera, J. Chem. Phys. 129, 124105 (2008), through pymbar. Samples of one
state are correlated; so they are thinned to independent ones first, and errors come from repeating
the whole estimate without one block of each state at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.statistics import Array, autocorrelation_time, pymbar_module
from hyperatom.errors import InputError
from hyperatom.units import BOLTZMANN

BLOCKS: Final = 16
"""Blocks of each state that are left out in turn."""

LEAST_OVERLAP: Final = 0.03
"""Overlap of neighbouring states below which they do not tell of each other (pymbar's advice)."""


@dataclass(frozen=True, eq=False)
class State:
    """Samples at one temperature and pressure.

    | field         | shape        | unit   | meaning                             |
    |---------------|--------------|--------|-------------------------------------|
    | `temperature` | scalar       | K      |                                     |
    | `energies`    | (n_samples,) | eV     | potential energy                    |
    | `volumes`     | (n_samples,) | Å^3    | None where the cell was fixed       |
    | `pressure`    | scalar       | eV/Å^3 | None where the cell was fixed       |
    """

    temperature: float
    energies: Array
    volumes: Array | None = None
    pressure: float | None = None

    def thinned(self) -> "State":
        """Independent samples: every g-th."""
        g = ceil(autocorrelation_time(self.energies))
        volumes = None if self.volumes is None else self.volumes[::g]
        return State(self.temperature, self.energies[::g], volumes, self.pressure)


@dataclass(frozen=True, eq=False)
class Multistate:
    """All states together, solved.

    | field          | shape                | meaning                                         |
    |----------------|----------------------|-------------------------------------------------|
    | `states`       | n_states             | thinned                                         |
    | `energies`     | (n_samples,)         | of all states in order, eV                      |
    | `volumes`      | (n_samples,) or None | Å^3                                             |
    | `free_energies`| (n_states,)          | beta F of each state relative to the first      |
    | `overlap`      | (n_states, n_states) | probability to find a sample of i under j       |
    """

    states: tuple[State, ...]
    energies: Array
    volumes: Array | None
    free_energies: Array
    overlap: Array

    @property
    def connected(self) -> bool:
        """Do neighbouring states overlap enough to tell of each other?"""
        neighbours = np.diagonal(self.overlap, 1)
        return bool((neighbours >= LEAST_OVERLAP).all())

    def weights(self, temperature: float, pressure: float | None = None) -> Array:
        """Weight of each sample in the ensemble at `temperature` (K), summing to one."""
        log = -self._log_mixture() - self._reduced(temperature, pressure)
        weight = np.exp(log - log.max())
        normalised: Array = weight / weight.sum()
        return normalised

    def effective(self, temperature: float, pressure: float | None = None) -> float:
        """Kish's number of samples that count at `temperature` (K)."""
        return float(1.0 / np.sum(self.weights(temperature, pressure) ** 2))

    def average(self, values: Array, temperature: float, pressure: float | None = None) -> float:
        """Mean of one value a sample, at any temperature in between."""
        return float(self.weights(temperature, pressure) @ values)

    def _reduced(self, temperature: float, pressure: float | None) -> Array:
        enthalpy = self.energies
        if self.volumes is not None and pressure is not None:
            enthalpy = enthalpy + pressure * self.volumes
        return np.asarray(enthalpy / (BOLTZMANN * temperature))

    def _log_mixture(self) -> Array:
        from scipy.special import logsumexp

        terms = np.stack(
            [
                np.log(len(s.energies)) + f - self._reduced(s.temperature, s.pressure)
                for s, f in zip(self.states, self.free_energies, strict=True)
            ]
        )
        return np.asarray(logsumexp(terms, axis=0))


def multistate(
    states: Sequence[State], *, thin: bool = True, near: Array | None = None
) -> Multistate:
    """Solve the MBAR equations for samples of several states, in the order of temperature.

    `near` are free energies from which to start, as `Multistate` has them.
    Raises `InputError` for fewer than two states, or a state of fewer than two samples.
    """
    if len(states) < 2:
        raise InputError(
            f"MBAR joins samples of several temperatures; there is {len(states)}.",
            "Give at least two.",
        )
    kept = tuple(one.thinned() if thin else one for one in states)
    kept = tuple(sorted(kept, key=lambda one: one.temperature))
    if min(len(one.energies) for one in kept) < 2:
        raise InputError("A temperature has fewer than two independent samples.", "Run longer.")
    energies = np.concatenate([one.energies for one in kept])
    volumes = None
    if all(one.volumes is not None for one in kept):
        volumes = np.concatenate([one.volumes for one in kept if one.volumes is not None])
    mean = energies.mean()
    joined = Multistate(kept, energies - mean, volumes, np.zeros(len(kept)), np.eye(len(kept)))
    reduced = np.stack([joined._reduced(one.temperature, one.pressure) for one in kept])
    counts = np.array([len(one.energies) for one in kept])
    shift = mean / BOLTZMANN * np.array([1.0 / one.temperature for one in kept])
    overlap = np.eye(len(kept))
    if near is None:
        import jax

        with jax.enable_x64(True):  # pymbar would switch it on for the whole process
            mbar = pymbar_module("mbar").MBAR(reduced, counts)
            overlap = np.asarray(mbar.compute_overlap()["matrix"], dtype=np.float64)
            solved = np.asarray(mbar.f_k, dtype=np.float64)
    else:
        solved = _newton(reduced, counts, near - shift)
    free = solved + shift
    return Multistate(kept, energies, volumes, free - free[0], overlap)


def _newton(reduced: Array, counts: NDArray[np.int64], free: Array) -> Array:
    """Solve the MBAR equations, sum_n W_nk = 1, from free energies close to the solution."""
    from scipy.special import logsumexp

    for _ in range(50):
        terms = free[:, None] - reduced
        weight = np.exp(terms - logsumexp(terms, axis=0, b=counts[:, None]))
        gradient = counts * (weight.sum(axis=1) - 1.0)
        inside = counts[:, None] * weight
        hessian = np.diag(inside.sum(axis=1)) - inside @ inside.T
        step = np.linalg.lstsq(hessian, -gradient, rcond=1e-12)[0]
        free = free + step - step[0]
        if np.abs(step).max() < 1e-10:
            break
    return free


def with_errors(
    states: Sequence[State], question: Callable[[Multistate], Array]
) -> tuple[Array, Array, Multistate]:
    """The answer of all states to `question`, its standard error, and the states joined.

    Blocks of each state are left out in turn, state by state: samples of states are independent, so
    that squared errors add up, and with many states the error itself is well known.
    """
    kept = [one.thinned() for one in states]
    joined = multistate(kept, thin=False)
    n_blocks = min(BLOCKS, min(len(one.energies) for one in kept) // 2)
    value = np.asarray(question(joined), dtype=np.float64)
    if n_blocks < 4:
        return value, np.full(value.shape, np.nan), joined
    squared, near = np.zeros(value.shape), joined.free_energies
    for number, one in enumerate(kept):
        n = len(one.energies)
        replicas = []
        for block in range(n_blocks):
            chosen: NDArray[np.bool_] = np.arange(n) * n_blocks // n != block
            volumes = None if one.volumes is None else one.volumes[chosen]
            left = State(one.temperature, one.energies[chosen], volumes, one.pressure)
            states_left = [*kept[:number], left, *kept[number + 1 :]]
            replicas.append(question(multistate(states_left, thin=False, near=near)))
        table = np.stack(replicas)
        squared += (n_blocks - 1) * np.mean((table - table.mean(axis=0)) ** 2, axis=0)
    error = np.sqrt(squared)
    return value, np.where(error > 0.0, error, np.nan), joined
