"""Cutoff functions of symmetry functions: one near the atom, zero at the cutoff."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from hyperatom.errors import InputError

Shape = Callable[[jax.Array], jax.Array]

SHAPES: dict[str, Shape] = {
    "hard": jnp.ones_like,
    "cosine": lambda x: 0.5 * (jnp.cos(math.pi * x) + 1.0),
    "tanh": lambda x: jnp.tanh(1.0 - x) ** 3,
    "normalised tanh": lambda x: (jnp.tanh(1.0 - x) / math.tanh(1.0)) ** 3,
    "exponential": lambda x: jnp.exp(1.0 - 1.0 / (1.0 - x * x)),
    "polynomial 1": lambda x: x**2 * (2.0 * x - 3.0) + 1.0,
    "polynomial 2": lambda x: x**3 * (x * (15.0 - 6.0 * x) - 10.0) + 1.0,
    "polynomial 3": lambda x: x**4 * (x * (x * (20.0 * x - 70.0) + 84.0) - 35.0) + 1.0,
    "polynomial 4": lambda x: (
        x**5 * (x * (x * (x * (315.0 - 70.0 * x) - 540.0) + 420.0) - 126.0) + 1.0
    ),
}
"""f(x) for 0 <= x < 1: Behler 2011 (cosine, tanh), Singraber et al. 2019 (the others).

Polynomial p has degree 2 p + 1 and p continuous derivatives at both ends.
"""

WITHOUT_INNER = ("hard", "tanh", "normalised tanh")
"""Shapes that always begin at the atom."""


@dataclass(frozen=True)
class CutoffFunction:
    """f_c(r) = f((r - r_inner) / (cutoff - r_inner)), one below r_inner, zero from the cutoff on.

    `shape` is a name of `SHAPES`; r_inner = `inner` x cutoff, where the shape has an inner radius
    at all. Raises `InputError` for an unknown shape or an inner radius outside the cutoff.
    """

    shape: str = "cosine"
    inner: float = 0.0

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise InputError(
                f"There is no cutoff function called {self.shape!r}.",
                f"Take one of {', '.join(SHAPES)}.",
            )
        if not 0.0 <= self.inner < 1.0:
            raise InputError(
                f"The inner radius of a cutoff function is {self.inner:g} of its cutoff.",
                "Give a fraction of at least 0 and less than 1.",
            )

    def __call__(self, distance: jax.Array, cutoff: float) -> jax.Array:
        """Values at `distance` (any shape), which has the unit of `cutoff`."""
        start = 0.0 if self.shape in WITHOUT_INNER else self.inner * cutoff
        inside = distance < cutoff
        relative = (jnp.where(inside, distance, start) - start) / (cutoff - start)
        if start > 0.0:
            relative = jnp.maximum(relative, 0.0)
        return jnp.where(inside, SHAPES[self.shape](relative), 0.0)
