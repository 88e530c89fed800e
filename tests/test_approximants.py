"""Approximants: numbers of atoms, densities, symmetry, contacts, and what cannot be built."""

from dataclasses import replace

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from hyperatom.errors import InputError
from hyperatom.geometry.cut_and_project import HyperCrystal, PeriodicCut, SiteClass
from hyperatom.geometry.icosahedral import PARALLEL, PERPENDICULAR, SCALE, TAU
from hyperatom.geometry.polyhedra import ConvexPolyhedron, Region
from hyperatom.interchange.ase_atoms import to_ase
from hyperatom.structures.quasicrystal.approximants import build_approximant, limit_stoichiometry
from hyperatom.structures.quasicrystal.contacts import find_contacts, scan_offsets, try_offset
from hyperatom.structures.quasicrystal.icosahedral_lattice import (
    cubic_periods,
    orthorhombic_periods,
    rhombohedral_periods,
    translations,
)
from hyperatom.structures.quasicrystal.katz_gratias import (
    ALUMINIUM_PALLADIUM_RUTHENIUM,
    katz_gratias,
    katz_gratias_crystal,
)
from hyperatom.structures.quasicrystal.occupation_domains import triacontahedron

AMMANN = SiteClass("vertex", (0,) * 6, Region((triacontahedron(),)))


def marks(fractional: np.ndarray) -> set[tuple[int, ...]]:
    """Positions modulo the cell, to 1e-5 of its edges."""
    return {tuple(x) for x in np.rint(fractional * 1e5).astype(int) % 100_000}


@pytest.mark.parametrize(
    ("p", "q", "constant", "edge", "n_atoms"),
    [(1, 1, 6.36, 12.380, 122), (2, 1, 6.42, 20.22, 519), (3, 2, 6.45, 32.87, 2288)],
)
def test_katz_gratias_cells(p: int, q: int, constant: float, edge: float, n_atoms: int) -> None:
    approximant = katz_gratias(p, q, constant)
    assert approximant.n_atoms == n_atoms
    np.testing.assert_allclose(approximant.configuration.cell, edge * np.eye(3), atol=5e-3)
    distances = neighbor_list("d", to_ase(approximant.configuration), 3.0)
    assert distances.min() >= 2.5
    assert approximant.shortest_distance == pytest.approx(distances.min(), abs=1e-9)


def test_indices_positions_and_windows_belong_together() -> None:
    approximant = katz_gratias(2, 1, 6.42)
    positions = 0.5 * 6.42 * approximant.indices @ PARALLEL.T
    np.testing.assert_allclose(approximant.configuration.positions, positions, atol=1e-9)
    fractional = positions @ np.linalg.inv(approximant.configuration.cell)
    assert (fractional > -1e-8).all()
    assert (fractional < 1.0).all()
    # Without strain and offset, perpendicular space is the projection of the indices.
    unstrained = 0.5 * 6.42 * approximant.indices @ PERPENDICULAR.T
    strained = unstrained + positions @ approximant.strain.T + approximant.offset
    np.testing.assert_allclose(strained, approximant.perpendicular, atol=1e-9)
    sums = approximant.indices.sum(axis=1)
    assert (sums[approximant.kinds == 0] % 4 == 0).all()
    assert (sums[approximant.kinds == 1] % 4 == 2).all()
    assert (approximant.indices[approximant.kinds == 2] % 2 != 0).all()


def test_sites_are_those_of_an_exhaustive_search() -> None:
    """All six-dimensional points of a box, projected one by one, and counted modulo the cell."""
    crystal = HyperCrystal(1.0, translations("P"), (AMMANN,))
    for offset in ((0.11, -0.23, 0.05), (0.4, 0.3, -0.2)):
        cut = PeriodicCut(crystal, cubic_periods(1, 0), np.array(offset))
        box = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 6, indexing="ij"), axis=-1).reshape(-1, 6)
        perpendicular = box @ (PERPENDICULAR + cut.strain @ PARALLEL).T + np.array(offset)
        inside = AMMANN.window.contains(perpendicular * 2.0**0.5)
        fractional = np.round(box[inside] @ PARALLEL.T @ np.linalg.inv(cut.cell), 6) % 1.0
        expected = np.unique(np.round(fractional, 5) % 1.0, axis=0)
        sites = cut.sites()
        found = np.round(sites.parallel @ np.linalg.inv(cut.cell), 5) % 1.0
        np.testing.assert_allclose(np.unique(found, axis=0), expected, atol=1e-9)
        assert len(sites) == len(expected)


def test_number_of_sites_averaged_over_offsets_is_the_window_over_the_lattice() -> None:
    """Each window point is met once while t runs over a cell: density = V_W / V_6, exactly."""
    crystal = katz_gratias_crystal(6.36)
    cut = PeriodicCut(crystal, cubic_periods(1, 1), np.zeros(3))
    fractions = np.random.default_rng(11).random((250, 3))
    counts = [len(replace(cut, offset=cut.perpendicular_lattice @ f).sites()) for f in fractions]
    expected = crystal.class_densities().sum() * cut.volume
    error = np.std(counts) / len(counts) ** 0.5
    assert abs(np.mean(counts) - expected) < 3.0 * error
    assert error < 0.005 * expected


def test_densities_and_composition_converge_to_the_quasicrystal() -> None:
    limit = katz_gratias_crystal(6.45).class_densities().sum()
    assert limit == pytest.approx(0.0644, abs=5e-5)
    deviations, compositions = [], []
    for p, q in ((1, 1), (3, 2), (8, 5)):
        approximant = katz_gratias(p, q, 6.45)
        deviations.append(abs(approximant.point_density / limit - 1.0))
        compositions.append(approximant.stoichiometry()["Al"])
    assert deviations[0] < 0.05
    assert max(deviations[1:]) < 2e-4
    expected = limit_stoichiometry(approximant.cut.crystal, ALUMINIUM_PALLADIUM_RUTHENIUM)
    assert sum(expected.values()) == pytest.approx(1.0)
    assert compositions[-1] == pytest.approx(expected["Al"], abs=5e-4)
    assert approximant.n_atoms > 41_000


def test_any_lattice_and_cell() -> None:
    """P, F and I; cubic, orthorhombic, rhombohedral; each at the density of its quasicrystal."""
    cells = (
        cubic_periods(3, 2),
        orthorhombic_periods([(2, 1), (3, 2), (5, 3)]),
        rhombohedral_periods([4, 2, -2, -2, 2, 0]),
    )
    rng = np.random.default_rng(5)
    for lattice in ("P", "F", "I"):
        crystal = HyperCrystal(4.5, translations(lattice), (AMMANN,))  # type: ignore[arg-type]
        for periods in cells:
            cut = PeriodicCut(crystal, periods, rng.random(3))
            sites = cut.sites()
            spacing = abs(np.linalg.det(cut.perpendicular_lattice)) / cut.multiplicity
            expected = AMMANN.window.volume * crystal.edge**3 / spacing
            assert expected == pytest.approx(crystal.class_densities()[0] * cut.volume)
            assert abs(len(sites) - expected) < 4.0 * max(expected, 1.0) ** 0.5
            fractional = sites.parallel @ np.linalg.inv(cut.cell)
            assert len(np.unique(np.round(fractional, 6) % 1.0, axis=0)) == len(sites)


def test_primitive_icosahedral_1_1_is_body_centred() -> None:
    crystal = HyperCrystal(6.4, translations("P"), (AMMANN,))
    cut = PeriodicCut(crystal, cubic_periods(1, 1), np.array([0.3, 0.4, 0.5]))
    assert cut.multiplicity == 2
    f_cut = PeriodicCut(katz_gratias_crystal(6.4), cubic_periods(1, 1), np.zeros(3))
    assert f_cut.multiplicity == 1
    fractional = cut.sites().parallel @ np.linalg.inv(cut.cell)
    assert marks(fractional + 0.5) == marks(fractional)
    assert marks(fractional + np.array([0.5, 0.5, 0.0])) != marks(fractional)


def test_offsets_along_the_threefold_axis_keep_it() -> None:
    """A third of a turn carries atoms to atoms of their class."""
    approximant = katz_gratias(1, 1, 6.36)
    assert np.ptp(approximant.offset) < 1e-12
    fractional = approximant.configuration.positions @ np.linalg.inv(approximant.cut.cell)
    for kind in range(3):
        members = fractional[approximant.kinds == kind]
        assert marks(np.roll(members, 1, axis=1)) == marks(members)
    assert marks(-fractional) != marks(fractional)


def test_space_groups() -> None:
    assert katz_gratias(2, 1, 6.42).space_group() == "Pm-3 (200)"
    assert katz_gratias(1, 1, 6.36).space_group(by="class") == "R3 (146)"


def test_contacts_name_classes_and_the_way_out() -> None:
    with pytest.raises(InputError, match=r"12 pairs n-n at 1\.81 Å.*6 pairs n'-n' at 1\.81 Å") as e:
        katz_gratias(1, 1, 6.36, offset=[0.0, 0.0, 0.0])
    assert "is clean" in e.value.cure
    cut = PeriodicCut(katz_gratias_crystal(6.36), cubic_periods(1, 1), np.zeros(3))
    contacts = find_contacts(cut, cut.sites(), 2.2)
    for contact in contacts:
        moved = replace(cut, offset=contact.shift)
        pairs = {c.classes: len(c.pairs) for c in find_contacts(moved, moved.sites(), 2.2)}
        assert pairs.get(contact.classes, 0) < len(contact.pairs)


def test_one_site_of_each_pair_may_be_kept() -> None:
    """Two ways to the 122 atoms of the 1/1 cell: another offset, or a choice for each pair."""
    thinned = katz_gratias(1, 1, 6.36, offset=[0.0, 0.0, 0.0], overlaps="thin")
    assert thinned.n_atoms == 122
    assert thinned.shortest_distance >= 2.5
    assert katz_gratias(1, 1, 6.36, offset=[0.0, 0.0, 0.0], overlaps="keep").n_atoms == 140


def test_phason_flips_are_the_known_short_vectors() -> None:
    """1.08 Å (n-n', fivefold), 1.74 (n'-bc), 1.83 (n-n, twofold) at A = 6.45 Å."""
    cut = PeriodicCut(katz_gratias_crystal(6.45), cubic_periods(3, 2), np.zeros(3))
    seen = {}
    rng = np.random.default_rng(2)
    for _ in range(12):
        moved = replace(cut, offset=cut.perpendicular_lattice @ rng.random(3))
        for contact in find_contacts(moved, moved.sites(), 2.4):
            seen[contact.classes] = contact.distance
    assert seen["n", "n'"] == pytest.approx(1.08, abs=0.01)
    assert seen["n", "n"] == pytest.approx(1.83, abs=0.01)
    assert set(np.round(list(seen.values()), 2)) <= {1.08, 1.59, 1.74, 1.83}


def test_scan_lists_the_cleanest_first() -> None:
    cut = PeriodicCut(katz_gratias_crystal(6.36), cubic_periods(1, 1), np.zeros(3))
    trials = scan_offsets(cut, 2.2, n_offsets=24)
    assert trials[0].n_contacts == 0
    assert [t.n_contacts for t in trials] == sorted(t.n_contacts for t in trials)
    # A vector of the perpendicular lattice more is the same structure.
    shifted = trials[0].offset + cut.perpendicular_lattice @ [1, -2, 1]
    assert try_offset(cut, shifted, 2.2).n_atoms == trials[0].n_atoms


@pytest.mark.parametrize(
    ("constant", "right"),
    [(12.9, "6.45"), (4.5608, "6.45"), (6.45 * TAU, "6.45"), (6.45 / TAU, "6.45")],
)
def test_lattice_constants_of_other_conventions(constant: float, right: str) -> None:
    with pytest.raises(InputError, match=f"convention.*A = {right}"):
        katz_gratias(3, 2, constant)


def test_what_cannot_be_built() -> None:
    crystal = katz_gratias_crystal(6.4)
    with pytest.raises(InputError, match="coprime"):
        katz_gratias(2, 2, 6.4)
    odd = cubic_periods(1, 1)
    odd[:, 0] = [2, 0, 0, 0, 0, 0]
    with pytest.raises(InputError, match="parities do not close"):
        PeriodicCut(crystal, odd, np.zeros(3))
    flat = cubic_periods(1, 1)
    flat[:, 2] = flat[:, 0] + flat[:, 1]
    with pytest.raises(InputError, match="one plane"):
        PeriodicCut(crystal, flat, np.zeros(3))
    faces = ConvexPolyhedron(np.concatenate([np.eye(3), -np.eye(3)]), np.full(6, -0.1))
    hollow = HyperCrystal(6.4, translations("P"), (SiteClass("x", (0,) * 6, Region((faces,))),))
    with pytest.raises(InputError, match=r"window of x is empty"):
        build_approximant(hollow, cubic_periods(1, 1), {"x": ((9.0, "Al"),)})
    with pytest.raises(InputError, match="bc has no species"):
        build_approximant(crystal, cubic_periods(1, 1), {"n": ((9.0, "Al"),), "n'": ((9.0, "Al"),)})
    with pytest.raises(InputError, match="inside its window"):
        katz_gratias(1, 1, 6.4, decoration=dict.fromkeys(("n", "n'", "bc"), ((0.5, "Al"),)))
    with pytest.raises(InputError, match="no chemical symbol"):
        katz_gratias(1, 1, 6.4, decoration=dict.fromkeys(("n", "n'", "bc"), ((9.0, "Qq"),)))
    shells = ((2.0, "Al"), (1.0, "Pd"))
    with pytest.raises(InputError, match="grow outwards"):
        katz_gratias(1, 1, 6.4, decoration=dict.fromkeys(("n", "n'", "bc"), shells))
    with pytest.raises(InputError, match=r"overlap.*none is clean.*overlaps='thin'"):
        katz_gratias(4, 1, 6.45)  # far from the golden mean: too large a strain
    with pytest.raises(InputError, match="three numbers"):
        katz_gratias(1, 1, 6.4, offset=[0.1, 0.2])


def test_cell_edge_formula() -> None:
    assert katz_gratias(3, 2, 6.45).cut.cell[0, 0] == pytest.approx(
        2.0 * (3.0 * TAU + 2.0) * SCALE * 6.45
    )
