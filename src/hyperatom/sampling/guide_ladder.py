"""The ladder from guide to reference: log pi_lambda = (1 - lambda) log pi_M + lambda log pi_D.

In the canonical ensemble this is exp[-H/k_BT] with H = U_M + lambda (U_D - U_M): the guide's own
distribution at lambda = 0, the reference's at 1. In replica exchange neighbouring rungs exchange
with exp[b (lambda_i - lambda_j) (d_i - d_j)], b = 1/k_B T and d = U_D - U_M. The guide's end of the
ladder moves freely (a `NestedChain` on the guide is accepted always), and hands what it finds to
the reference through rungs that overlap; about (b sigma)^2 of them are needed, sigma the standard
deviation of d. Every rung needs both energies: its reference is `BothLevels`.
"""

from dataclasses import dataclass, fields, replace
from math import nan

from hyperatom.configuration import Configuration
from hyperatom.contracts import Ensemble, Potential, Reference
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation


@dataclass(frozen=True, eq=False)
class BothEnergies(Evaluation):
    """The reference's evaluation, and the guide's energy in eV of the same configuration."""

    guide_energy: float = nan


@dataclass(frozen=True)
class BothLevels:
    """A reference that asks the guide too."""

    reference: Reference | Potential
    guide: Potential

    def evaluate(self, configuration: Configuration) -> BothEnergies:
        """The reference's word with the guide's energy; raises what they raise."""
        found = self.reference.evaluate(configuration)
        known = {field.name: getattr(found, field.name) for field in fields(Evaluation)}
        return BothEnergies(**known, guide_energy=self.guide.evaluate(configuration).energy)


@dataclass(frozen=True)
class Between:
    """A rung: `share` = lambda of the reference, the rest of the guide, in one `ensemble`.

    Raises `InputError` for a share outside [0, 1].
    """

    ensemble: Ensemble
    share: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise InputError(
                f"A share of {self.share:g} does not lie between guide (0) and reference (1).",
                "Give a number from 0 to 1.",
            )

    def log_density(self, configuration: Configuration, evaluation: Evaluation) -> float:
        """(1 - lambda) log pi_M + lambda log pi_D, dimensionless.

        Raises `InputError` where the evaluation does not know the guide's energy.
        """
        if not isinstance(evaluation, BothEnergies):
            raise InputError(
                "A rung between guide and reference needs both energies of a configuration.",
                "Ask BothLevels(reference, guide) instead of the reference.",
            )
        of_guide = replace(evaluation, energy=evaluation.guide_energy)
        log_guide = self.ensemble.log_density(configuration, of_guide)
        log_reference = self.ensemble.log_density(configuration, evaluation)
        return (1.0 - self.share) * log_guide + self.share * log_reference
