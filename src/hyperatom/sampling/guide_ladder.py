"""The ladder from guide to reference: log pi_lambda = (1 - lambda) log pi_M + lambda log pi_D.

In the canonical ensemble this is exp[-H/k_BT] with H = U_M + lambda (U_D - U_M): the guide's own
distribution at lambda = 0, the reference's at 1. In replica exchange neighbouring rungs exchange
with exp[b (lambda_i - lambda_j) (d_i - d_j)], b = 1/k_B T and d = U_D - U_M. The guide's end of the
ladder moves freely (a `NestedChain` on the guide is accepted always), and hands what it finds to
the reference through rungs that overlap; about (b sigma)^2 of them are needed, sigma the standard
deviation of d. The guide must not change while it is part of what is sampled.
"""

from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from hyperatom.configuration import Configuration
from hyperatom.contracts import Ensemble, Potential
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation


@dataclass(frozen=True)
class Between:
    """A rung: `share` = lambda of the reference, the rest of the `guide`, in one `ensemble`.

    Raises `InputError` for a share outside [0, 1].
    """

    ensemble: Ensemble
    share: float
    guide: Potential
    _known: "WeakKeyDictionary[Configuration, float]" = field(
        default_factory=WeakKeyDictionary, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise InputError(
                f"A share of {self.share:g} does not lie between guide (0) and reference (1).",
                "Give a number from 0 to 1.",
            )

    def log_density(self, configuration: Configuration, evaluation: Evaluation) -> float:
        """(1 - lambda) log pi_M + lambda log pi_D, dimensionless; asks the guide for its energy."""
        log_reference = self.ensemble.log_density(configuration, evaluation)
        if self.share == 1.0:
            return log_reference
        of_guide = replace(evaluation, energy=self._guide_energy(configuration))
        log_guide = self.ensemble.log_density(configuration, of_guide)
        return (1.0 - self.share) * log_guide + self.share * log_reference

    def _guide_energy(self, configuration: Configuration) -> float:
        # A state is judged again and again while the chain stays with it.
        energy = self._known.get(configuration)
        if energy is None:
            energy = self._known[configuration] = self.guide.evaluate(configuration).energy
        return energy
