"""What acceptance to expect, before any call is spent: size, temperature, length, guide error.

The standard deviation sigma of the *total* energy error d = U_D - U_M decides alone; its mean and
the errors of forces do not enter. A path changes d by an amount of variance s^2 = 2 sigma^2
(1 - r), r the correlation of d between its two ends. With <exp(-b d')> = 1 for the change d' that
the test sees (reversibility), b = 1/k_B T, and d' Gaussian,

    P = erfc(b s / 2 sqrt 2) = erfc(b sigma sqrt(1 - r) / 2),

and a chain of such proposals with decorrelated ends needs about (2 - P)/P calls for an independent
sample, at best. Errors of distant regions are independent, so sigma grows as the square root of
the number of atoms; r is taken to fall exponentially with the path's length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, exp, inf, sqrt

from hyperatom.errors import InputError
from hyperatom.units import BOLTZMANN, MILLI


def expected_acceptance(deviation: float, temperature: float, correlation: float = 0.0) -> float:
    """P for sigma in eV at a temperature in K; `correlation` of d between both ends of a path.

    Raises `InputError` for a temperature that is not positive.
    """
    if not temperature > 0.0:
        raise InputError(
            f"There is no acceptance at {temperature:g} K.", "Give a temperature above zero."
        )
    return erfc(0.5 * deviation / (BOLTZMANN * temperature) * sqrt(max(0.0, 1.0 - correlation)))


def largest_deviation(acceptance: float, temperature: float, correlation: float = 0.0) -> float:
    """The sigma in eV with which `acceptance` is reached: what the guide must be trained to."""
    from scipy.special import erfcinv

    spread = sqrt(max(0.0, 1.0 - correlation))
    reduced = 2.0 * float(erfcinv(acceptance))
    return BOLTZMANN * temperature * (reduced / spread if spread > 0.0 else inf)


def calls_per_sample(acceptance: float) -> float:
    """(2 - P)/P: calls for an independent sample where accepted ends are independent."""
    return (2.0 - acceptance) / acceptance if acceptance > 0.0 else inf


@dataclass(frozen=True)
class AcceptanceForecast:
    """A guide's error as it was measured, and what follows from it elsewhere.

    | field       | unit | meaning                                                               |
    |-------------|------|-----------------------------------------------------------------------|
    | `deviation` | eV   | standard deviation of U_D - U_M in the ensemble                       |
    | `n_atoms`   | -    | of the cell in which it was measured                                  |
    | `memory`    | fs   | time in which U_D - U_M forgets itself on a path; 0: at once          |
    """

    deviation: float
    n_atoms: int
    memory: float = 0.0

    def acceptance(
        self, temperature: float, length: float = inf, n_atoms: int | None = None
    ) -> float:
        """P at a temperature in K for paths of `length` fs in a cell of `n_atoms`."""
        scale = sqrt((self.n_atoms if n_atoms is None else n_atoms) / self.n_atoms)
        kept = exp(-length / self.memory) if self.memory > 0.0 else 0.0
        return expected_acceptance(scale * self.deviation, temperature, kept)

    def lines(
        self,
        temperatures: Sequence[float],
        lengths: Sequence[float] = (inf,),
        sizes: Sequence[int] | None = None,
    ) -> list[str]:
        """The forecast in words, one line for each size, temperature (K) and length (fs)."""
        per_atom = self.deviation / self.n_atoms / MILLI
        found = [
            f"guide error {self.deviation:.3g} eV in {self.n_atoms} atoms ({per_atom:.3g} meV/atom)"
        ]
        for n_atoms in sizes or (self.n_atoms,):
            for temperature in temperatures:
                for length in lengths:
                    p = self.acceptance(temperature, length, n_atoms)
                    path = "long paths" if length == inf else f"paths of {length:g} fs"
                    cost = calls_per_sample(p)
                    sample = (
                        f"at least {cost:.3g} calls per independent sample"
                        if cost < 1e4
                        else "hopeless"
                    )
                    found.append(
                        f"{n_atoms} atoms, {temperature:g} K, {path}: acceptance {p:.2g}, {sample}"
                    )
        return found
