"""The embedding of Deep Potential against the same sums written with loops."""

import json

import jax
import numpy as np
import pytest

from hyperatom.campaign.settings import load_settings
from hyperatom.errors import InputError
from hyperatom.potentials.deep_potential_fit import LEAST_VARIANCE, whitening_of
from hyperatom.potentials.features.deep_embedding import DeepEmbedding

CUTOFF, ONSET = 4.0, 1.5
EMBEDDING = DeepEmbedding((1, 8), CUTOFF, ONSET, (3, 6), 2)
RNG = np.random.default_rng(3)
PARAMETERS = {"shift": 0.3, "stretch": 2.0, "layers": EMBEDDING.random_layers(RNG)}


def features(neighbours):
    """Of one atom whose `neighbours` are lists of vectors, one for each species."""
    slots = tuple(len(own) + 1 for own in neighbours)
    empty = np.array([2.0 * CUTOFF, 0.0, 0.0])
    vectors = np.array([vector for own in neighbours for vector in [*own, empty]])
    with jax.enable_x64(True):
        return np.asarray(EMBEDDING(PARAMETERS, vectors.T[:, None, :], slots))[0]


def switch(r):
    x = np.clip((r - ONSET) / (CUTOFF - ONSET), 0.0, 1.0)
    return 1.0 - 10.0 * x**3 + 15.0 * x**4 - 6.0 * x**5


def by_loops(neighbours):
    total = np.zeros((6, 4))
    for layers, own in zip(PARAMETERS["layers"], neighbours, strict=True):
        for vector in own:
            r = np.linalg.norm(vector)
            s = switch(r) / r
            (w1, b1), (w2, b2) = layers
            hidden = np.tanh((s - 0.3) * 2.0 * w1[0] + b1)
            weights = np.tanh(hidden @ w2 + b2) + np.concatenate([hidden, hidden])
            total += 2.0 * s * np.outer(weights, [1.0, *(vector / r)])
    return np.concatenate([total[:, 0], (total @ total[:2].T).ravel()])


def test_it_is_the_sum():
    neighbours = [RNG.normal(size=(3, 3)) * 1.5, RNG.normal(size=(4, 3)) * 1.5]
    found = features(neighbours)
    assert found.shape == (EMBEDDING.n_features,)
    np.testing.assert_allclose(found, by_loops(neighbours), atol=1e-12)
    # Which neighbour comes first, and how all are turned, makes no difference; which species does.
    turn = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    turned = [own[::-1] @ turn for own in neighbours]
    np.testing.assert_allclose(features(turned), found, atol=1e-12)
    assert np.abs(features(neighbours[::-1]) - found).max() > 0.1


def test_nothing_is_left_of_an_atom_alone_and_neighbours_fade_smoothly():
    nothing = np.zeros((0, 3))
    assert np.all(features([nothing, nothing]) == 0.0)
    distances = CUTOFF - np.array([0.08, 0.04, 0.02])
    sizes = [np.abs(features([np.array([[r, 0.0, 0.0]]), nothing])[:6]).max() for r in distances]
    # With two continuous derivatives: the third power of the distance to the cutoff.
    np.testing.assert_allclose(np.array(sizes[:-1]) / np.array(sizes[1:]), 8.0, rtol=0.1)


def test_whitened_features_are_independent_and_do_not_explode():
    rows = RNG.normal(size=(500, 3)) @ np.array([[3.0, 1.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.0, 1.0]])
    white = (rows - rows.mean(axis=0)) @ whitening_of(rows)
    np.testing.assert_allclose(np.cov(white.T), np.eye(3), atol=1e-10)
    # A feature that is the copy of another, and one that never changes.
    copies = np.column_stack([rows[:, 0], rows[:, 0], np.full(500, 7.0)])
    largest = np.linalg.eigvalsh(np.cov(copies.T))[-1]
    assert np.abs(whitening_of(copies)).max() <= 1.0 / np.sqrt(LEAST_VARIANCE * largest)
    assert np.all(np.isfinite(whitening_of(np.zeros((4, 2)))))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"onset": 5.5}, "fade at 5.5 Å"), ({"axis": 17, "embedding": [4, 8]}, "has 8 nodes")],
)
def test_settings_that_contradict_each_other_are_refused(wrong, said):
    guide = json.dumps({"kind": "deep_potential", **wrong})
    text = f"{{configuration: {{crystal: silicon}}, temperature: 300, guide: {guide}}}"
    with pytest.raises(InputError, match=said):
        load_settings(text, "input.yaml")
