"""Every observable by name, with the parameters that may be set and what it needs."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from hyperatom.analysis.bond_angles import BondAngles
from hyperatom.analysis.bond_orientation import BondOrientation
from hyperatom.analysis.coordination import Coordination
from hyperatom.analysis.density_map import DensityMap
from hyperatom.analysis.green_kubo import Viscosity
from hyperatom.analysis.heat_capacity import HeatCapacity
from hyperatom.analysis.jumps import Jumps
from hyperatom.analysis.local_environments import CommonNeighbours, LocalEnvironments
from hyperatom.analysis.mean_squared_displacement import MeanSquaredDisplacement
from hyperatom.analysis.observation import Observation
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.analysis.rings import Rings
from hyperatom.analysis.structure_factor import (
    FourierStructureFactor,
    PairDistribution,
    StructureFactor,
)
from hyperatom.analysis.thermodynamics import ElasticConstants, Thermodynamics
from hyperatom.analysis.van_hove import DistinctVanHove, VanHove
from hyperatom.analysis.vibrations import VelocityAutocorrelation, VibrationalDensityOfStates
from hyperatom.errors import InputError
from hyperatom.trajectory import Trajectory


@dataclass(frozen=True)
class Choice:
    """An observable that can be asked for by name.

    | field       | meaning                                                                      |
    |-------------|------------------------------------------------------------------------------|
    | `make`      | the class of its parameters                                                  |
    | `sentence`  | what it is                                                                   |
    | `dynamic`   | does it need a clock?                                                        |
    | `usual`     | is it computed where nothing is named?                                       |
    | `transform` | parameters of the radial distribution that it transforms, where it does      |
    """

    make: Callable[..., Any]
    sentence: str
    dynamic: bool = False
    usual: bool = False
    transform: bool = False

    def parameters(self) -> dict[str, Any]:
        """Names of the parameters and their defaults; those without one must be given."""
        return {f.name: f.default for f in fields(self.make)}  # type: ignore[arg-type]

    def compute(self, trajectory: Trajectory, given: Mapping[str, Any]) -> Observation:
        """The observable with some parameters set.

        Raises `InputError` for an unknown parameter, or whatever the observable refuses.
        """
        known = self.parameters()
        for name in given:
            if name not in known:
                close = difflib.get_close_matches(name, known, 1)
                raise InputError(
                    f"There is no parameter '{name}' here.",
                    f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(known)}.",
                )
        observable = self.make(**given)
        if self.transform:
            half = _half_cell(trajectory)
            return _of(observable.compute(RadialDistribution(half, 400).compute(trajectory)))
        return _of(observable.compute(trajectory))


OBSERVABLES: Final[dict[str, Choice]] = {
    "rdf": Choice(RadialDistribution, "radial distribution functions", usual=True),
    "coordination": Choice(Coordination, "numbers of neighbours within a cutoff"),
    "structure-factor": Choice(StructureFactor, "S(q), from the atoms", usual=True),
    "structure-factor-fourier": Choice(
        FourierStructureFactor, "S(q), from radial distributions", transform=True
    ),
    "pair-distribution": Choice(
        PairDistribution, "G(r) as a diffractometer shows it", transform=True
    ),
    "angles": Choice(BondAngles, "bond angles"),
    "steinhardt": Choice(BondOrientation, "bond-orientational order q_l, w_l"),
    "environments": Choice(LocalEnvironments, "which neighbours atoms have, by species"),
    "common-neighbours": Choice(CommonNeighbours, "atoms surrounded as in fcc, hcp, bcc"),
    "rings": Choice(Rings, "shortest-path rings"),
    "density-map": Choice(DensityMap, "density on a grid of the cell (also cube, VTK)"),
    "thermodynamics": Choice(Thermodynamics, "energy, density, expansion, compressibility",
                             usual=True),
    "heat-capacity": Choice(HeatCapacity, "C_V or C_P by fluctuation", usual=True),
    "elastic": Choice(ElasticConstants, "elastic constants from a fluctuating cell"),
    "msd": Choice(MeanSquaredDisplacement, "displacements, regimes, diffusion", True, True),
    "vdos": Choice(VibrationalDensityOfStates, "vibrational density of states", True, True),
    "vacf": Choice(VelocityAutocorrelation, "velocity autocorrelation", True),
    "van-hove": Choice(VanHove, "how far atoms move in given times", True),
    "van-hove-distinct": Choice(
        DistinctVanHove, "who is where others were, given times before", True
    ),
    "jumps": Choice(Jumps, "jumps between residences, and their rates", True),
    "viscosity": Choice(Viscosity, "shear viscosity by Green and Kubo", True),
}  # fmt: skip


def choose(names: Sequence[str]) -> list[str]:
    """Names as asked for; the usual ones where nothing is.

    Raises `InputError` for an unknown name, with the nearest right one.
    """
    if not names:
        return [name for name, choice in OBSERVABLES.items() if choice.usual]
    for name in names:
        if name not in OBSERVABLES:
            close = difflib.get_close_matches(name, OBSERVABLES, 1)
            raise InputError(
                f"There is no observable '{name}'.",
                f"Did you mean '{close[0]}'?" if close else f"Known are {', '.join(OBSERVABLES)}.",
            )
    return list(dict.fromkeys(names))


def _half_cell(trajectory: Trajectory) -> float:
    from hyperatom.geometry.cells import heights

    first = trajectory.configuration(0)
    return float(min(10.0, heights(first.cell, first.periodic).min() / 2.0))


def _of(result: Any) -> Observation:
    found: Observation = result if isinstance(result, Observation) else result.observation
    return found
