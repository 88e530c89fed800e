"""Tables, numbers and texts of a page, as HTML."""

from collections.abc import Iterable, Sequence
from html import escape
from math import isfinite, isnan


def columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """First column text, the others numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        first, *others = (plain(cell) for cell in cells)
        return f"<{tag}>{first}</{tag}>" + "".join(
            f'<{tag} class="number">{cell}</{tag}>' for cell in others
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    head = f"<thead><tr>{line(heads, 'th')}</tr></thead>"
    return f'<div class="wide"><table>{head}<tbody>{body}</tbody></table></div>'


def named(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names and what they are."""
    body = "".join(f"<tr><th>{plain(n)}</th><td>{plain(v)}</td></tr>" for n, v in rows)
    return f"<table><tbody>{body}</tbody></table>" if body else ""


def duration(seconds: float) -> str:
    """A time span with its unit."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2.0 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} s"


def number(value: float) -> str:
    """Three digits, or the whole number; `unknown` for NaN."""
    if isnan(value):
        return "unknown"
    if not isfinite(value) or abs(value) < 1000.0:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 10_000.0 else f"{value:.0f}"


def known(value: object | None) -> str:
    """As it is written; `unknown` for None."""
    return "unknown" if value is None else str(value)


def plain(value: object) -> str:
    """With what HTML would take for its own escaped."""
    return escape(str(value), quote=True)
