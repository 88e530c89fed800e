"""Functions given by tables: cubic Hermite splines, as LAMMPS makes them of its files.

Between knots f_m at equal distances the function is the cubic with the values and the slopes of
both knots. The slope at a knot is that of the quartic through five neighbouring knots,

    f'_m = [f_{m-2} - f_{m+2} + 8 (f_{m+1} - f_{m-1})] / 12      (in units of the spacing)

next to the ends the central difference of two knots, and at the ends the one-sided difference.
"""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def hermite_coefficients(values: Array) -> Array:
    """The cubic in each interval, (..., n_knots - 1, 4), constant term first.

    `values` (..., n_knots) at the knots, at least five. The variable of each cubic runs from zero
    to one.
    """
    step = np.diff(values, axis=-1)
    slope = np.empty_like(values)
    slope[..., 2:-2] = (
        values[..., :-4] - values[..., 4:] + 8.0 * (values[..., 3:-1] - values[..., 1:-3])
    ) / 12.0
    slope[..., 1] = 0.5 * (values[..., 2] - values[..., 0])
    slope[..., -2] = 0.5 * (values[..., -1] - values[..., -3])
    slope[..., 0], slope[..., -1] = step[..., 0], step[..., -1]
    left, right = slope[..., :-1], slope[..., 1:]
    return np.stack(
        [values[..., :-1], left, 3.0 * step - 2.0 * left - right, left + right - 2.0 * step],
        axis=-1,
    )


def interpolate(coefficients: jax.Array, table: jax.Array, position: jax.Array) -> jax.Array:
    """The value of tables at positions counted in knots from zero.

    `coefficients` (n_tables, n_intervals, 4); `table` (whole numbers) and `position` have the shape
    of what is returned. Beyond the last knot the function is constant; before the first one the
    first cubic continues.
    """
    interval = jnp.clip(jnp.floor(position), 0, coefficients.shape[1] - 1).astype(jnp.int32)
    cubic = coefficients[table, interval]
    fraction = jnp.minimum(position - interval, 1.0)
    return cubic[..., 0] + fraction * (
        cubic[..., 1] + fraction * (cubic[..., 2] + fraction * cubic[..., 3])
    )
