"""EMT that misbehaves at chosen calls; loaded by the engine's process only.

`tricks` maps the number of a call, or "all", to a trick. Calls are counted in the file named in
HYPERATOM_TEST_COUNTER, so that an engine that was killed goes on counting.
"""

import os
import time
from pathlib import Path

import numpy as np
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT


class Engine(EMT):
    def __init__(self, tricks=None, **keywords):
        self.tricks = {str(number): trick for number, trick in (tricks or {}).items()}
        super().__init__(**keywords)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        time.sleep(float(os.environ.get("HYPERATOM_TEST_DELAY", "0")))
        trick = self.tricks.get(str(count()), self.tricks.get("all"))
        if trick:
            getattr(self, trick)()

    def raises(self):
        raise RuntimeError("SCF not converged [bold]")

    def not_a_number(self):
        self.results["free_energy"] = np.nan

    def hangs(self):
        time.sleep(1000)

    def crashes(self):
        os._exit(7)

    def prints_garbage(self):
        for stream in (1, 2):
            os.write(stream, os.urandom(100_000))


def count():
    counter = os.environ.get("HYPERATOM_TEST_COUNTER")
    if not counter:
        return 0
    with Path(counter).open("a") as file:
        file.write("x")
        return file.tell()


def refuses(**keywords):
    raise ValueError("no pseudopotential found")
