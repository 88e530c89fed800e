"""Phason strain by regression, phason elastic constants, waves of the phason field."""

from dataclasses import replace

import numpy as np
import pytest

from hyperatom.analysis.hyperspace.candidate_sites import candidate_sites
from hyperatom.analysis.hyperspace.lifting import Lifter
from hyperatom.analysis.hyperspace.phason_elasticity import (
    hydrodynamic_matrices,
    invariants,
    phason_elastic_constants,
    phason_strain_of,
    phason_waves,
)
from hyperatom.errors import InputError
from hyperatom.geometry.icosahedral import PERPENDICULAR, operations
from hyperatom.structures.quasicrystal.katz_gratias import katz_gratias
from hyperatom.units import BOLTZMANN


@pytest.mark.parametrize(("p", "q", "constant", "cells"), [(1, 1, 6.36, 3), (3, 2, 6.45, 1)])
def test_phason_strain_by_regression(p: int, q: int, constant: float, cells: int) -> None:
    approximant = katz_gratias(p, q, constant)
    steps = np.array(list(np.ndindex(cells, cells, cells))) @ approximant.periods.T
    indices = (approximant.indices[:, None] + steps).reshape(-1, 6)
    unstrained = 0.5 * constant * indices @ PERPENDICULAR.T
    found = phason_strain_of(approximant.cut.parallel(indices), unstrained)
    assert (np.abs(found.strain - approximant.strain) < 4.0 * found.error).all()
    assert found.error.max() < 0.011
    assert np.abs(np.diagonal(found.strain)).min() > 4.0 * found.error.max()


def test_invariants_are_those_of_the_group() -> None:
    four, five = invariants()
    np.testing.assert_allclose(four + five, np.eye(9), atol=1e-12)
    np.testing.assert_allclose(four @ four, four, atol=1e-12)
    assert four.trace() == pytest.approx(4.0)
    q = np.random.default_rng(0).normal(size=(1, 3))
    k4, k5 = hydrodynamic_matrices(q)
    np.testing.assert_allclose((k4 + k5)[0], (q @ q.T) * np.eye(3), atol=1e-12)
    _, physical, perpendicular = operations()
    for rotation, image in zip(physical[::17], perpendicular[::17], strict=True):
        turned = hydrodynamic_matrices(q @ rotation.T)[0][0]
        np.testing.assert_allclose(turned, image @ k4[0] @ image.T, atol=1e-12)


def test_elastic_constants_of_waves_drawn_from_them() -> None:
    rng = np.random.default_rng(3)
    volume, temperature, k4, k5 = 3.5e4, 900.0, 0.02, 0.009
    steps = np.array(list(np.ndindex(3, 3, 3))) - 1
    q = 2.0 * np.pi / 32.9 * steps[[tuple(s) > (0, 0, 0) for s in steps.tolist()]]
    four, five = hydrodynamic_matrices(q)
    covariance = BOLTZMANN * temperature / volume * np.linalg.inv(k4 * four + k5 * five)
    root = np.linalg.cholesky(covariance)
    noise = (rng.normal(size=(1500, 13, 3)) + 1j * rng.normal(size=(1500, 13, 3))) / 2.0**0.5
    waves = np.einsum("qij,fqj->fqi", root, noise)
    found = phason_elastic_constants(q, waves, volume, temperature)
    assert abs(found.four - k4) < 3.5 * found.four_error
    assert abs(found.five - k5) < 3.5 * found.five_error
    assert found.four_error < 0.02 * k4
    assert found.stable
    assert found.k1 + 5.0 / 3.0 * found.k2 == pytest.approx(found.four)
    assert found.k1 - 4.0 / 3.0 * found.k2 == pytest.approx(found.five)
    slower = phason_elastic_constants(q, waves, volume, temperature, correlation=4.0)
    assert slower.four_error == pytest.approx(2.0 * found.four_error)
    with pytest.raises(InputError, match="does not fluctuate"):
        phason_elastic_constants(q, 0.0 * waves, volume, temperature)


def test_waves_of_a_known_field() -> None:
    """A standing wave with opposite signs in two frames, written into perpendicular space."""
    approximant = katz_gratias(2, 1, 6.42)
    candidates = candidate_sites(approximant.cut)
    lifted = Lifter(candidates).lift([approximant.configuration.positions])
    home, n_sites = lifted.site[0], len(candidates.sites)
    amplitude = np.array([0.3, -0.2, 0.1])
    edge = approximant.cut.cell[0, 0]
    field = np.cos(2.0 * np.pi * candidates.sites.parallel[:, :1] / edge) * amplitude
    doubled = replace(
        candidates.sites,
        parallel=np.tile(candidates.sites.parallel, (2, 1)),
        perpendicular=np.concatenate([field, -field]),
    )
    waving = replace(
        lifted,
        candidates=replace(candidates, sites=doubled),
        site=np.array([home, home + n_sites]),
        image=np.zeros((2, len(home), 3), dtype=np.int16),
    )
    q, waves = phason_waves(waving)
    assert len(q) == 13
    along = np.flatnonzero(np.isclose(q, [2.0 * np.pi / edge, 0.0, 0.0]).all(axis=1))[0]
    np.testing.assert_allclose(waves[0, along].real, 0.5 * amplitude, atol=0.02)
    np.testing.assert_allclose(waves[0] + waves[1], 0.0, atol=1e-12)
    assert np.abs(np.delete(waves, along, axis=1)).max() < 0.03
    still, nothing = phason_waves(replace(lifted, site=np.array([home, home])))
    np.testing.assert_array_equal(still, q)
    assert not nothing.any()
