"""From settings to equations of motion: integrator, parameters, variables at the start."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics
from hyperatom.dynamics.cell_rescaling import Barostat, CellRescaling, CellVariables
from hyperatom.dynamics.langevin import Friction, Langevin
from hyperatom.dynamics.nose_hoover_chain import Chain, NoseHooverChain
from hyperatom.dynamics.ring_polymer import RingModes, RingPolymerDynamics
from hyperatom.dynamics.ring_polymer_langevin import RingFriction, RingPolymerLangevin
from hyperatom.dynamics.thermal_bath import Ramp
from hyperatom.dynamics.velocity_rescaling import Rescaling, VelocityRescaling
from hyperatom.dynamics.velocity_verlet import VelocityVerlet
from hyperatom.errors import InputError
from hyperatom.ring_polymer import RingPolymer, normal_modes
from hyperatom.sampling.quantum_canonical import QuantumCanonical
from hyperatom.simulation.settings import MotionSettings
from hyperatom.units import BOLTZMANN, FEMTOSECOND, GIGAPASCAL


def equations_of_motion(
    settings: MotionSettings, configuration: Configuration, walker: int
) -> Dynamics:
    """The dynamics of a walker; its random key is a function of seed and walker.

    The centre of mass rests: there are 3N - 3 degrees of freedom. Raises `InputError` where the
    ensemble does not suit the configuration.
    """
    ensemble = settings.ensemble
    if isinstance(configuration, RingPolymer):
        return _of_rings(settings, configuration, walker)
    first, last = (BOLTZMANN * kelvin for kelvin in settings.temperatures)
    ramp = Ramp(first, (last - first) / settings.n_steps)
    time, key = _relaxation(settings), _key(settings, walker)
    freedom = 3 * configuration.n_atoms - 3
    if ensemble.name == "langevin":
        return Dynamics(Langevin(), Friction(ramp, 1.0 / time, key), (0.0,))
    if ensemble.name == "nose-hoover":
        chain = Chain.of(ramp, freedom, time)
        return Dynamics(NoseHooverChain(), chain, (0.0, np.zeros(len(chain.masses))))
    rescaling = Rescaling(ramp, time, float(freedom), key)
    if ensemble.name == "velocity-rescaling":
        return Dynamics(VelocityRescaling(), rescaling, (0.0,))
    if ensemble.name == "cell-rescaling":
        if not configuration.periodic.all():
            raise InputError(
                "A pressure needs a cell that is periodic in all directions; this one is not.",
                "Use 'velocity-rescaling', or make the cell periodic.",
            )
        rate = ensemble.compressibility / GIGAPASCAL / (ensemble.cell_relaxation * FEMTOSECOND)
        barostat = Barostat(rescaling, (settings.pressure or 0.0) * GIGAPASCAL, rate)
        return Dynamics(CellRescaling(ensemble.cell), barostat, CellVariables.of((0.0,)))
    return Dynamics(VelocityVerlet())


def _of_rings(settings: MotionSettings, ring: RingPolymer, walker: int) -> Dynamics:
    """Ring-polymer dynamics: beads have the physical masses, over P in our convention."""
    ensemble = QuantumCanonical(settings.temperatures[0])
    modes, _ = normal_modes(ring.n_beads)
    masses = np.tile(ring.bead_masses / ring.n_beads, (ring.n_beads, 1))
    free = RingModes(modes, masses, ensemble.mode_frequencies(ring, masses))
    if settings.ensemble.name == "nve":
        return Dynamics(RingPolymerDynamics(), free)
    rates = 2.0 * free.frequencies[:, 0]
    rates[0] = 1.0 / _relaxation(settings)
    key = _key(settings, walker)
    friction = RingFriction(free, ensemble.thermal_energy, rates, key)
    return Dynamics(RingPolymerLangevin(), friction, (0.0,))


def _key(settings: MotionSettings, walker: int) -> NDArray[np.uint32]:
    """The random key of a walker's heat bath."""
    return np.asarray(np.random.SeedSequence([settings.seed, walker, 1]).generate_state(2), "u4")


def _relaxation(settings: MotionSettings) -> float:
    """Of the heat bath, sqrt(amu Å^2 / eV)."""
    ensemble = settings.ensemble
    time = ensemble.relaxation * FEMTOSECOND
    if ensemble.name != "nve" and time < 4.0 * settings.internal_time_step:
        raise InputError(
            f"The heat bath is to relax within {ensemble.relaxation:g} fs, which is less than four "
            f"time steps of {settings.time_step:g} fs.",
            "Choose a longer 'relaxation'; 100 fs suits most solids and liquids.",
        )
    return time


def moving_masses(configuration: Configuration) -> NDArray[np.float64]:
    """Masses by which momenta move atoms, (n_atoms,), amu; of a bead a P-th of its atom's."""
    return np.asarray(configuration.masses / configuration.n_copies)


def first_momenta(
    settings: MotionSettings, configuration: Configuration, walker: int
) -> NDArray[np.float64]:
    """Maxwell momenta of a walker, (n_atoms, 3), sqrt(amu eV), centre of mass at rest.

    Of a ring those of its beads, at its temperature: fast ones, as the beads are light.
    """
    from hyperatom.sampling.momenta import draw_atoms

    rng = np.random.default_rng([settings.seed, walker, 0])
    return draw_atoms(
        moving_masses(configuration),
        thermal_energy(settings, 0),
        rng,
        fixed_centre_of_mass=True,
    )


def thermal_energy(settings: MotionSettings, step: int) -> float:
    """k_BT in the step of that number, eV."""
    first, last = settings.temperatures
    return BOLTZMANN * (first + (last - first) * step / settings.n_steps)


def conserved(
    dynamics: Dynamics, settings: MotionSettings, masses: NDArray[np.float64], row: dict[str, Any]
) -> float:
    """What exact motion would keep constant, eV; `row` holds the other fields of a `Motion`."""
    import jax

    from hyperatom.dynamics.motion import Circumstances, Motion

    circumstances = Circumstances(
        settings.internal_time_step, 1.0 / masses[:, None], dynamics.parameters, 0
    )
    with jax.enable_x64(True):
        motion = Motion(**row, forces=None, virial=None)
        return float(dynamics.integrator.conserved_energy(motion, circumstances))
