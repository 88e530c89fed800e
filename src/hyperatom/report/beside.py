"""Runs of one ensemble side by side: what learning took, what each guide is worth, what it cost."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hyperatom.analysis.statistics import Estimate
from hyperatom.errors import InputError
from hyperatom.report.data import ReportData
from hyperatom.report.markup import columns, duration, known, number


def with_others(data: ReportData, others: Sequence[ReportData]) -> ReportData:
    """The report of a run with `others` beside it.

    Raises `InputError` where one of them sampled something else.
    """
    for other in others:
        for what, own, theirs in (
            ("atoms", data.system.formula, other.system.formula),
            ("temperature", data.system.temperature, other.system.temperature),
            ("pressure", data.system.pressure, other.system.pressure),
            ("beads", data.system.beads, other.system.beads),
            ("reference", data.system.engine, other.system.engine),
        ):
            if own != theirs:
                raise InputError(
                    f"'{other.title}' differs from '{data.title}' in its {what}: {theirs}, "
                    f"not {own}.",
                    "Lay beside a run only those that sample the same ensemble.",
                )
    return replace(data, beside=tuple(others))


def beside(data: ReportData) -> str:
    """A table of this run and those beside it, and whether their mean energies agree."""
    heads = ("run", "guide", "calls to learn", "acceptance", "guide error",
             "calls per independent sample", "time in the guide", "in fits",
             "in the reference", "mean energy")  # fmt: skip
    rows = [_row(one) for one in (data, *data.beside)]
    apart = [told for other in data.beside if (told := _apart(data.energy, other.energy))]
    told = (
        "<p>Acceptance, and guide error (standard deviation of its change along a proposal), are "
        "those of the frozen guide. Mean energies are of one ensemble, whatever the guide"
        + (f": they differ by {', '.join(apart)} standard errors.</p>" if apart else ".</p>")
    )
    return columns(heads, rows) + told


def _row(data: ReportData) -> tuple[str, ...]:
    table, ledger = data.proposals, data.ledger
    return (
        data.title,
        data.guide,
        f"{ledger.calls_learn:,}",
        known(data.acceptance()),
        table.error_in_words(table.produced),
        number(ledger.calls_per_independent_sample),
        duration(ledger.seconds_guide),
        duration(ledger.seconds_fit),
        duration(ledger.seconds_reference),
        known(data.energy),
    )


def _apart(one: Estimate | None, other: Estimate | None) -> str:
    if one is None or other is None:
        return ""
    error = float(np.hypot(one.error, other.error))
    return f"{abs(one.value - other.value) / error:.1f}" if np.isfinite(error) and error else ""
