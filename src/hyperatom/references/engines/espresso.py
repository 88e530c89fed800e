"""Quantum ESPRESSO: plane waves and pseudopotentials of any kind, through ASE's `Espresso`.

Its input file is `keywords: {input_data: {ecutwfc: 60}}`, laid over the preset. Pseudopotentials
are looked for in `pseudo_dir` (else $ESPRESSO_PSEUDO, else ASE's configuration, else Debian's).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hyperatom.configuration import Configuration
from hyperatom.references.checked_calculator import FOLDER, CheckedCalculator
from hyperatom.references.engine_preset import EnginePreset, Keywords, Mesh
from hyperatom.references.installation import (
    configured,
    digest_of,
    existing_folder,
    missing_program,
    spoken_version,
)
from hyperatom.references.k_points import fixed_mesh, require_periodic

_NAME = "Quantum ESPRESSO"
_PSEUDOPOTENTIALS = "/usr/share/espresso/pseudo"


def make(
    *,
    input_data: Mapping[str, Any],
    pseudopotentials: Mapping[str, str],
    kpts: Sequence[int] | None = None,
    koffset: Sequence[int] = (0, 0, 0),
    pseudo_dir: str | None = None,
    command: str | None = None,
) -> CheckedCalculator:
    """The calculator; `kpts` None: Gamma with real wave functions; `koffset` 1: by half a step."""
    from ase.calculators.espresso import Espresso, EspressoProfile

    calculator = Espresso(
        profile=EspressoProfile(command or _command(), str(_folder(pseudo_dir))),
        directory=FOLDER,
        input_data=dict(input_data),
        pseudopotentials=dict(pseudopotentials),
        kpts=None if kpts is None else tuple(kpts),
        koffset=tuple(koffset),
    )
    return CheckedCalculator(
        calculator,
        "espresso.pwo",
        complaints={
            r"convergence NOT achieved after\s+(\d+) iterations": "the self-consistency did not "
            "converge in {0} iterations",
            r"%%%%\s+(Error in routine.*?)\s+%%%%": "pw.x stopped: {0}",
            r"(Error in routine [^%]*)": "pw.x stopped: {0}",
        },
        ending="JOB DONE",
        read_back=_read_back,
    )


def engine_version(
    *,
    pseudopotentials: Mapping[str, str],
    pseudo_dir: str | None = None,
    command: str | None = None,
    **_: Any,
) -> str:
    """Version of pw.x and of ASE, and digests of the pseudopotentials."""
    import ase

    version = spoken_version(command or _command(), expect="Program PWSCF v.")
    files = [digest_of(_folder(pseudo_dir) / name) for name in pseudopotentials.values()]
    return ", ".join([f"{_NAME} {version}", f"ase {ase.__version__}", *files])


def _read_back(output: Path, results: Mapping[str, Any]) -> Any:  # noqa: ARG001
    from ase.io import read

    return read(output, format="espresso-out")


def _command() -> str:
    return configured("espresso", "command", "pw.x", "ASE_ESPRESSO_COMMAND")


def _folder(wanted: str | None) -> Path:
    found = wanted or configured("espresso", "pseudo_dir", _PSEUDOPOTENTIALS, "ESPRESSO_PSEUDO")
    return existing_folder(_NAME, "pseudo_dir", found)


def _prepare(keywords: Keywords, configuration: Configuration, mesh: Mesh | None) -> dict[str, Any]:
    from hyperatom.references.pseudopotentials import choose_pseudopotentials, symbols_of

    require_periodic(_NAME, configuration)
    whole = dict(keywords)
    folder = _folder(whole.get("pseudo_dir"))
    if "pseudo_dir" in whole:
        whole["pseudo_dir"] = str(folder)
    whole["pseudopotentials"] = choose_pseudopotentials(
        _NAME, folder, "upf", symbols_of(configuration), whole.get("pseudopotentials", {})
    )
    if "kpts" not in whole:
        points = fixed_mesh(configuration, mesh)
        whole["kpts"] = None if points == (1, 1, 1) else list(points)
    return whole


PRESETS: Final = (
    EnginePreset(
        calculator="hyperatom.references.engines.espresso.make",
        keywords={
            "input_data": {
                "ecutwfc": 40.0,  # Ry
                "ecutrho": 320.0,  # Ry
                "occupations": "smearing",
                "smearing": "fermi-dirac",
                "degauss": 0.00735,  # Ry: 0.1 eV
                "conv_thr": 1.0e-10,  # Ry
                "electron_maxstep": 100,
                "nosym": True,
                "tprnfor": True,
                "tstress": True,
                "disk_io": "none",
            }
        },
        retry_keywords={"input_data": {"mixing_beta": 0.3, "electron_maxstep": 300}},
        citation=(
            "P. Giannozzi et al., Advanced capabilities for materials modelling with Quantum "
            "ESPRESSO, J. Phys.: Condens. Matter 29, 465901 (2017)"
        ),
        doi="10.1088/1361-648X/aa8f79",
        name="espresso",
        energy="Mermin free energy of PBE electrons at kT = 0.1 eV, whose gradient the forces are",
        convergence="estimated error of the energy below 1e-10 Ry; 'convergence NOT achieved' and "
        "an output that ends in the middle are failures",
        start="superposed atomic densities and atomic orbitals, anew for each configuration",
        basis="plane waves up to 40 Ry (density 320 Ry), fixed mesh of k-points, no symmetry",
        install="apt-get install --no-install-recommends quantum-espresso quantum-espresso-data",
        has_k_points=True,
        missing=missing_program(_command),
        prepare=_prepare,
    ),
)
