"""Feed-forward networks of atoms: features in, one number out, any depth and activation."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError

Layers = list[tuple[Any, Any]]
"""Weights (n_in, n_out) and biases (n_out,) of each layer."""

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "linear": lambda x: x,
    "tanh": jnp.tanh,
    "scaled tanh": lambda x: 1.7159 * jnp.tanh(0.666666666666667 * x),
    "twisted tanh": lambda x: 1.7159 * jnp.tanh(0.666666666666667 * x) + 0.1 * x,
    "logistic": jax.nn.sigmoid,
    "reverse logistic": lambda x: 1.0 - jax.nn.sigmoid(x),
    "softplus": jax.nn.softplus,
    "rectifier": jax.nn.relu,
    "gaussian": lambda x: jnp.exp(-0.5 * x * x),
    "cosine": jnp.cos,
    "exponential": lambda x: jnp.exp(-x),
    "harmonic": lambda x: x * x,
}
"""Activation functions by name; the two tanh are those of LeCun et al. 1998."""


def evaluate_network(layers: Layers, activations: Sequence[str], inputs: jax.Array) -> jax.Array:
    """y = f_n(W_n ... f_1(W_1 x + b_1) ... + b_n) for each row of `inputs` (n_block, n_in).

    The last layer has one node; returns (n_block,).
    """
    values = inputs
    for (weights, biases), activation in zip(layers, activations, strict=True):
        values = ACTIVATIONS[activation](values @ weights + biases)
    return values[:, 0]


def random_network(
    nodes: Sequence[int], rng: np.random.Generator
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Layers between `nodes`, weights uniform within +-sqrt(6 / (n_in + n_out)), biases zero.

    Glorot and Bengio, AISTATS 2010, eq. 16. Raises `InputError` unless the last layer has one node.
    """
    if len(nodes) < 2 or nodes[-1] != 1 or min(nodes) < 1:
        raise InputError(
            f"A network with {list(nodes)} nodes has no single number as output.",
            "Give the number of features, the hidden nodes, and 1 at the end.",
        )
    layers = []
    for n_in, n_out in pairwise(nodes):
        width = np.sqrt(6.0 / (n_in + n_out))
        layers.append((rng.uniform(-width, width, (n_in, n_out)), np.zeros(n_out)))
    return layers
