"""ABINIT: plane waves with one curated set of pseudopotentials, through ASE's `Abinit`.

Keywords are ABINIT's input variables (`ecut` in eV, as ASE has it). Files called Si.psp8 are looked
for in `pp_path` (else $ABINIT_PP_PATH, else ASE's configuration, else PseudoDojo in Debian's
place).
"""

from collections.abc import Mapping
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

_NAME = "ABINIT"
_PSEUDODOJO = "/usr/share/abinit/psp/Pseudodojo_nc_sr_04_pbe_standard_psp8"


def make(
    *,
    pseudopotentials: Mapping[str, str],
    pp_path: str | None = None,
    command: str | None = None,
    **variables: Any,
) -> CheckedCalculator:
    """The calculator; `variables` of ABINIT's input file."""
    from ase.calculators.abinit import Abinit, AbinitProfile

    folder = _folder(pp_path)
    for name in pseudopotentials.values():
        if not (folder / name).is_file():
            raise FileNotFoundError(f"the pseudopotential {folder / name} is not there")
    calculator = Abinit(
        profile=AbinitProfile(command or _command(), pp_paths=str(folder)),
        directory=FOLDER,
        pps="psp8",
        **variables,
    )
    return CheckedCalculator(
        calculator,
        "abinit.log",
        complaints={
            r"nstep\s*=?\s*(\d+) was not enough SCF cycles to converge": "the self-consistency "
            "did not converge in {0} cycles",
            r"--- !(?:ERROR|BUG).*?message:\s*\|?(.*?)\.\.\.": "ABINIT stopped: {0}",
        },
        ending="Calculation completed",
        read_back=lambda output, results: results["atoms"],  # noqa: ARG005
    )


def engine_version(
    *,
    pseudopotentials: Mapping[str, str],
    pp_path: str | None = None,
    command: str | None = None,
    **_: Any,
) -> str:
    """Version of abinit and of ASE, and digests of the pseudopotentials."""
    import ase

    version = spoken_version(command or _command(), "--version", expect="")
    files = [digest_of(_folder(pp_path) / name) for name in pseudopotentials.values()]
    return ", ".join([f"{_NAME} {version}", f"ase {ase.__version__}", *files])


def _command() -> str:
    return configured("abinit", "command", "abinit", "ASE_ABINIT_COMMAND")


def _folder(wanted: str | None) -> Path:
    found = wanted or configured("abinit", "pp_paths", _PSEUDODOJO, "ABINIT_PP_PATH")
    return existing_folder(_NAME, "pp_path", found)


def _prepare(keywords: Keywords, configuration: Configuration, mesh: Mesh | None) -> dict[str, Any]:
    from hyperatom.references.pseudopotentials import choose_pseudopotentials, symbols_of

    require_periodic(_NAME, configuration)
    whole = dict(keywords)
    folder = _folder(whole.get("pp_path"))
    if "pp_path" in whole:
        whole["pp_path"] = str(folder)
    symbols = symbols_of(configuration)
    # ASE looks for exactly this name.
    names = {symbol: f"{symbol}.psp8" for symbol in symbols}
    whole["pseudopotentials"] = choose_pseudopotentials(_NAME, folder, "psp8", symbols, names)
    whole.setdefault("ngkpt", list(fixed_mesh(configuration, mesh)))
    return whole


PRESETS: Final = (
    EnginePreset(
        calculator="hyperatom.references.engines.abinit.make",
        keywords={
            "xc": "PBE",
            "ecut": 870.0,  # eV: 32 Ha
            "tolvrs": 1.0e-12,
            "nstep": 60,
            "occopt": 3,
            "tsmear": 0.1,  # eV
            "kptopt": 1,
            "nshiftk": 1,
            "shiftk": [0, 0, 0],
            "nsym": 1,
            "optforces": 1,
            "prtwf": 0,
            "prtden": 0,
        },
        retry_keywords={"nstep": 200, "diemix": 0.35},
        citation=(
            "X. Gonze et al., The Abinit project: Impact, environment and recent developments, "
            "Comput. Phys. Commun. 248, 107042 (2020); M. J. van Setten et al., The PseudoDojo: "
            "Training and grading a 85 element optimized norm-conserving pseudopotential table, "
            "Comput. Phys. Commun. 226, 39 (2018)"
        ),
        doi="10.1016/j.cpc.2019.107042",
        name="abinit",
        energy="Mermin free energy of PBE electrons at kT = 0.1 eV, whose gradient the forces are",
        convergence="squared residual of the potential below 1e-12; 'not enough SCF cycles' and an "
        "output that ends in the middle are failures",
        start="superposed atomic densities, anew for each configuration",
        basis="plane waves up to 32 Ha, fixed mesh of k-points, no symmetry but k = -k",
        install="apt-get install --no-install-recommends abinit abinit-data",
        has_k_points=True,
        missing=missing_program(_command),
        prepare=_prepare,
    ),
)
