"""The first page of help, written without a library for tables: it answers at once."""

import shutil
from textwrap import wrap
from typing import Any

import typer
from typer.core import TyperGroup

WIDEST = 100


class Tour(TyperGroup):
    """A group of commands whose help is its text, then the commands under their headings."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Usage, the text (`**bold**`), options and commands, in the width of the terminal."""
        width = min(shutil.get_terminal_size().columns, WIDEST) - 1
        lines = [f"{_heading('Usage:')} {ctx.command_path} [OPTIONS] COMMAND [ARGS]...", ""]
        for paragraph in (self.help or "").strip().split("\n"):
            indented = paragraph.startswith(" ")
            lines += [paragraph] if indented else wrap(paragraph, width) or [""]
        options = [option.get_help_record(ctx) for option in self.get_params(ctx)]
        sections = {"Options": [record for record in options if record]}
        for name, command in self.commands.items():
            heading = str(getattr(command, "rich_help_panel", None) or "Commands")
            sections.setdefault(heading, []).append((name, command.get_short_help_str(1000)))
        margin = 4 + max(len(name) for rows in sections.values() for name, _ in rows)
        for heading, rows in sections.items():
            lines += ["", _heading(heading)]
            for name, told in rows:
                first, *others = wrap(told, max(width - margin, 20))
                gap = " " * (margin - 2 - len(name))
                lines.append(f"  {typer.style(name, fg='cyan')}{gap}{first}")
                lines += [" " * margin + other for other in others]
        parts = "\n".join(lines).split("**")
        formatter.write(
            "".join(typer.style(part, bold=True) if k % 2 else part for k, part in enumerate(parts))
            + "\n"
        )


def _heading(text: str) -> str:
    return typer.style(text, bold=True)
