"""NWChem: Gaussian orbitals for molecules, through ASE's `NWChem`.

Keywords are nested dictionaries, as ASE has them: `keywords: {dft: {xc: pbe0}}`.
"""

import os
from typing import Any, Final

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.references.checked_calculator import FOLDER, CheckedCalculator
from hyperatom.references.engine_preset import EnginePreset, Keywords, Mesh
from hyperatom.references.installation import (
    AS_ROOT,
    configured,
    missing_program,
    spoken_version,
)
from hyperatom.references.k_points import require_gamma


def make(*, command: str | None = None, **keywords: Any) -> CheckedCalculator:
    """The calculator."""
    from ase.calculators.nwchem import NWChem
    from ase.io import read

    os.environ.update(AS_ROOT)
    return CheckedCalculator(
        NWChem(
            command=f"{command or _command()} PREFIX.nwi > PREFIX.nwo",
            label="nwchem",
            directory=str(FOLDER),
            **keywords,
        ),
        "nwchem.nwo",
        complaints={
            r"Calculation failed to converge": "the self-consistency did not converge",
            r"(?:SCF|DFT) *(?:failed to converge|not converged)": "the self-consistency did not "
            "converge",
            r"-{70,}\n\s*(.*?error.*?)\n\s*-{70,}": "NWChem stopped: {0}",
        },
        ending="CITATION",
        read_back=lambda output, results: read(output, format="nwchem-out"),  # noqa: ARG005
    )


def engine_version(*, command: str | None = None, **_: Any) -> str:
    """Version of NWChem and of ASE."""
    import ase

    version = spoken_version(command or _command(), expect="nwchem branch          =")
    return f"NWChem {version}, ase {ase.__version__}"


def _command() -> str:
    return configured("nwchem", "command", "nwchem").split(" PREFIX")[0]


def _prepare(keywords: Keywords, configuration: Configuration, mesh: Mesh | None) -> dict[str, Any]:
    if configuration.periodic.any():
        raise InputError(
            "NWChem, as set up here, describes molecules, and this configuration is periodic.",
            "Switch the periodicity off, or choose an engine for crystals.",
        )
    require_gamma("A molecule", mesh)
    return dict(keywords)


PRESETS: Final = (
    EnginePreset(
        calculator="hyperatom.references.engines.nwchem.make",
        keywords={
            "theory": "dft",
            "basis": "def2-svp",
            "dft": {
                "xc": "xpbe96 cpbe96",
                "iterations": 100,
                "grid": "fine",
                "convergence": {"energy": 1.0e-9, "density": 1.0e-7, "gradient": 1.0e-6},
            },
        },
        retry_keywords={"dft": {"iterations": 500}},
        citation=(
            "E. Aprà et al., NWChem: Past, present, and future, J. Chem. Phys. 152, 184102 (2020)"
        ),
        doi="10.1063/5.0004997",
        name="nwchem",
        energy="Kohn-Sham energy of PBE electrons without smearing",
        convergence="energy (1e-9 hartree), density and gradient; otherwise NWChem stops",
        start="superposed atomic densities, anew for each configuration",
        basis="Gaussian orbitals that move with the atoms (def2-svp); no stress",
        install="apt-get install --no-install-recommends nwchem",
        missing=missing_program(_command),
        prepare=_prepare,
    ),
)
