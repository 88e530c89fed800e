"""Bond angles: the distribution of the angle at a centre between two of its neighbours."""

from dataclasses import dataclass
from math import nan

import numpy as np

from hyperatom.analysis.bonds import Cutoffs, bonds_of, histogram
from hyperatom.analysis.observation import Axis, Observation
from hyperatom.analysis.weighted import Samples, as_trajectory, curve_of, mean_of
from hyperatom.errors import InputError


@dataclass(frozen=True)
class BondAngles:
    """Angles end - centre - end within `cutoffs` (Å), of species `ends` around `centre`.

    The curve is the density of the angle in 1/degree, with `per_solid_angle` that of its cosine,
    flat for a random arrangement, both normalised to one in each frame.
    """

    centre: str = "all"
    ends: str = "all"
    cutoffs: Cutoffs = 3.0
    bins: int = 180
    per_solid_angle: bool = False

    def compute(self, samples: Samples) -> Observation:
        """Mean angle and distribution. Raises `InputError` where no angle is ever found."""
        trajectory = as_trajectory(samples)
        n_atoms = trajectory.n_atoms
        centre = np.isin(np.arange(n_atoms), trajectory.members(self.centre))
        end = np.isin(np.arange(n_atoms), trajectory.members(self.ends))
        edges = np.linspace(0.0, 180.0, self.bins + 1)
        rows = np.zeros((len(trajectory), self.bins))
        mean = np.full(len(trajectory), nan)
        for step, bonds in bonds_of(trajectory, self.cutoffs):
            slots, real = bonds.slots(n_atoms)
            real &= centre[:, None] & end[bonds.second[slots]] if len(bonds.first) else real
            some = real.any(axis=1)
            if not some.any():
                continue
            slots, real = slots[some], real[some]
            unit = bonds.vector / bonds.distance[:, None]
            arms = unit[slots]
            cosine = arms @ arms.transpose(0, 2, 1)
            upper = np.triu(np.ones(cosine.shape[1:], dtype=bool), 1)
            chosen = real[:, :, None] & real[:, None, :] & upper
            angles = np.degrees(np.arccos(np.clip(cosine[chosen], -1.0, 1.0)))
            if len(angles):
                rows[step] = histogram(angles, edges) / (len(angles) * (edges[1] - edges[0]))
                mean[step] = angles.mean()
        if not rows.any():
            raise InputError(
                f"No angle {self.ends}-{self.centre}-{self.ends} was found in {trajectory.origin}.",
                "Choose larger cutoffs.",
            )
        middle = (edges[1:] + edges[:-1]) / 2.0
        if self.per_solid_angle:
            rows = rows * (edges[1] - edges[0]) / -np.diff(np.cos(np.radians(edges)))
        name = f"{self.ends}-{self.centre}-{self.ends}"
        unit_y = "" if self.per_solid_angle else "1/°"
        return Observation(
            "bond angle",
            trajectory.kind,
            len(trajectory),
            Axis("angle", "°"),
            Axis("density of the cosine" if self.per_solid_angle else "density", unit_y),
            {name: curve_of(trajectory, middle, rows)},
            {f"{name} mean": mean_of(trajectory, mean, "°")},
        )
