"""ORCA: Gaussian orbitals for molecules, through ASE's `ORCA`; free for academics.

Keywords are ASE's: `orcasimpleinput` and `orcablocks`. The program is $ASE_ORCA_COMMAND (a full
path), else `orca`.
"""

import shutil
from typing import Any, Final

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.references.checked_calculator import FOLDER, CheckedCalculator
from hyperatom.references.engine_preset import EnginePreset, Keywords, Mesh
from hyperatom.references.installation import configured, missing_program, spoken_version
from hyperatom.references.k_points import require_gamma


def make(*, command: str | None = None, **keywords: Any) -> CheckedCalculator:
    """The calculator."""
    from ase.calculators.orca import ORCA, OrcaProfile
    from ase.io import read

    program = command or _command()
    # In parallel ORCA wants to be called by its full path.
    profile = OrcaProfile(command=shutil.which(program) or program)
    return CheckedCalculator(
        ORCA(profile=profile, directory=FOLDER, **keywords),
        "orca.out",
        complaints={
            r"SCF NOT CONVERGED AFTER\s+(\d+)": "the self-consistency did not converge in {0} "
            "iterations",
            r"(?:INPUT ERROR|UNRECOGNIZED OR DUPLICATED KEYWORD).*?\n(.*?)\n": "ORCA stopped: {0}",
            r"ORCA finished by error termination in (\S+)": "ORCA stopped in its part {0}",
        },
        ending="ORCA TERMINATED NORMALLY",
        read_back=lambda output, results: read(output, format="orca-output"),  # noqa: ARG005
    )


def engine_version(*, command: str | None = None, **_: Any) -> str:
    """Version of ORCA and of ASE."""
    import ase

    version = spoken_version(command or _command(), "no-such-file", expect="Program Version ")
    return f"ORCA {version}, ase {ase.__version__}"


def _command() -> str:
    return configured("orca", "command", "orca", "ASE_ORCA_COMMAND")


def _missing(python: str | None = None) -> str | None:  # noqa: ARG001
    lacking = missing_program(_command)()
    # Screen readers are called orca, too.
    if (
        lacking is None
        and spoken_version(_command(), "no-such-file", expect="Program Version ") == "unknown"
    ):
        return "the quantum-chemical program orca (another of that name is there)"
    return lacking


def _prepare(keywords: Keywords, configuration: Configuration, mesh: Mesh | None) -> dict[str, Any]:
    if configuration.periodic.any():
        raise InputError(
            "ORCA describes molecules, and this configuration is periodic.",
            "Switch the periodicity off, or choose an engine for crystals.",
        )
    require_gamma("A molecule", mesh)
    return dict(keywords)


PRESETS: Final = (
    EnginePreset(
        calculator="hyperatom.references.engines.orca.make",
        keywords={
            "orcasimpleinput": "PBE def2-SVP TightSCF DefGrid3 NoUseSym EnGrad",
            "orcablocks": "%pal nprocs 1 end\n%scf maxiter 200 end",
        },
        retry_keywords={
            "orcasimpleinput": "PBE def2-SVP TightSCF DefGrid3 NoUseSym EnGrad SlowConv"
        },
        citation="F. Neese, Software update: The ORCA program system - Version 5.0, "
        "WIREs Comput. Mol. Sci. 12, e1606 (2022)",
        doi="10.1002/wcms.1606",
        name="orca",
        energy="Kohn-Sham energy of PBE electrons without smearing",
        convergence="ORCA's TightSCF (1e-8 hartree); 'SCF NOT CONVERGED' and a missing last line "
        "are failures",
        start="ORCA's model potential, anew for each configuration",
        basis="Gaussian orbitals that move with the atoms (def2-SVP), density fitting; no stress",
        install="https://www.faccts.de/orca (free for academics); then ASE_ORCA_COMMAND",
        missing=_missing,
        prepare=_prepare,
    ),
)
