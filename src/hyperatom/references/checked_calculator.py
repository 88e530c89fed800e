"""An ASE calculator of input and output files, watched.

Programs end with status 0 without having converged, leave half an output, or do not run at all, so
that an earlier output is read once more. Hence: the folder is emptied first; whatever the program
says of a failure is looked for in its output, even where ASE found an energy; and the atoms in the
output must be those of the input.
"""

import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path("calculation")
"""Of the program, inside the engine's scratch folder."""

_CLOSE = 1.0e-3  # Å: outputs print few digits


class CheckedCalculator:
    """A calculator whose program works in `FOLDER` and writes `output` there.

    `complaints` are regular expressions and the sentences that stand for them ("{0}" is the first
    group); `ending` is what a complete output holds. `read_back` gives the atoms that the output is
    about. Raises `RuntimeError` with the sentence.
    """

    def __init__(
        self,
        calculator: Any,
        output: str,
        *,
        complaints: Mapping[str, str],
        ending: str | None = None,
        read_back: Callable[[Path, Mapping[str, Any]], Any] | None = None,
    ) -> None:
        self._calculator = calculator
        self._output = FOLDER / output
        self._complaints = complaints
        self._ending = ending
        self._read_back = read_back

    @property
    def implemented_properties(self) -> Any:
        """Those of the calculator."""
        return self._calculator.implemented_properties

    @property
    def results(self) -> Any:
        """Those of the calculator."""
        return self._calculator.results

    @property
    def converged(self) -> Any:
        """What the calculator says itself, None where it says nothing."""
        return getattr(self._calculator, "converged", None)

    def calculate(
        self, atoms: Any, properties: Sequence[str], system_changes: Sequence[str]
    ) -> None:
        """Called as ASE would; `NotImplementedError` where only the stress is not to be had."""
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        try:
            self._calculator.calculate(atoms, properties, system_changes)
        except FileNotFoundError as error:
            raise RuntimeError(self._complaint() or f"{error.filename} is not there") from error
        except Exception as error:
            complaint = self._complaint()
            if complaint is None:
                raise
            raise RuntimeError(complaint) from error
        complaint = self._complaint()
        if complaint is not None:
            raise RuntimeError(complaint)
        if self._read_back is not None:
            _require_the_same(self._read_back(self._output, self.results), atoms)
        lacking = [name for name in properties if self.results.get(name) is None]
        if lacking == ["stress"]:
            raise NotImplementedError(f"{self._output.name} has no stress")
        if lacking:
            raise RuntimeError(f"the output of the program lacks the {lacking[0]}")

    def _complaint(self) -> str | None:
        """What the output complains of; its end goes to the log, too."""
        try:
            text = self._output.read_text(errors="replace")
        except OSError:
            return None
        for pattern, sentence in self._complaints.items():
            match = re.search(pattern, text, re.IGNORECASE)
            if match:
                _show_end(text)
                return sentence.format(*(" ".join(group.split()) for group in match.groups()))
        if self._ending is not None and self._ending not in text:
            _show_end(text)
            return f"{self._output.name} ends in the middle"
        return None


def _show_end(text: str) -> None:
    sys.stderr.write("\n".join(text.splitlines()[-60:]) + "\n")


def _require_the_same(answered: Any, asked: Any) -> None:
    same = np.array_equal(answered.numbers, asked.numbers)
    if same and asked.pbc.all():
        same = np.allclose(answered.cell, asked.cell, rtol=0.0, atol=_CLOSE)
    if same:
        shift = answered.positions - asked.positions
        if asked.pbc.all():
            # An engine may print an atom in another copy of the cell.
            copies = np.round(np.linalg.solve(asked.cell.T, shift.T).T)
            shift -= copies @ asked.cell
        same = bool(np.all(np.abs(shift) < _CLOSE))
    if not same:
        raise RuntimeError("the output is about other atoms than those that were asked for")
