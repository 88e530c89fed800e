"""SevenNet: an equivariant network for 89 elements, fitted to PBE, in place of first principles.

Its weights come with the package: no download at the first call. A network is what it was fitted
to within its errors only; as a reference it is exact for itself. PyTorch may want an environment of
its own: `reference: {calculator: sevennet, python: /path/to/bin/python}`.
"""

from typing import Final

from hyperatom.references.engine_preset import EnginePreset
from hyperatom.references.installation import missing_package
from hyperatom.references.k_points import gamma_alone

PRESETS: Final = (
    EnginePreset(
        calculator="sevenn.calculator.SevenNetCalculator",
        keywords={"model": "7net-l3i5", "device": "cpu"},
        citation="Y. Park, J. Kim, S. Hwang and S. Han, Scalable Parallel Algorithm for Graph "
        "Neural Network Interatomic Potentials in Molecular Dynamics Simulations, J. Chem. Theory "
        "Comput. 20, 4857 (2024)",
        doi="10.1021/acs.jctc.4c00190",
        name="sevennet",
        energy="the network's, fitted to PBE (with U for some oxides) of the Materials Project",
        convergence="no electrons: an explicit function of the positions, in single precision",
        start="nothing to start from",
        basis="no basis; forces and stress are the slopes of the energy",
        install="python3 -m venv sevennet && sevennet/bin/pip install sevenn ase; "
        "then reference: {python: /path/to/sevennet/bin/python}",
        missing=missing_package("sevenn"),
        prepare=gamma_alone("sevennet"),
    ),
)
