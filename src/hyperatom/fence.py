"""A fence for the compiler: a function that is compiled apart from what surrounds it.

XLA fuses a computation into every place where its result is used. Where a result is used often and
is costly, it is then computed often: the displacements of neighbours once per feature, say. A
fenced function is a call of its own, whose arguments and results are stored.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import jax
from jax.experimental.xla_metadata import set_xla_metadata

P = ParamSpec("P")
R = TypeVar("R")


def fenced(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, never merged with its surroundings; differentiate inside of it."""
    compiled = jax.jit(function)

    def call(*arguments: P.args, **keywords: P.kwargs) -> R:
        with set_xla_metadata(inlineable="false"):
            return cast("R", compiled(*arguments, **keywords))

    return call
