"""How long a neighbour list holds: what each atom may move before a pair may be missing.

Every atom has an allowance s_i of its own: what it is about to move in a time that is the same for
all. A list holds the pairs with r_ij < c + s_i + s_j and knows all pairs within the cutoff c until
an atom has moved by more than its allowance. Equal allowances would be used up by the fastest atom
while the others have hardly moved: half as many steps for as many pairs.

When the cell moves from h_0 to h, A = h_0^-1 h, a pair at distance r_0 is at least
sigma(A) r_0 - |u_i| - |u_j| away, with u = x - x_0 A what atoms moved beyond following the cell
and sigma(A) >= 1 - |A - 1|. A list made with allowances s therefore knows all pairs with
r_ij < c + b_i + b_j while |u_i| + b_i <= s_i - |A - 1| (c / 2 + s_i) for every atom.
"""

import jax
import jax.numpy as jnp
import numpy as np

from hyperatom.dynamics.motion import Motion

SAME_FOR_ALL = 0.2
"""Part of the allowances of a list that does not go by how fast the atoms are."""


def allowances_of(
    motion: Motion, inverse_masses: jax.Array, skin: jax.Array, margin: jax.Array
) -> jax.Array:
    """What each atom may move until the next list, (n_atoms,) in Å: skin/2 in the mean.

    A fifth is the same for all; the rest goes by the way v t + a t^2 / 2 of each atom, at t or half
    of it, with the time t in which the mean atom would use up its share. `inverse_masses`
    (n_atoms, 1) in 1/amu; `skin` and `margin` in Å, as in `NeighbourLists`.
    """
    velocities = motion.momenta * inverse_masses
    accelerations = motion.forces * inverse_masses
    speed = jnp.linalg.norm(velocities, axis=1).mean()
    acceleration = jnp.linalg.norm(accelerations, axis=1).mean()
    half = 0.5 * skin
    share = (1.0 - SAME_FOR_ALL) * half
    smallest = np.finfo(half.dtype).tiny
    time = 2.0 * share / (speed + jnp.sqrt(speed**2 + 2.0 * acceleration * share) + smallest)

    def way(time: jax.Array) -> jax.Array:
        ways: jax.Array = jnp.linalg.norm(time * velocities + 0.5 * time**2 * accelerations, axis=1)
        return ways

    ways = jnp.maximum(way(time), way(0.5 * time))
    relative = jnp.where(speed + acceleration > 0.0, ways / (ways.mean() + smallest), 1.0)
    # A new wide list must know what the first list taken out of it needs, and some more, also
    # where something has run away and is not a number.
    most = half + 0.25 * margin
    wanted = SAME_FOR_ALL * half + share * relative
    allowances: jax.Array = jnp.where(wanted < most, wanted, most)
    return allowances


def knows_all_pairs(
    motion: Motion,
    origin: tuple[jax.Array, jax.Array, jax.Array],
    cutoff: jax.Array,
    still: jax.Array,
    moves: bool,
) -> jax.Array:
    """Does a list made at `origin` know all pairs with r_ij < c + b_i + b_j?

    `origin` is positions, cell and allowances; `still` is b, what atoms may move from here on. The
    answer is no where something is not a number.
    """
    positions, cell, allowances = origin
    moved = motion.positions - positions
    left = allowances - still
    if moves:
        deformation = deformation_of(cell, motion.cell)
        moved = motion.positions - positions @ deformation
        moved = moved - moved.mean(axis=0)
        strain = jnp.linalg.norm(deformation - jnp.eye(3, dtype=moved.dtype))
        left = left - strain * (0.5 * cutoff + allowances)
    complete: jax.Array = jnp.all((jnp.sum(moved**2, axis=1) <= left**2) & (left >= 0.0))
    return complete


def deformation_of(before: jax.Array, after: jax.Array) -> jax.Array:
    """A with h_after = h_before A; cells (3, 3) in Å."""
    deformation: jax.Array = jnp.linalg.solve(before, after)
    return deformation
