"""The embedded engine: tight binding with tblite, no input files, seconds instead of hours.

Electrons are converged tightly (accuracy 0.1): the energy must be a function of the positions
alone, not of the path of the self-consistency. The second attempt mixes more cautiously and longer,
which changes the way to the converged energy, not the energy.
"""

from typing import Final

from hyperatom.references.ase_calculator import EnginePreset

_CAUTIOUS = {"max_iterations": 2000, "mixer_damping": 0.1}

GFN1_XTB: Final = EnginePreset(
    calculator="tblite.ase.TBLite",
    keywords={"method": "GFN1-xTB", "accuracy": 0.1, "verbosity": 0},
    retry_keywords=_CAUTIOUS,
    citation=(
        "S. Grimme, C. Bannwarth, P. Shushkov, A Robust and Accurate Tight-Binding Quantum "
        "Chemical Method for Structures, Vibrational Frequencies, and Noncovalent Interactions of "
        "Large Molecular Systems Parametrized for All spd-Block Elements (Z = 1-86), "
        "J. Chem. Theory Comput. 13, 1989 (2017)"
    ),
    doi="10.1021/acs.jctc.7b00118",
)

GFN2_XTB: Final = EnginePreset(
    calculator="tblite.ase.TBLite",
    keywords={"method": "GFN2-xTB", "accuracy": 0.1, "verbosity": 0},
    retry_keywords=_CAUTIOUS,
    citation=(
        "C. Bannwarth, S. Ehlert, S. Grimme, GFN2-xTB: An Accurate and Broadly Parametrized "
        "Self-Consistent Tight-Binding Quantum Chemical Method with Multipole Electrostatics and "
        "Density-Dependent Dispersion Contributions, J. Chem. Theory Comput. 15, 1652 (2019)"
    ),
    doi="10.1021/acs.jctc.8b01176",
)
