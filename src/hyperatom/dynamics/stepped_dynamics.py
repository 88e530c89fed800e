"""The loop of an integrator on forces that come from outside: first principles, call by call."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics
from hyperatom.dynamics.compiled_dynamics import DynamicsPath, at_rest
from hyperatom.dynamics.motion import Circumstances, Integrator

OutsideForces = Callable[[Any, Any], tuple[float, Any, Any]]
"""positions (n_atoms, 3), cell (3, 3) -> energy eV, forces eV/Å, virial (3, 3) eV"""


def run_stepwise(
    forces: OutsideForces,
    configuration: Configuration,
    momenta: NDArray[np.float64],
    time_step: float,
    n_steps: int,
    check_every: int,
    dynamics: Dynamics,
    first_step: int = 0,
) -> DynamicsPath:
    """Arguments and result as in `CompiledDynamics.run`; whatever `forces` raises goes through."""
    begin, complete = _compiled(dynamics.integrator)
    with jax.enable_x64(True):
        real = jax.tree.map(jnp.asarray, (dynamics.parameters, dynamics.variables))
        circumstances = Circumstances(
            np.float64(time_step),
            jnp.asarray(1.0 / configuration.masses[:, None]),
            real[0],
            np.int64(first_step),
        )
        motion = at_rest(configuration.positions, momenta, configuration.cell, real[1])
        motion = jax.tree.map(partial(jnp.asarray), motion)

        def evaluated(motion: Any) -> Any:
            here = np.asarray(motion.positions), np.asarray(motion.cell)
            energy, force, virial = forces(*here)
            return motion._replace(
                energy=np.float64(energy), forces=jnp.asarray(force), virial=jnp.asarray(virial)
            )

        motion = evaluated(motion)
        seen = [motion]
        for step in range(n_steps):
            now = circumstances._replace(step=np.int64(first_step + step))
            motion = complete(evaluated(begin(motion, now)), now)
            if (step + 1) % check_every == 0:
                seen.append(motion)
        last = seen[-1]
        return DynamicsPath(
            np.array(last.positions),
            np.array(last.momenta),
            np.array(last.cell),
            jax.tree.map(np.asarray, last.variables),
            np.array([float(one.energy) for one in seen]),
            np.array([one.positions for one in seen]),
            np.array([one.cell for one in seen]),
            0,
            np.array([one.momenta for one in seen]),
            [jax.tree.map(np.asarray, one.variables) for one in seen],
        )


@cache
def _compiled(integrator: Integrator) -> tuple[Any, Any]:
    return jax.jit(integrator.begin), jax.jit(integrator.complete)
