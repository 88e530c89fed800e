"""One page that says what was sampled, how sure we are, and what it cost."""

import os
import re
import tempfile
from collections import Counter
from importlib.resources import files
from math import isfinite, isnan
from pathlib import Path

import numpy as np

from hyperatom.analysis.statistics import split_r_hat
from hyperatom.campaign.certificate import Check
from hyperatom.report.beside import beside
from hyperatom.report.data import LEARN, PRODUCE, LadderSummary, ReportData, SystemDescription
from hyperatom.report.figures import Picture, draw_all
from hyperatom.report.markup import columns, duration, known, named, number, plain
from hyperatom.report.space.scene import inline_scene

OUTCOMES = {True: ("passed", "✓"), False: ("failed", "✗"), None: ("undecided", "?")}


def write_report(data: ReportData, path: Path | str) -> None:
    """Write the page to `path`; a reader finds the old page or the new one, never half of one.

    Equal data give equal bytes. Raises `OSError` where the folder is missing or not writable.
    """
    target = Path(path)
    content = render(data)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(content)
        # A temporary file is private by default; a report is as readable as the user's others.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def render(data: ReportData) -> str:
    """The page as text: HTML with style, figures and what turns atoms inside, nothing to load."""
    pictures = draw_all(data)
    style = files("hyperatom.report").joinpath("page.css").read_text(encoding="utf-8")
    sections = (
        ("What was sampled", _sampled(data)),
        ("Guide and acceptance", _figure(pictures, "guide") + _proposals(data)),
        ("Beside other runs", beside(data) if data.beside else ""),
        ("Energy", _energy(data, pictures)),
        ("Ladder", _ladder(data.ladder) if data.ladder else ""),
        ("Structure", _figure(pictures, "structure") + _shells(data)),
        ("In space", inline_scene(data.scene) if data.scene else ""),
        ("Certificate", _certificate(data)),
        ("Cost", _figure(pictures, "cost") + _ledger(data)),
        ("Please cite", _citations(data)),
        ("Input", f"<pre>{plain(data.input_text)}</pre>" if data.input_text.strip() else ""),
        ("Versions", named(sorted(data.system.versions.items()))),
    )
    body = "\n".join(
        f"<section>\n<h2>{title}</h2>\n{content}\n</section>"
        for title, content in sections
        if content
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{plain(data.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header>\n{_header(data)}\n</header>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _header(data: ReportData) -> str:
    system, ledger = data.system, data.ledger
    passed = data.certificate.passed
    outcome, mark = OUTCOMES[passed]
    tiles = []
    best = data.sharpened_energy or data.energy
    if best is not None and isfinite(best.value):
        tiles.append(
            (
                system.energy_name,
                str(best).removesuffix(" (error unknown)"),
                f"{_kind(data)}; {number(best.n_effective)} independent samples"
                + ("" if isfinite(best.error) else "; error unknown"),
            )
        )
    else:
        tiles.append((system.energy_name, "none yet", "nothing produced so far"))
    per_sample = ledger.calls_per_independent_sample
    tiles.append(
        (
            "Calls per independent sample",
            number(per_sample),
            f"{ledger.calls:,} reference calls in all",
        )
    )
    acceptance = data.acceptance()
    if acceptance is not None:
        tiles.append(
            (
                "Acceptance in production",
                str(acceptance).removesuffix(" (error unknown)"),
                f"{int(data.proposals.produced.sum()):,} proposals",
            )
        )
    notes = list(data.notes)
    if data.energy is not None and data.energy.warning:
        notes.append(data.energy.warning)
    definitions = "".join(
        f"<div><dt>{plain(name)}</dt><dd>{plain(value)}<small>{plain(remark)}</small></dd></div>"
        for name, value, remark in tiles
    )
    return (
        f"<h1>{plain(data.title)}</h1>\n"
        f'<p class="subtitle">{_formula(system.formula)} · {system.n_atoms} atoms · '
        f"{conditions(system)} · {plain(system.engine)}</p>\n"
        f'<div class="verdict {outcome}"><strong>{mark} Certificate {outcome}</strong>'
        f"<p>{plain(data.certificate.verdict)}</p>\n"
        f'<dl class="tiles">{definitions}</dl>'
        + "".join(f'<p class="note">{plain(note)}</p>' for note in dict.fromkeys(notes))
        + "</div>"
    )


def conditions(system: SystemDescription) -> str:
    """Temperature and, where it was held, pressure."""
    pressure = "" if system.pressure is None else f", {number(system.pressure)} GPa"
    return f"{number(system.temperature)} K{pressure}"


def _kind(data: ReportData) -> str:
    """How the energy was sampled; the word exact is withdrawn where the certificate failed."""
    kind = str(data.energy.kind) if data.energy is not None else ""
    return (
        "not certified as exact" if kind == "exact" and data.certificate.passed is False else kind
    )


def _sampled(data: ReportData) -> str:
    system = data.system
    rows = [
        ("Composition", f"{system.formula}, {system.n_atoms} atoms"),
        ("Temperature", f"{number(system.temperature)} K"),
        ("Reference", system.engine),
    ]
    if system.pressure is not None:
        rows.insert(2, ("Pressure", f"{number(system.pressure)} GPa"))
    if system.beads > 1:
        rows.insert(2, ("Nuclei", f"quantum, rings of {system.beads} beads"))
    lengths = np.linalg.norm(system.cell, axis=1)
    if (lengths > 0.0).all():
        a, b, c = system.cell / lengths[:, None]
        angles = np.degrees(np.arccos(np.clip([b @ c, a @ c, a @ b], -1.0, 1.0)))
        edges = " × ".join(f"{length:.3f}" for length in lengths)
        corners = ", ".join(f"{angle:.1f}°" for angle in angles)
        volume = abs(np.linalg.det(system.cell))
        name = "Cell" if system.pressure is None else "Cell at the start"
        rows.append((name, f"{edges} Å, angles {corners}, {volume:.1f} Å³"))
    for name, mean in data.averages.items():
        rows.append((f"Mean {name}", f"{mean}, {_kind(data)}"))
    return f"<p>{plain(data.distribution)}</p>\n{named(rows)}"


def _proposals(data: ReportData) -> str:
    table = data.proposals
    if len(table) == 0:
        return "<p>No proposal has been made yet.</p>"
    rows = []
    for phase, name in ((LEARN, "learning"), (PRODUCE, "production")):
        chosen = table.phase == phase
        if not chosen.any():
            continue
        rows.append(
            (
                name,
                f"{int(chosen.sum()):,}",
                f"{int(np.isfinite(table.delta_h[chosen]).sum()):,}",
                f"{int((table.veto[chosen] != '').sum()):,}",
                f"{int(table.accepted[chosen].sum()):,}",
                f"{100.0 * table.accepted[chosen].mean():.1f} %",
                f"{number(float(table.trajectory_length[chosen].mean()))} fs",
                table.error_in_words(chosen),
            )
        )
    heads = ("phase", "proposals", "judged", "vetoed", "accepted", "acceptance", "mean length",
             "guide error")  # fmt: skip
    text = columns(heads, rows)
    vetoes = Counter(reason for reason in table.veto.tolist() if reason)
    if vetoes:
        text += "<p>Rejected without asking the reference:</p>" + columns(
            ("reason", "proposals"), [(r, f"{n:,}") for r, n in sorted(vetoes.items())]
        )
    return text


def _energy(data: ReportData, pictures: dict[str, Picture]) -> str:
    table = data.proposals
    text = _figure(pictures, "energy") + _figure(pictures, "independence")
    rows = []
    if data.energy is not None and isfinite(data.energy.value):
        rows += [
            (f"{data.system.energy_name}, the chain alone", f"{data.energy}, {_kind(data)}"),
            ("Independent samples", number(data.energy.n_effective)),
            ("Autocorrelation time", f"{number(data.energy.autocorrelation_time)} proposals"),
        ]
    if data.sharpened_energy is not None:
        samples = number(data.sharpened_energy.n_effective)
        rows.append(
            (
                "Mean energy, sharpened by the guide's own chain",
                f"{data.sharpened_energy}, {_kind(data)}; worth {samples} independent samples",
            )
        )
    series = table.by_walker(table.energy, table.produced)
    r_hat = split_r_hat(series) if series else float("nan")
    if not isnan(r_hat):
        n_walkers = len(series)
        of = f"{n_walkers} walkers" if n_walkers > 1 else "the halves of one walker"
        rows.append(("Split R-hat", f"{r_hat:.3f}, over {of} (1 is perfect, up to 1.01 is good)"))
    creutz = data.creutz()
    if creutz is not None:
        rows.append(("⟨exp(−ΔH/kT)⟩, must be 1", str(creutz)))
    return text + named(rows)


def _ladder(ladder: LadderSummary) -> str:
    rows = [
        (
            rung.name,
            known(rung.energy),
            "–" if rung.energy is None else number(rung.energy.n_effective),
            known(rung.acceptance),
            "–" if rung is ladder.rungs[-1] else known(rung.exchange),
        )
        for rung in ladder.rungs
    ]
    heads = ("rung", "mean energy", "independent samples", "acceptance", "exchanged with the next")
    warning = f'<p class="note">{plain(ladder.warning)}</p>' if ladder.warning else ""
    trips = f"<p>Round trips from the first rung to the last and back: {ladder.round_trips:,}.</p>"
    return columns(heads, rows) + trips + warning


def _shells(data: ReportData) -> str:
    result = data.radial_distribution
    if result is None:
        return ""
    rows = []
    for pair in result.pairs:
        if pair == "total" or not result.counts[pair].any():
            continue
        peak = result.first_peak(pair)
        neighbours = str(peak.coordination)
        if result.n_configurations > 1 and not isfinite(peak.coordination.error):
            neighbours = f"{peak.coordination.value:g} always"
        rows.append(
            (
                pair.replace("-", "–"),
                str(peak.position),
                str(peak.height),
                str(peak.mean_distance),
                f"{peak.shell_end:.2f} Å",
                neighbours,
                number(result.n_effective[pair]),
            )
        )
    heads = ("pair", "first peak at", "height", "mean distance", "shell ends at", "neighbours",
             "independent samples")  # fmt: skip
    return columns(heads, rows) if rows else ""


def _certificate(data: ReportData) -> str:
    if not data.certificate.checks:
        return f"<p>{plain(data.certificate.verdict)}</p>"
    rows = "".join(_check(check) for check in data.certificate.checks)
    return (
        "<table><thead><tr><th></th><th>check</th><th>finding</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _check(check: Check) -> str:
    outcome, mark = OUTCOMES[check.passed]
    numbers = "; ".join(
        f"{name}: {number(value) if isinstance(value, float | int) else value}"
        for name, value in check.numbers.items()
    )
    return (
        f'<tr class="{outcome}"><td class="mark">{mark} {outcome}</td>'
        f"<td>{plain(check.name)}</td><td>{plain(check.sentence)}"
        + (f'<br><span class="soft">{plain(numbers)}</span>' if numbers else "")
        + "</td></tr>"
    )


def _ledger(data: ReportData) -> str:
    ledger = data.ledger
    cheap = [
        ("Calls of the cheap engine", f"{ledger.calls_cheap:,}"),
        ("Time in the cheap engine", duration(ledger.seconds_cheap)),
    ]
    return named(
        [
            ("Reference calls, learning", f"{ledger.calls_learn:,}"),
            ("Reference calls, production", f"{ledger.calls_produce:,}"),
            ("Calls that failed", f"{ledger.failures:,}"),
            ("Answers already in store", f"{ledger.cache_hits:,}"),
            ("Calls per independent sample", number(ledger.calls_per_independent_sample)),
            (
                "The same, with the guide's own chain as control variate",
                number(ledger.calls_per_sharpened_sample),
            ),
            ("Time in the reference", duration(ledger.seconds_reference)),
            ("Time in the guide", duration(ledger.seconds_guide)),
            ("Time in fits", duration(ledger.seconds_fit)),
            ("Overhead", duration(ledger.seconds_overhead)),
            *(cheap if ledger.calls_cheap else ()),
        ]
    )


def _citations(data: ReportData) -> str:
    if not data.citations:
        return ""
    entries = "".join(
        f"<li>{plain(c.text)} "
        f'<a href="{plain(c.address)}">{plain(c.address.removeprefix("https://"))}</a> '
        f'<span class="soft">({plain(c.method)})</span></li>'
        for c in data.citations
    )
    return f"<ol>{entries}</ol>"


def _figure(pictures: dict[str, Picture], name: str) -> str:
    if name not in pictures:
        return ""
    picture = pictures[name]
    return (
        f'<figure id="{name}"><div class="wide">{picture.svg}</div>'
        f"<figcaption>{plain(picture.caption)}</figcaption></figure>\n"
    )


def _formula(formula: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9()]+", formula):
        return plain(formula)
    return re.sub(r"(?<=[A-Za-z)])(\d+)", r"<sub>\1</sub>", formula)
