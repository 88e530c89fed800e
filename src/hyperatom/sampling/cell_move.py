"""Plain Monte Carlo moves of the cell: the atoms follow, two energies decide.

    h' = h exp(v),   r' = c + (r - c) exp(v),   v symmetric, of the kind that may move, Gaussian

c is the centre of mass. The way back is -v, as likely as v. In dr dh (`sampling.isobaric`) the map
stretches the 3N - 3 relative coordinates by (V'/V)^(N-1) and cells by (V'/V)^n, n = 1, 1, 3 for dV,
dL_1 dL_2 dL_3 and d^9 h: that is the log ratio. For isotropic cells with V^N it gives the text
book's (N + 1) ln(V'/V) (Frenkel and Smit, Understanding Molecular Simulation, section 5.4).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.geometry.cell_moves import MEASURE, CellMoves, projected


@dataclass(frozen=True)
class CellMove:
    """Strains the cell by a matrix whose components have the standard deviation `width`."""

    moves: CellMoves
    width: float

    def propose(self, configuration: Configuration, rng: np.random.Generator) -> Proposed:
        """Log ratio: (N - 1 + n) ln(V'/V)."""
        strain = projected(self.width * rng.standard_normal((3, 3)), self.moves)
        rates, axes = np.linalg.eigh(strain)
        stretch: NDArray[np.float64] = (axes * np.exp(rates)) @ axes.T
        masses = configuration.masses
        centre = masses @ configuration.positions / masses.sum()
        there = configuration.with_cell(
            centre + (configuration.positions - centre) @ stretch, configuration.cell @ stretch
        )
        power = configuration.n_atoms - 1 + MEASURE[self.moves]
        return Proposed(there, power * float(np.trace(strain)), None, {"strain": strain.tolist()})
