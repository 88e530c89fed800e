"""Small exactly known systems that several tests of observables share."""

from functools import cache

import numpy as np

from hyperatom.frames import FramesInMemory
from hyperatom.trajectory import Kind, Trajectory

FS = 0.09822694788464063
KB = 8.617330337217213e-05


def trajectory(
    numbers: list[int], positions: np.ndarray, cell: np.ndarray, kind: Kind = "as given",
    masses: list[float] | None = None, times: np.ndarray | None = None,
    velocities: np.ndarray | None = None, walkers: np.ndarray | None = None,
    periodic: bool = True, energies: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> Trajectory:  # fmt: skip
    source = FramesInMemory(positions, cell, velocities, energies=energies)
    return Trajectory(
        np.array(numbers), np.array(masses or [1.0] * len(numbers)), np.full(3, periodic), source,
        times, walkers, weights, kind,
    )  # fmt: skip


def fcc(repeat: int, constant: float) -> np.ndarray:
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    shifts = np.stack(np.meshgrid(*[np.arange(repeat)] * 3, indexing="ij"), -1).reshape(-1, 3)
    return constant * (shifts[:, None] + corners).reshape(-1, 3)


@cache
def argon(
    n_frames: int = 400, every: int = 20, repeat: int = 3, temperature: float = 94.4,
    density: float = 0.02072, equilibrate: int = 3000,
) -> Trajectory:  # fmt: skip
    """Lennard-Jones argon of Rahman, Phys. Rev. 136, A405 (1964): 94.4 K, 1.374 g/cm^3.

    epsilon/k = 120 K, sigma = 3.4 Å, cut off at 2.25 sigma; velocity Verlet of 10 fs without a
    thermostat after a start with rescaled velocities. Positions are not wrapped.
    """
    import jax
    import jax.numpy as jnp

    epsilon, sigma, mass, step = 120.0 * KB, 3.4, 39.948, 10.0 * FS
    n_atoms = 4 * repeat**3
    edge = (n_atoms / density) ** (1.0 / 3.0)
    rng = np.random.default_rng(0)
    start = fcc(repeat, edge / repeat) + rng.normal(0.0, 0.1, (n_atoms, 3))
    velocities = rng.normal(0.0, np.sqrt(KB * temperature / mass), (n_atoms, 3))
    velocities -= velocities.mean(axis=0)

    def forces(x: jax.Array) -> jax.Array:
        d = x[:, :, None] - x[:, None, :]
        d = d - edge * jnp.round(d / edge)
        r2 = jnp.sum(d * d, axis=0) + jnp.eye(n_atoms, dtype=x.dtype) * 1e6
        s6 = (sigma**2 / r2) ** 3
        size = jnp.where(r2 < (2.25 * sigma) ** 2, 24 * epsilon * (2 * s6 * s6 - s6) / r2, 0.0)
        return jnp.sum(size * d, axis=-1)

    def verlet(state: tuple, _: object) -> tuple:
        x, v, f = state
        v = v + 0.5 * step / mass * f
        x = x + step * v
        f = forces(x)
        return (x, v + 0.5 * step / mass * f, f), None

    @jax.jit
    def frame(state: tuple) -> tuple:
        return jax.lax.scan(verlet, state, None, length=every)[0]

    x = jnp.asarray(start.T, dtype=jnp.float32)
    state = (x, jnp.asarray(velocities.T, dtype=jnp.float32), forces(x))
    for n in range(equilibrate // every):
        x, v, f = frame(state)
        if n < 3 * equilibrate // every // 4:
            kinetic = mass * jnp.sum(v * v) / (3 * (n_atoms - 1)) / KB
            v = v * jnp.sqrt(temperature / kinetic)
        state = (x, v, f)
    positions, speeds = [], []
    for _ in range(n_frames):
        state = frame(state)
        positions.append(np.asarray(state[0], dtype=np.float64).T)
        speeds.append(np.asarray(state[1], dtype=np.float64).T * FS)
    return trajectory(
        [18] * n_atoms, np.stack(positions), edge * np.eye(3), "machine-learned dynamics",
        [mass] * n_atoms, 10.0 * every * np.arange(n_frames), np.stack(speeds),
    )  # fmt: skip
