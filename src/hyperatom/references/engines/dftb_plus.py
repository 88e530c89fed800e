"""DFTB+: density-functional tight binding with Slater-Koster files, through ASE's `Dftb`.

Keywords are the paths of its input file with underscores. The program is `dftb+` (or
$DFTB_COMMAND), the folder of Slater-Koster files `slako_dir` (or $DFTB_PREFIX).
"""

import os
from collections.abc import Sequence
from typing import Any, Final

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.references.checked_calculator import FOLDER, CheckedCalculator
from hyperatom.references.engine_preset import EnginePreset, Keywords, Mesh
from hyperatom.references.installation import (
    digest_of,
    existing_folder,
    missing_program,
    spoken_version,
)
from hyperatom.references.k_points import fixed_mesh


def make(
    *, slako_dir: str, pairs: Sequence[str], kpts: Sequence[int] | None = None, **keywords: Any
) -> CheckedCalculator:
    """The calculator; `pairs` names the Slater-Koster files it will need."""
    from ase.calculators.dftb import Dftb

    for pair in pairs:
        if not os.path.isfile(os.path.join(slako_dir, pair)):
            raise FileNotFoundError(f"the Slater-Koster file {pair} is not in {slako_dir}")
    calculator = Dftb(
        command=f"{_command()} > PREFIX.out",
        slako_dir=os.path.join(slako_dir, ""),
        label="dftb",
        directory=str(FOLDER),
        kpts=None if kpts is None else tuple(kpts),
        **keywords,
    )
    return CheckedCalculator(
        calculator,
        "dftb.out",
        complaints={
            r"SCC is NOT converged": "the self-consistency did not converge",
            r"ERROR!\s*\n\s*->\s*(.*)": "DFTB+ stopped: {0}",
        },
    )


def engine_version(*, slako_dir: str, pairs: Sequence[str], **_: Any) -> str:
    """Version of DFTB+ and of ASE, and digests of the Slater-Koster files."""
    import ase

    version = spoken_version(_command(), "--version", expect="release ")
    folder = existing_folder("DFTB+", "slako_dir", slako_dir)
    files = [digest_of(folder / pair) for pair in pairs]
    return ", ".join([f"DFTB+ {version}", f"ase {ase.__version__}", *files])


def _command() -> str:
    return os.environ.get("DFTB_COMMAND", "dftb+")


def _prepare(keywords: Keywords, configuration: Configuration, mesh: Mesh | None) -> dict[str, Any]:
    from hyperatom.references.pseudopotentials import symbols_of

    whole = dict(keywords)
    folder = existing_folder(
        "DFTB+", "slako_dir", whole.get("slako_dir") or os.environ.get("DFTB_PREFIX", ".")
    )
    symbols = symbols_of(configuration)
    pairs = [f"{one}-{other}.skf" for one in symbols for other in symbols]
    absent = [pair for pair in pairs if not (folder / pair).is_file()]
    if absent:
        raise InputError(
            f"DFTB+: there is no {absent[0]} in {folder}.",
            "Get a Slater-Koster set from https://dftb.org and name its folder: "
            "reference.keywords: {slako_dir: FOLDER}, or $DFTB_PREFIX.",
        )
    points = list(fixed_mesh(configuration, mesh)) if configuration.periodic.any() else None
    return {"kpts": points, **whole, "slako_dir": str(folder), "pairs": pairs}


PRESETS: Final = (
    EnginePreset(
        calculator="hyperatom.references.engines.dftb_plus.make",
        keywords={
            "Hamiltonian_SCC": "Yes",
            "Hamiltonian_SCCTolerance": 1.0e-9,
            "Hamiltonian_MaxSCCIterations": 200,
        },
        retry_keywords={
            "Hamiltonian_MaxSCCIterations": 1000,
            "Hamiltonian_Mixer_": "Broyden",
            "Hamiltonian_Mixer_MixingParameter": 0.05,
        },
        citation=(
            "B. Hourahine et al., DFTB+, a software package for efficient approximate density "
            "functional theory based atomistic simulations, J. Chem. Phys. 152, 124101 (2020)"
        ),
        doi="10.1063/1.5143190",
        name="dftb+",
        energy="total energy at zero electronic temperature; ASE reads no free energy from DFTB+, "
        "so leave Hamiltonian_Filling_ alone (the doctor's forces would not fit)",
        convergence="change of the charges below 1e-9; otherwise DFTB+ stops",
        start="neutral atoms, anew for each configuration",
        basis="Slater-Koster orbitals that move with the atoms, fixed mesh of k-points",
        install="conda install -c conda-forge dftbplus (and a Slater-Koster set of "
        "https://dftb.org)",
        has_k_points=True,
        missing=missing_program(_command),
        prepare=_prepare,
    ),
)
