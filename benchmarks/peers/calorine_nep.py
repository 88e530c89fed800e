"""calorine's NEP on the CPU, from its wheel."""

from pathlib import Path
from typing import Any

from peers.session import CalculatorSession

FIGURE = "nep_over_calorine"
WANTED = 3.0
TITLE = "calorine, CPUNEP, PbTe of the GPUMD developers (nep4)"
REQUIREMENTS = ("calorine",)

FILE = Path("nep") / "PbTe_nep_prediction" / "nep.txt"


def crystal(n_atoms: int) -> Any:
    """PbTe at 6.57 Å."""
    from ase.build import bulk

    repeat = round((n_atoms / 8) ** (1.0 / 3.0))
    return bulk("PbTe", "rocksalt", a=6.57, cubic=True).repeat(repeat)


def ours(data: Path) -> Any:
    """The file read by hyperatom."""
    from hyperatom.interchange.nep import read_nep

    return read_nep(data / FILE)


def theirs(data: Path, atoms: Any) -> CalculatorSession:
    """The file read by calorine."""
    from calorine.calculators import CPUNEP

    own = atoms.copy()
    own.calc = CPUNEP(str(data / FILE))
    own.get_potential_energy()
    return CalculatorSession(own.calc, atoms)
