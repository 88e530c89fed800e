"""CP2K: Gaussian orbitals with an auxiliary grid, through ASE's `CP2K` and its shell.

Keywords are those of ASE's calculator (`cutoff` in eV); `inp` is any further input. The program is
`cp2k_shell.psmp`, else that of $ASE_CP2K_COMMAND or of ASE's configuration.
"""

import os
from typing import Any, Final

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.references.checked_calculator import FOLDER, CheckedCalculator
from hyperatom.references.engine_preset import EnginePreset, Keywords, Mesh
from hyperatom.references.installation import (
    AS_ROOT,
    configured,
    missing_program,
    spoken_version,
)
from hyperatom.references.k_points import fixed_mesh, require_periodic

_GAMMA: Final = """
&FORCE_EVAL
  &DFT
    &MGRID
      REL_CUTOFF [Ry] 60
    &END MGRID
    &SCF
      EPS_SCF 1.0E-8
      SCF_GUESS ATOMIC
    &END SCF
  &END DFT
&END FORCE_EVAL
"""
_K_POINTS: Final = """
&FORCE_EVAL
  &DFT
    &KPOINTS
      SCHEME MONKHORST-PACK {0} {1} {2}
      SYMMETRY OFF
      FULL_GRID OFF
    &END KPOINTS
  &END DFT
&END FORCE_EVAL
"""


def make(*, command: str | None = None, **keywords: Any) -> CheckedCalculator:
    """The calculator, with its own shell."""
    from ase.calculators.cp2k import CP2K

    os.environ.update(AS_ROOT)

    class Shell(CP2K):
        """Asks which atoms it was about, and ends its program before its output is read."""

        def calculate(self, atoms: Any = None, *arguments: Any, **more: Any) -> None:
            super().calculate(atoms, *arguments, **more)
            positions = self._asked_for("GET_POS", 3 * len(atoms))
            cell = self._asked_for("GET_CELL", 9)
            self.answered = atoms.copy()
            self.answered.set_cell(cell.reshape(3, 3))
            self.answered.set_positions(positions.reshape(-1, 3))
            self.close()

        def _asked_for(self, command: str, count: int) -> Any:
            """The numbers that the shell has, in Å."""
            shell: Any = self._shell
            shell.send(f"{command} {self._force_env_id}")
            words: list[str] = []
            while (line := shell.recv()) != "* READY":
                words += line.split()
            numbers = [word for word in words if word not in ("*", "END")]
            return np.array(numbers[-count:], dtype=float)

    calculator = Shell(command=command or _command(), label=str(FOLDER / "cp2k"), **keywords)
    return CheckedCalculator(
        calculator,
        "cp2k.out",
        complaints={
            r"SCF run NOT converged": "the self-consistency did not converge",
            r"\[ABORT\](.*?)\n\s*\*+\n": "CP2K stopped: {0}",
        },
        read_back=lambda output, results: calculator.answered,  # noqa: ARG005
    )


def engine_version(*, command: str | None = None, **_: Any) -> str:
    """Version of CP2K and of ASE; its data files come with it."""
    import ase

    version = spoken_version(command or _command(), "--version", expect="CP2K version ")
    return f"CP2K {version}, ase {ase.__version__}"


def _command() -> str:
    return configured("cp2k", "cp2k_shell", "cp2k_shell.psmp", "ASE_CP2K_COMMAND")


def _prepare(keywords: Keywords, configuration: Configuration, mesh: Mesh | None) -> dict[str, Any]:
    require_periodic("CP2K, as set up here,", configuration)
    points = fixed_mesh(configuration, mesh)
    if points == (1, 1, 1):
        return dict(keywords)
    return {**keywords, "inp": keywords.get("inp", "") + _K_POINTS.format(*points)}


PRESETS: Final = (
    EnginePreset(
        calculator="hyperatom.references.engines.cp2k.make",
        keywords={
            "xc": "PBE",
            "basis_set": "DZVP-MOLOPT-SR-GTH",
            "basis_set_file": "BASIS_MOLOPT",
            "potential_file": "GTH_POTENTIALS",
            "pseudo_potential": "GTH-PBE",
            "cutoff": 8163.4,  # eV: 600 Ry
            "max_scf": 100,
            "poisson_solver": None,
            "inp": _GAMMA,
        },
        retry_keywords={"max_scf": 500},
        citation=(
            "T. D. Kühne et al., CP2K: An electronic structure and molecular dynamics software "
            "package - Quickstep: Efficient and accurate electronic structure calculations, "
            "J. Chem. Phys. 152, 194103 (2020)"
        ),
        doi="10.1063/5.0007045",
        name="cp2k",
        energy="Kohn-Sham energy of PBE electrons without smearing (insulators); with a SMEAR "
        "section in `inp`, the free energy that CP2K calls total",
        convergence="change of the density matrix below 1e-8; 'SCF run NOT converged', which CP2K "
        "itself only warns of, is a failure",
        start="atomic densities, anew for each configuration",
        basis="orbitals that move with the atoms, on a grid of 600 Ry that does not (egg-box); the "
        "grid grows in steps when the cell does",
        install="apt-get install --no-install-recommends cp2k cp2k-data",
        has_k_points=True,
        missing=missing_program(_command),
        prepare=_prepare,
    ),
)
