"""VASP: plane waves and projector augmented waves, through ASE's `Vasp`; needs a licence.

Keywords are INCAR's, in lower case, and ASE's `setups`. The program is $ASE_VASP_COMMAND (else
`vasp_std`), the folder of POTCAR files $VASP_PP_PATH.
"""

import os
import shlex
import shutil
from collections.abc import Sequence
from typing import Any, Final

from hyperatom.configuration import Configuration
from hyperatom.references.checked_calculator import FOLDER, CheckedCalculator
from hyperatom.references.engine_preset import EnginePreset, Keywords, Mesh
from hyperatom.references.installation import configured
from hyperatom.references.k_points import fixed_mesh, require_periodic


def make(
    *, command: str | None = None, kpts: Sequence[int], gamma: bool = True, **keywords: Any
) -> CheckedCalculator:
    """The calculator; `keywords` of INCAR."""
    from ase.calculators.vasp import Vasp
    from ase.io import read

    calculator = Vasp(
        command=command or _command(),
        directory=str(FOLDER),
        kpts=tuple(kpts),
        gamma=gamma,
        **keywords,
    )
    return CheckedCalculator(
        calculator,
        "vasp.out",
        complaints={
            r"EDIFF was not reached \(unconverged\)": "the self-consistency did not converge",
            r"\|\s*(?:ERROR|VERY BAD NEWS)[^|]*\|?\s*\|?\s*(.*?)\s*\|": "VASP stopped: {0}",
        },
        # Its files have the atoms sorted by element.
        read_back=lambda output, results: read(  # noqa: ARG005
            output.with_name("vasprun.xml"), format="vasp-xml"
        )[calculator.resort],
    )


def engine_version(**_: Any) -> str:
    """Version of ASE and the folder of POTCAR files.

    VASP says its own only when it computes: a folder of POTCARs and a program per version keep
    labels apart.
    """
    import ase

    program = shutil.which(shlex.split(_command())[0]) or _command()
    return f"VASP ({program}), POTCARs of {os.environ.get('VASP_PP_PATH')}, ase {ase.__version__}"


def _command() -> str:
    return configured("vasp", "command", "vasp_std", "ASE_VASP_COMMAND", "VASP_COMMAND")


def _missing(python: str | None = None) -> str | None:  # noqa: ARG001
    program = shlex.split(_command())[0]
    if not shutil.which(program):
        return f"the program {program}"
    if not configured("vasp", "pp_path", "", "VASP_PP_PATH"):
        return "the folder of POTCAR files ($VASP_PP_PATH)"
    return None


def _prepare(keywords: Keywords, configuration: Configuration, mesh: Mesh | None) -> dict[str, Any]:
    require_periodic("VASP", configuration)
    return {"kpts": list(fixed_mesh(configuration, mesh)), "gamma": True, **keywords}


PRESETS: Final = (
    EnginePreset(
        calculator="hyperatom.references.engines.vasp.make",
        keywords={
            "xc": "PBE",
            "encut": 500.0,  # eV
            "prec": "Accurate",
            "ediff": 1.0e-7,  # eV
            "nelm": 100,
            "ismear": -1,
            "sigma": 0.1,  # eV
            "isym": 0,
            "istart": 0,
            "icharg": 2,
            "isif": 2,
            "lreal": False,
            "lasph": True,
            "lwave": False,
            "lcharg": False,
        },
        retry_keywords={"nelm": 300, "amix": 0.1, "bmix": 0.0001},
        citation=(
            "G. Kresse, J. Furthmüller, Efficient iterative schemes for ab initio total-energy "
            "calculations using a plane-wave basis set, Phys. Rev. B 54, 11169 (1996)"
        ),
        doi="10.1103/PhysRevB.54.11169",
        name="vasp",
        energy="Mermin free energy ('free energy TOTEN') of PBE electrons at kT = 0.1 eV, whose "
        "gradient the forces are",
        convergence="change of the energy below 1e-7 eV; where OUTCAR does not say that EDIFF is "
        "reached, the call has failed",
        start="superposed atomic densities (icharg 2) and random orbitals, anew each time",
        basis="plane waves up to 500 eV, fixed mesh of k-points, no symmetry but k = -k",
        install="licence and source: https://www.vasp.at; then ASE_VASP_COMMAND and VASP_PP_PATH",
        has_k_points=True,
        missing=_missing,
        prepare=_prepare,
    ),
)
