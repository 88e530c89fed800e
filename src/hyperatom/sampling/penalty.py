"""The penalty: what an energy with a standard error costs in the acceptance test.

A reference whose energy e is Gaussian about U with standard deviation s (quantum Monte Carlo) gives
the exact ensemble all the same, if the test pays for the noise. With x = s/k_B T of each end, the
penalty is u = x^2/2, by the mean of a Gaussian's exponential: <exp(-e/k_B T)> = exp(-U/k_B T + u).

**Asking again** (the penalty method: Ceperley and Dewing, J. Chem. Phys. 110, 9812 (1999)). Both
ends are asked anew at every test, two calls, and log a = -(e' - e)/k_B T - u' - u + log ratio. Then
<a>(x -> x') exp(-U/k_B T) is symmetric, for any noise that is independent from call to call.
Energies are to be averaged over `Transition.present`, which had no say in how the chain came there.

**Keeping the energy** of the present state (one call a test) makes it a part of the state, and the
penalty of the state one leaves is paid back: log a = -(e' - e)/k_B T - u' + u + log ratio. The
chain then samples exp(-e/k_B T - u) N(e; U, s^2), whose integral over e is exp(-U/k_B T)
(pseudo-marginal Monte Carlo: Andrieu and Roberts, Ann. Stat. 37, 697 (2009)). It sticks where e
came out low, hence for s below about k_B T only; kept energies are low by s^2/k_B T on average
(`unbiased_energy`).

**An estimated standard error**, from `estimates` = n independent estimates, is itself noisy. Then
exp(-x^2/2) is replaced by the function of the estimate that has this mean,

    f = sum_k (-x^2/2)^k/k! (m/2)^k Gamma(m/2)/Gamma(m/2 + k) = 0F1(; m/2; -m x^2/4),   m = n - 1,

so that u = -log f = x^2/2 + x^4/(4 (n + 1)) + x^6/(3 (n + 1)(n + 3)) + ..., the series of Ceperley
and Dewing in closed form. Exact where the energy is kept; where it is asked for again the minimum
in Metropolis' rule leaves an error that is small for x^2 < n/4. Where f is not positive the noise
is beyond what n estimates can correct, and the move is rejected.

None of this is for a loosely converged self-consistent field: its error is not independent from
call to call, not Gaussian about zero and not known. Converge it instead.
"""

from dataclasses import dataclass, replace

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Ensemble
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation


@dataclass(frozen=True)
class Penalty:
    """How noise enters the test; `estimates` None: the standard errors are known, not estimated.

    Raises `InputError` for fewer than three estimates.
    """

    estimates: int | None = None
    ask_again: bool = True

    def __post_init__(self) -> None:
        if self.estimates is not None and self.estimates < 3:
            raise InputError(
                f"A standard error from {self.estimates} estimates cannot be corrected for.",
                "Give the number of independent estimates behind each energy, three at least.",
            )

    def log_penalty(
        self, configuration: Configuration, evaluation: Evaluation, ensemble: Ensemble
    ) -> float:
        """u of one end, dimensionless; infinite where so few estimates cannot correct the noise.

        Raises `InputError` where the evaluation has no standard error.
        """
        x = self._reduced_error(configuration, evaluation, ensemble)
        if self.estimates is None:
            return 0.5 * x * x
        factor = _mean_preserving(0, x, self.estimates)
        return -float(np.log(factor)) if factor > 0.0 else np.inf

    def unbiased_energy(
        self, configuration: Configuration, evaluation: Evaluation, ensemble: Ensemble
    ) -> float:
        """For averages over a chain that kept its energies: e + s^2/k_B T, eV.

        With estimated errors s^2 is replaced by what has its mean in the chain.
        """
        x = self._reduced_error(configuration, evaluation, ensemble)
        square = x * x
        if self.estimates is not None:
            square *= _mean_preserving(1, x, self.estimates) / _mean_preserving(
                0, x, self.estimates
            )
        return evaluation.energy + square / _slope(configuration, evaluation, ensemble)

    def require_new_noise(self, kept: Evaluation, again: Evaluation) -> None:
        """Raises `InputError` where a noisy reference that was asked again repeated itself."""
        if again.energy_error and kept.energy == again.energy:
            raise InputError(
                "The reference gave the very same energy when asked again about a configuration, "
                "so its noise is not new at every call.",
                "Take it without its label store, or keep the energy: ask_again = False.",
            )

    def _reduced_error(
        self, configuration: Configuration, evaluation: Evaluation, ensemble: Ensemble
    ) -> float:
        if evaluation.energy_error is None:
            raise InputError(
                "The penalty method needs the standard error of every energy, and the reference "
                f"({evaluation.origin or 'of unknown origin'}) gave none.",
                "Use a reference that reports `energy_error`, or no penalty for an exact one.",
            )
        return evaluation.energy_error * _slope(configuration, evaluation, ensemble)


def _slope(configuration: Configuration, evaluation: Evaluation, ensemble: Ensemble) -> float:
    """How fast the log density falls with the energy: 1/k_B T, 1/eV."""
    level = replace(evaluation, energy=0.0)
    raised = replace(evaluation, energy=1.0)
    return ensemble.log_density(configuration, level) - ensemble.log_density(configuration, raised)


def _mean_preserving(order: int, x: float, estimates: int) -> float:
    """0F1(; m/2 + order; -m x^2/4), m = estimates - 1."""
    from scipy.special import hyp0f1

    m = estimates - 1
    return float(hyp0f1(0.5 * m + order, -0.25 * m * x * x))
