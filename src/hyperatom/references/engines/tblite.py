"""tblite: the embedded engine, extended tight binding, no input files, seconds instead of hours.

Electrons are converged tightly (accuracy 0.1): the energy must be a function of the positions
alone, not of the path of the self-consistency. The second attempt mixes more cautiously and longer,
which changes the way to the converged energy, not the energy.
"""

from typing import Final

from hyperatom.references.engine_preset import EnginePreset
from hyperatom.references.installation import missing_package
from hyperatom.references.k_points import gamma_alone

_CAUTIOUS = {"max_iterations": 2000, "mixer_damping": 0.1}


def _preset(name: str, method: str, citation: str, doi: str) -> EnginePreset:
    return EnginePreset(
        calculator="tblite.ase.TBLite",
        keywords={"method": method, "accuracy": 0.1, "verbosity": 0},
        retry_keywords=_CAUTIOUS,
        citation=citation,
        doi=doi,
        name=name,
        energy="free energy of electrons at 300 K, whose gradient the forces are",
        convergence="change of the energy and of the charges below 0.1 times tblite's defaults",
        start="charges by electronegativity equilibration, anew for each configuration",
        basis="atomic orbitals that move with the atoms; Gamma point alone",
        install="pip install tblite",
        missing=missing_package("tblite"),
        prepare=gamma_alone("tblite"),
    )


_GFN1 = (
    "S. Grimme, C. Bannwarth, P. Shushkov, A Robust and Accurate Tight-Binding Quantum "
    "Chemical Method for Structures, Vibrational Frequencies, and Noncovalent Interactions of "
    "Large Molecular Systems Parametrized for All spd-Block Elements (Z = 1-86), "
    "J. Chem. Theory Comput. 13, 1989 (2017)"
)
_GFN2 = (
    "C. Bannwarth, S. Ehlert, S. Grimme, GFN2-xTB: An Accurate and Broadly Parametrized "
    "Self-Consistent Tight-Binding Quantum Chemical Method with Multipole Electrostatics and "
    "Density-Dependent Dispersion Contributions, J. Chem. Theory Comput. 15, 1652 (2019)"
)

GFN1_XTB: Final = _preset("gfn1-xtb", "GFN1-xTB", _GFN1, "10.1021/acs.jctc.7b00118")
GFN2_XTB: Final = _preset("gfn2-xtb", "GFN2-xTB", _GFN2, "10.1021/acs.jctc.8b01176")
TBLITE: Final = _preset("tblite", "GFN1-xTB", _GFN1, "10.1021/acs.jctc.7b00118")
"""Another name of GFN1-xTB; `keywords: {method: ...}` chooses."""

PRESETS: Final = (GFN1_XTB, GFN2_XTB, TBLITE)
