"""Parameters as one vector: trainers know vectors, potentials know trees."""

from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

FIXED = ("shift", "stretch", "whitening", "series", "points", "widths", "lengths")
"""Entries that describe features rather than what is learned of them."""


class ParameterVector:
    """The numbers of a tree that are trained, one after the other.

    `tree` gives the shapes, and the values of what is not trained: what lies under a key of
    `fixed`, or what `trained` says no to, which is asked about the keys on the way to each array.
    """

    def __init__(
        self,
        tree: Any,
        fixed: Collection[str] = FIXED,
        trained: Callable[[tuple[Any, ...]], bool] | None = None,
    ) -> None:
        leaves, self._structure = jax.tree_util.tree_flatten_with_path(tree)
        self._values = [np.asarray(leaf, dtype=np.float64) for _, leaf in leaves]
        ways = [
            tuple(getattr(key, "key", getattr(key, "idx", key)) for key in path)
            for path, _ in leaves
        ]
        if trained is None:
            self._trained = [not set(way) & set(fixed) for way in ways]
        else:
            self._trained = [trained(way) for way in ways]
        self._sizes = [array.size for array in self._values]

    def _flattened(self) -> tuple[list[Any], tuple[Any, ...]]:
        return self._values, (self._structure, tuple(self._trained), tuple(self._sizes))

    @classmethod
    def _unflattened(cls, static: tuple[Any, ...], values: Any) -> "ParameterVector":
        made = cls.__new__(cls)
        made._values = list(values)
        made._structure, made._trained, made._sizes = static[0], list(static[1]), list(static[2])
        return made

    @property
    def n_parameters(self) -> int:
        """Length of the vector."""
        return sum(
            size for size, trained in zip(self._sizes, self._trained, strict=True) if trained
        )

    def vector(self, tree: Any) -> NDArray[np.float64]:
        """The trained numbers of a tree of the same shape, (n_parameters,)."""
        leaves = jax.tree.leaves(tree)
        chosen = [
            np.asarray(leaf, dtype=np.float64).ravel()
            for leaf, trained in zip(leaves, self._trained, strict=True)
            if trained
        ]
        return np.concatenate(chosen) if chosen else np.zeros(0)

    def tree(self, vector: Any, dtype: Any = None) -> Any:
        """The tree of a vector, which may be one of JAX that is being differentiated."""
        dtype = vector.dtype if dtype is None else dtype
        leaves, first = [], 0
        for known, trained, size in zip(self._values, self._trained, self._sizes, strict=True):
            if trained:
                piece = vector[first : first + size].reshape(known.shape).astype(dtype)
                first += size
            else:
                piece = jnp.asarray(known, dtype=dtype)
            leaves.append(piece)
        return jax.tree_util.tree_unflatten(self._structure, leaves)

    def arrays(self, vector: NDArray[np.float64]) -> Any:
        """The same as a tree of NumPy's arrays in double precision, for a frozen potential."""
        leaves, first = [], 0
        for known, trained, size in zip(self._values, self._trained, self._sizes, strict=True):
            piece = known
            if trained:
                piece = np.array(vector[first : first + size], np.float64).reshape(known.shape)
                first += size
            leaves.append(piece)
        return jax.tree_util.tree_unflatten(self._structure, leaves)


# Shapes and what is trained are compiled in, the values of what is not trained are arguments.
jax.tree_util.register_pytree_node(
    ParameterVector, ParameterVector._flattened, ParameterVector._unflattened
)
