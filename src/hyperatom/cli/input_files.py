"""What commands that take an input file share: their arguments, and how its text is read."""

from pathlib import Path
from typing import Annotated

import typer

from hyperatom.errors import InputError

InputFile = Annotated[Path, typer.Argument(metavar="FILE", help="The input file, YAML.")]
OptionalInputFile = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="The input file, YAML.")
]
Resume = Annotated[
    Path | None,
    typer.Option("--resume", metavar="DIR", help="Go on where DIR was stopped, bit for bit."),
]
Template = Annotated[
    bool, typer.Option("--template", help="Print an input file with every setting explained.")
]
Schema = Annotated[bool, typer.Option("--schema", help="Print the JSON schema of the input file.")]


def read_input(file: Path, writer: str) -> str:
    """The text of an input file, which the command `writer` would write.

    Raises `InputError` where it is missing, not a text, or cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"There is no input file {file}.", f"Write one with '{writer}'.") from None
    except UnicodeDecodeError:
        raise InputError(
            f"{file} is not a text file.", f"Write one with '{writer}' and edit it."
        ) from None
    except OSError as problem:
        raise InputError(
            f"{file} cannot be read: {problem.strerror}.", "Give the path of an input file."
        ) from None
