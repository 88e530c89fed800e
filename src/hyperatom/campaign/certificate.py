"""The certificate: what was asked of a finished run, and what it answered."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Check:
    """One question put to the run: passed, failed, or undecided (None), and why in a sentence."""

    name: str
    passed: bool | None
    sentence: str
    numbers: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Certificate:
    """All checks, and what they amount to in one sentence."""

    checks: tuple[Check, ...]
    verdict: str

    @property
    def passed(self) -> bool | None:
        """False if any check failed; True if all passed; None otherwise."""
        outcomes = [check.passed for check in self.checks]
        if False in outcomes:
            return False
        return True if outcomes and None not in outcomes else None

    def to_json(self) -> str:
        """As text; numbers that JSON cannot say become null."""
        content = {"passed": self.passed, "verdict": self.verdict}
        checks = [asdict(check) for check in self.checks]
        for check in checks:
            check["numbers"] = {
                name: None if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in check["numbers"].items()
            }
        return json.dumps({**content, "checks": checks}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Certificate":
        """Read what `to_json` wrote."""
        content = json.loads(text)
        return cls(tuple(Check(**check) for check in content["checks"]), content["verdict"])


EXACT = "the production chain samples the reference's ensemble exactly"
WEIGHED = (
    "weighed samples of the guide cover the reference's ensemble, and their averages are its own "
    "within the error bars"
)


def certify(checks: tuple[Check, ...], claim: str = EXACT) -> Certificate:
    """The certificate of these checks, which support the `claim` if all are passed."""
    failed = [check.name for check in checks if check.passed is False]
    open_ = [check.name for check in checks if check.passed is None]
    if failed:
        verdict = f"Not certified: {', '.join(failed)} failed."
    elif open_:
        verdict = f"Undecided: {', '.join(open_)} cannot be judged yet."
    else:
        verdict = f"Certified: {claim}."
    return Certificate(checks, verdict)
