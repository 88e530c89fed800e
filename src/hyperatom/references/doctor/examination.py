"""All questions in order, the cheap ones first; none where calls prove to take too long."""

from collections.abc import Iterator

from hyperatom.errors import ReferenceFailure
from hyperatom.references.doctor.finding import Finding, Patient
from hyperatom.references.doctor.forecast import forecast
from hyperatom.references.doctor.repeats import (
    order,
    precision,
    rotation,
    standard_error,
    translation,
)
from hyperatom.references.doctor.slopes import forces_and_noise, stress
from hyperatom.references.doctor.surroundings import cell_widths, periodicity

ASKED = ("forces", "energy noise", "stress", "call order", "translation (egg-box)", "rotation")


def calls_needed(patient: Patient) -> int:
    """How often the engine will be asked, at most."""
    return 23 if patient.configuration.periodic.all() else 15


def examine(patient: Patient) -> Iterator[Finding]:
    """Every finding as soon as it is known.

    Whatever a question raises about the engine is itself a finding; the examination goes on.
    """
    yield periodicity(patient)
    yield cell_widths(patient)
    here = patient.shaken(seed=1)
    try:
        seen = patient.evaluate(here)
    except ReferenceFailure as failure:
        yield _refused("answer", failure)
        return
    yield Finding("answer", "fine", f"energy {seen.energy:.6f} eV, by {seen.origin}")
    enough = forecast(patient, seen.seconds)
    if enough.status == "fault":
        yield enough
        for name in ASKED:
            yield Finding(name, "not asked", "calls take too long")
        return
    if seen.energy_error:
        yield standard_error(patient, seen.energy_error)
        yield order(patient, here, seen)
        for name in ASKED:
            if name != "call order":
                yield Finding(name, "not asked", "the energy's standard error hides it")
        yield enough
        return
    for names, question in (
        (("forces", "energy noise"), forces_and_noise),
        (("stress",), lambda *asked: [stress(*asked)]),
        (("call order",), lambda *asked: [order(*asked)]),
        (("translation (egg-box)",), lambda *asked: [translation(*asked)]),
        (("rotation",), lambda *asked: [rotation(*asked)]),
        (("precision",), lambda *asked: [precision(*asked)]),
    ):
        try:
            yield from question(patient, here, seen)
        except ReferenceFailure as failure:
            for name in names:
                yield _refused(name, failure)
    yield enough


def _refused(name: str, failure: ReferenceFailure) -> Finding:
    return Finding(name, "fault", f"no answer: {failure.problem}", failure.cure)
