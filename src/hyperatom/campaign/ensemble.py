"""The ensemble that an input file asks for."""

import numpy as np

from hyperatom.campaign.settings import Settings
from hyperatom.configuration import Configuration
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.guided_trajectory import PathEnsemble
from hyperatom.sampling.isobaric import Isobaric
from hyperatom.sampling.quantum_canonical import QuantumCanonical
from hyperatom.units import GIGAPASCAL


def ensemble_of(settings: Settings, start: Configuration, rung: int = 0) -> PathEnsemble:
    """Canonical, of quantum nuclei where there are beads, or isobaric where there is a pressure.

    An external stress refers to the start, and is that of every `rung` of a ladder.

    Raises `InputError` where the configuration has no volume that could change.
    """
    held = settings.rungs[rung]
    if settings.beads > 1:
        return QuantumCanonical(held.temperature, mode_period=settings.sampling.mode_period)
    if held.pressure is None:
        return Canonical(held.temperature)
    cell = settings.cell
    ensemble = Isobaric(
        temperature=held.temperature,
        pressure=held.pressure * GIGAPASCAL,
        moves=cell.moves,
        home=None if cell.stress is None else start.cell,
        stress=None if cell.stress is None else np.array(cell.stress) * GIGAPASCAL,
        measure=cell.measure,
        centre_of_mass=cell.centre_of_mass,
        barostat_time=cell.barostat_time,
    )
    ensemble.check(start)
    return ensemble


def in_words(settings: Settings) -> str:
    """The distribution sampled, for people."""
    if settings.beads > 1:
        return (
            f"canonical with quantum nuclei at {settings.temperature:g} K, rings of "
            f"{settings.beads} beads with springs S: exp(-[S + mean of U over the beads]/k_BT), "
            "centre of mass of the centroids at rest, cell fixed"
        )
    if settings.pressure is None:
        return (
            f"canonical at {settings.temperature:g} K: exp(-U/k_BT), centre of mass at rest, "
            "cell fixed"
        )
    cell = settings.cell
    measure = {
        "isotropic": "dV",
        "orthorhombic": "dL1 dL2 dL3",
        "triclinic": "V^-2 dh" if cell.measure == "invariant" else "dh",
    }[cell.moves]
    power = "N" if cell.centre_of_mass == "absolute" else "N-1"
    tension = "" if cell.stress is None else " + V0 Tr(t e)"
    return (
        f"isobaric at {settings.temperature:g} K and {settings.pressure:g} GPa: "
        f"exp[-(U + PV{tension})/k_BT] V^({power}) ds {measure}, {cell.moves} cell"
    )
