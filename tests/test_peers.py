"""Independent libraries on one set of frames: the same numbers where definitions agree.

They are no dependencies: `pip install hyperatom[peers]`; a missing one skips its test.
"""

import numpy as np
import pytest
from ase import Atoms

from hyperatom.analysis.bond_orientation import BondOrientation
from hyperatom.analysis.bonds import bonds_of
from hyperatom.analysis.radial_distribution import RadialDistribution
from hyperatom.analysis.rings import rings_of
from hyperatom.trajectory import Trajectory
from liquid import argon, trajectory

MISSING = "not installed: pip install hyperatom[peers]"


@pytest.fixture(scope="module")
def frames() -> Trajectory:
    return argon().select(0, None, 20)


def test_radial_distribution_of_freud(frames: Trajectory) -> None:
    freud = pytest.importorskip("freud", reason=MISSING)
    read = frames.frames(0, len(frames))
    edge = read.cells[0, 0, 0]
    box = freud.box.Box.cube(edge)
    theirs = freud.density.RDF(bins=60, r_max=8.0)
    for positions in read.positions:
        theirs.compute((box, box.wrap(positions - edge / 2.0)), reset=False)
    ours = RadialDistribution(8.0, 60).compute(frames)
    counts = ours.counts["total"].mean(axis=0)
    pairs = np.asarray(theirs.bin_counts) / len(frames)
    # freud computes in single precision: a pair in a thousand may fall into the next bin.
    np.testing.assert_allclose(np.cumsum(counts), np.cumsum(pairs), atol=2.0)
    np.testing.assert_allclose(ours.g["total"], np.asarray(theirs.rdf), atol=0.02)


def test_radial_distribution_of_ase_and_mdanalysis(frames: Trajectory) -> None:
    pytest.importorskip("MDAnalysis", reason=MISSING)
    from ase.geometry.rdf import get_rdf
    from MDAnalysis.lib.distances import self_distance_array

    read = frames.frames(0, 3)
    edge = read.cells[0, 0, 0]
    box = np.array([edge] * 3 + [90.0] * 3, dtype=np.float32)
    ours = RadialDistribution(8.0, 60).compute(frames.select(0, 3))
    for step in range(3):
        distances = self_distance_array(read.positions[step].astype(np.float32), box=box)
        counts, _ = np.histogram(distances, bins=60, range=(0.0, 8.0))
        assert np.abs(np.cumsum(2 * counts - ours.counts["total"][step])).max() <= 4
        atoms = Atoms("Ar108", positions=read.positions[step], cell=read.cells[step], pbc=True)
        g, r = get_rdf(atoms, 8.0, 60)
        np.testing.assert_allclose(r, ours.r)
        np.testing.assert_allclose(g, ours.curves("total")[step], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("l", "averaged"), [(4, False), (6, False), (6, True)])
def test_steinhardt_of_freud(l: int, averaged: bool, frames: Trajectory) -> None:  # noqa: E741
    freud = pytest.importorskip("freud", reason=MISSING)
    read = frames.frames(0, 2)
    edge = read.cells[0, 0, 0]
    box = freud.box.Box.cube(edge)
    ours = BondOrientation(l, 5.0, averaged)
    for step, bonds in bonds_of(frames.select(0, 2), 5.0):
        theirs = freud.order.Steinhardt(l, average=averaged, wl=True)
        neighbours = freud.locality.NeighborList.from_arrays(
            108, 108, bonds.first, bonds.second, bonds.vector
        )
        theirs.compute((box, box.wrap(read.positions[step] - edge / 2.0)), neighbours)
        q, w = ours.of_atoms(bonds, 108)
        np.testing.assert_allclose(q, theirs.ql, atol=3e-6)
        # freud does not divide w by the norm unless asked, and its norm differs by a constant.
        square = (2 * l + 1) / (4.0 * np.pi) * q**2
        np.testing.assert_allclose(w * square**1.5, theirs.particle_order, atol=3e-6)


def test_rings_of_matscipy(frames: Trajectory) -> None:
    rings = pytest.importorskip("matscipy.rings", reason=MISSING)
    rng = np.random.default_rng(5)
    from ase.build import bulk

    atoms = bulk("Si", "diamond", a=5.43, cubic=True).repeat(3)
    atoms.rattle(0.3, rng=rng)
    theirs = rings.ring_statistics(atoms, 2.75, maxlength=-1)
    ((_, bonds),) = bonds_of(
        trajectory([14] * len(atoms), atoms.positions[None], atoms.cell.array), 2.75
    )
    ours = {ring.shape[1]: len(ring) for ring in rings_of(bonds, len(atoms), 10)}
    for size in range(3, 9):
        there = int(theirs[size]) if size < len(theirs) else 0
        assert ours.get(size, 0) == there, size
    assert ours[6] > 50
    assert ours.get(5, 0) + ours.get(7, 0) + ours.get(8, 0) > 0
