"""Bond-orientational order: Steinhardt's q_l and w_l of each atom, plain or averaged."""

from dataclasses import dataclass
from math import nan

import numpy as np

from hyperatom.analysis.bonds import Bonds, bonds_of, histogram
from hyperatom.analysis.observation import Axis, Observation
from hyperatom.analysis.statistics import Array
from hyperatom.analysis.weighted import Samples, as_trajectory, curve_of, mean_of
from hyperatom.errors import InputError


@dataclass(frozen=True)
class BondOrientation:
    """Steinhardt's order parameters of order `l` from the neighbours within `cutoff` (Å).

        q_lm(i) = 1/n_i sum_j Y_lm(r_ij),    q_l = sqrt[4 pi/(2l+1) sum_m |q_lm|^2]
        w_l = sum_{m1+m2+m3=0} (l l l; m1 m2 m3) q_lm1 q_lm2 q_lm3 / (sum_m |q_lm|^2)^(3/2)

    P. J. Steinhardt, D. R. Nelson and M. Ronchetti, Phys. Rev. B 28, 784 (1983); with `averaged`,
    q_lm is first averaged over an atom and its neighbours: W. Lechner and C. Dellago, J. Chem.
    Phys. 129, 114707 (2008). Perfect: q_6 0.5745 (fcc), 0.4848 (hcp), 0.5107 (bcc, 14 neighbours).
    An atom without neighbours is left out.
    """

    l: int = 6  # noqa: E741
    cutoff: float = 3.5
    averaged: bool = False
    bins: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.l <= 20:
            raise InputError(
                f"Bond-orientational order of order {self.l} is not defined here.",
                "Choose l from 1 to 20; 4 and 6 are usual.",
            )

    def compute(self, samples: Samples) -> Observation:
        """Mean over atoms and frames, and the distribution over atoms.

        Raises `InputError` where no atom ever has a neighbour.
        """
        trajectory = as_trajectory(samples)
        edges = np.linspace(0.0, 1.0, self.bins + 1)
        rows = np.zeros((len(trajectory), self.bins))
        means = np.full((len(trajectory), 2), nan)
        for step, bonds in bonds_of(trajectory, self.cutoff):
            q, w = self.of_atoms(bonds, trajectory.n_atoms)
            known = np.isfinite(q)
            if known.any():
                rows[step] = histogram(q[known], edges) / (known.sum() * (edges[1] - edges[0]))
                means[step] = q[known].mean(), np.nanmean(w[known])
        if not np.isfinite(means).any():
            raise InputError(
                f"No atom of {trajectory.origin} has a neighbour within {self.cutoff:g} Å.",
                "Choose a larger cutoff.",
            )
        name = f"{'averaged ' if self.averaged else ''}q_{self.l}"
        return Observation(
            "bond-orientational order",
            trajectory.kind,
            len(trajectory),
            Axis(name),
            Axis("density"),
            {name: curve_of(trajectory, (edges[1:] + edges[:-1]) / 2.0, rows)},
            {
                f"mean {name}": mean_of(trajectory, means[:, 0], ""),
                f"mean {name.replace('q', 'w')}": mean_of(trajectory, means[:, 1], ""),
            },
        )

    def of_atoms(self, bonds: Bonds, n_atoms: int) -> tuple[Array, Array]:
        """q_l and w_l of each atom of a frame, (n_atoms,) each; NaN without neighbours."""
        from scipy.special import sph_harm_y

        x, y, z = bonds.vector.T
        polar = np.arccos(np.clip(z / bonds.distance, -1.0, 1.0))
        m = np.arange(-self.l, self.l + 1)
        waves = sph_harm_y(self.l, m[:, None], polar, np.arctan2(y, x))
        degree = np.bincount(bonds.first, minlength=n_atoms)
        moments = _summed(waves, bonds.first, n_atoms)
        with np.errstate(invalid="ignore", divide="ignore"):
            moments = moments / degree
            if self.averaged:
                around = _summed(moments[:, bonds.second], bonds.first, n_atoms)
                moments = (moments + around) / (1 + degree)
            square = np.sum(np.abs(moments) ** 2, axis=0)
            q = np.sqrt(4.0 * np.pi / (2 * self.l + 1) * square)
            w = np.zeros(n_atoms)
            for m1 in m:
                for m2 in m:
                    m3 = -m1 - m2
                    if abs(m3) <= self.l:
                        symbol = _wigner(self.l, int(m1), int(m2))
                        if symbol:
                            a, b, c = (moments[k + self.l] for k in (m1, m2, m3))
                            w += symbol * (a * b * c).real
            w = w / square**1.5
        return q, w


def _summed(values: np.ndarray, index: np.ndarray, n_atoms: int) -> np.ndarray:
    return np.stack(
        [
            np.bincount(index, row.real, minlength=n_atoms)
            + 1j * np.bincount(index, row.imag, minlength=n_atoms)
            for row in values
        ]
    )


def _wigner(l: int, m1: int, m2: int) -> float:  # noqa: E741
    """Wigner's 3j symbol (l l l; m1 m2 -m1-m2), by Racah's sum."""
    from math import factorial as f
    from math import sqrt

    m3 = -m1 - m2
    triangle = f(l) ** 3 / f(3 * l + 1)
    root = sqrt(
        triangle
        * f(l + m1) * f(l - m1) * f(l + m2) * f(l - m2) * f(l + m3) * f(l - m3)
    )  # fmt: skip
    total = 0.0
    for k in range(max(0, -m1, m2), min(l, l - m1, l + m2) + 1):
        total += (-1) ** k / (
            f(k) * f(l - k) * f(l - m1 - k) * f(l + m2 - k) * f(m1 + k) * f(k - m2)
        )
    return float((-1) ** m3 * root * total)
