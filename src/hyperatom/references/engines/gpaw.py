"""GPAW: projector augmented waves in Python; `gpaw` in plane waves, `gpaw-lcao` in atomic orbitals.

Keywords are GPAW's own: `keywords: {mode: {ecut: 350}}` is laid over the preset.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from hyperatom.configuration import Configuration
from hyperatom.references.engine_preset import EnginePreset, Keywords, Mesh
from hyperatom.references.installation import missing_package
from hyperatom.references.k_points import fixed_mesh, require_periodic

SITECONFIG: Final = Path(__file__).with_name("gpaw_siteconfig.cfg")
"""Builds GPAW on machines that have neither MPI nor libxc nor BLAS."""


def make(**keywords: Any) -> Any:
    """GPAW itself."""
    from gpaw import GPAW

    calculator = GPAW(**keywords)
    mode = keywords.get("mode", {})
    if (mode if isinstance(mode, str) else mode.get("name")) != "pw":
        calculator.implemented_properties = ["energy", "free_energy", "forces"]
    return calculator


def engine_version(**_: Any) -> str:
    """Versions of GPAW, of its atomic datasets and of ASE."""
    from gpaw import setup_paths

    for package in ("gpaw-data", "gpaw_data"):
        try:
            data = version(package)
        except ModuleNotFoundError:
            continue
        return f"gpaw {version('gpaw')}, gpaw-data {data}, ase {version('ase')}"
    return f"gpaw {version('gpaw')}, datasets {setup_paths[:1]}, ase {version('ase')}"


def _prepare(keywords: Keywords, configuration: Configuration, mesh: Mesh | None) -> dict[str, Any]:
    require_periodic("GPAW in plane waves", configuration)
    return _with_points(keywords, configuration, mesh)


def _with_points(
    keywords: Keywords, configuration: Configuration, mesh: Mesh | None
) -> dict[str, Any]:
    size = list(fixed_mesh(configuration, mesh))
    return {"kpts": {"size": size, "gamma": True}, **keywords}


_COMMON: Final[dict[str, Any]] = {
    "xc": "PBE",
    "occupations": {"name": "fermi-dirac", "width": 0.1},  # eV
    # Time reversal (k = -k) stays: it is the same for every configuration.
    "symmetry": {"point_group": False},
    "convergence": {"energy": 1.0e-6, "density": 1.0e-6, "eigenstates": 1.0e-9},
    "txt": "-",
}
_INSTALL = f"GPAW_CONFIG={SITECONFIG} pip install gpaw gpaw-data"
_PROMISES: Final[dict[str, Any]] = {
    "calculator": "hyperatom.references.engines.gpaw.make",
    "retry_keywords": {
        "mixer": {"backend": "pulay", "beta": 0.02, "nmaxold": 5, "weight": 100.0},
        "maxiter": 800,
    },
    "citation": (
        "J. J. Mortensen et al., GPAW: An open Python package for electronic structure "
        "calculations, J. Chem. Phys. 160, 092503 (2024)"
    ),
    "doi": "10.1063/5.0182685",
    "energy": "Mermin free energy of PBE electrons at kT = 0.1 eV, whose gradient the forces are",
    "convergence": "energy (1e-6 eV per electron), density (1e-6) and eigenstates (1e-9); "
    "otherwise GPAW raises",
    "start": "atomic densities and orbitals, anew for each configuration",
    "install": _INSTALL,
    "has_k_points": True,
    "missing": missing_package("gpaw"),
}
PRESETS: Final = (
    EnginePreset(
        name="gpaw",
        keywords={"mode": {"name": "pw", "ecut": 500.0}, **_COMMON},  # eV
        basis="plane waves up to 500 eV, fixed mesh of k-points, no symmetry but k = -k",
        prepare=_prepare,
        **_PROMISES,
    ),
    EnginePreset(
        name="gpaw-lcao",
        keywords={"mode": {"name": "lcao"}, "basis": "dzp", "h": 0.15, **_COMMON},  # Å
        basis="double-zeta polarised orbitals that move with the atoms, on a grid of 0.15 Å that "
        "does not (egg-box); no stress",
        prepare=_with_points,
        **_PROMISES,
    ),
)
