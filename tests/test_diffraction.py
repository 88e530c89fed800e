"""Diffraction: sharp peaks at indexed positions, icosahedral within the phason strain."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from hyperatom.errors import InputError
from hyperatom.geometry.cut_and_project import HyperCrystal, PeriodicCut
from hyperatom.geometry.icosahedral import PARALLEL, PERPENDICULAR, SCALE, TAU
from hyperatom.interchange.ase_atoms import from_ase
from hyperatom.structures.crystals import build_crystal
from hyperatom.structures.quasicrystal.diffraction import (
    IndexedPattern,
    diffraction_pattern,
    index_pattern,
    orbit,
    reciprocal_vectors,
)
from hyperatom.structures.quasicrystal.icosahedral_lattice import cubic_periods, translations
from hyperatom.structures.quasicrystal.katz_gratias import katz_gratias


@pytest.fixture(scope="module")
def indexed() -> IndexedPattern:
    approximant = katz_gratias(3, 2, 6.45)
    pattern = diffraction_pattern(approximant.configuration, 5.0)
    return index_pattern(pattern, approximant.cut)


def test_intensities_of_a_crystal_by_its_selection_rules() -> None:
    """fcc: mixed indices are extinct, unmixed ones full; compared with the plain sum."""
    atoms = bulk("Al", "fcc", a=4.05, cubic=True)
    pattern = diffraction_pattern(from_ase(atoms), 6.0)
    unmixed = np.ptp(pattern.miller % 2, axis=1) == 0
    np.testing.assert_allclose(pattern.intensity[unmixed], 1.0, atol=1e-12)
    np.testing.assert_allclose(pattern.intensity[~unmixed], 0.0, atol=1e-12)
    assert len(pattern.q) == len({tuple(m) for m in pattern.miller.tolist()})
    lengths = np.linalg.norm(pattern.q, axis=1)
    assert lengths.max() <= 6.0
    assert (lengths.round(6) == round(2.0 * np.pi * 3.0**0.5 / 4.05, 6)).sum() == 8


def test_intensities_of_any_cell_are_those_of_the_plain_sum() -> None:
    rng = np.random.default_rng(0)
    atoms = bulk("Cu", "hcp", a=2.6, c=4.2).repeat((1, 2, 1))
    atoms.rattle(0.2, rng=rng)
    configuration = from_ase(atoms)
    weights = rng.random(len(atoms))
    pattern = diffraction_pattern(configuration, 7.0, weights)
    sums = np.exp(1j * pattern.q @ configuration.positions.T) @ weights
    np.testing.assert_allclose(pattern.intensity, np.abs(sums / weights.sum()) ** 2, atol=1e-12)
    reciprocal = 2.0 * np.pi * np.linalg.inv(configuration.cell).T
    box = np.array(list(np.ndindex(15, 21, 21))) - [7, 10, 10]
    inside = np.linalg.norm(box @ reciprocal, axis=1) <= 7.0
    assert len(pattern.q) == inside.sum() - 1
    assert (np.diff(pattern.intensity) <= 0.0).all()


def test_strong_peaks_are_reflections_of_six_dimensions(indexed: IndexedPattern) -> None:
    """The 400 strongest have small perpendicular parts and lie within strain x q_perp."""
    strong = slice(0, 400)
    assert indexed.indexed[strong].all()
    assert indexed.q_perp[strong].max() < 0.7
    shift = np.linalg.norm(indexed.pattern.q - indexed.ideal, axis=1)[strong]
    np.testing.assert_allclose(shift, TAU**-7 * indexed.q_perp[strong], rtol=1e-6)
    assert shift.max() < 0.025
    # Peaks are sharp: they carry the scattering, though few reciprocal vectors are peaks.
    intensity = indexed.pattern.intensity
    assert intensity[strong].sum() > 0.75 * intensity[intensity < 1.0].sum()
    assert len(intensity) > 50_000


def test_peaks_have_icosahedral_symmetry_within_the_strain(indexed: IndexedPattern) -> None:
    cut = katz_gratias(3, 2, 6.45).cut
    numbers = {tuple(m): i for i, m in enumerate(indexed.pattern.miller.tolist())}
    seen: set[tuple[int, ...]] = set()
    sizes = []
    for k in range(250):
        images = orbit(indexed.indices[k])
        if tuple(images[0].tolist()) in seen:
            continue
        seen.add(tuple(images[0].tolist()))
        places = [numbers.get(tuple(m), -1) for m in (images @ cut.periods // 4).tolist()]
        assert min(places) >= 0 or np.linalg.norm(indexed.pattern.q[k]) > 4.97
        members = np.array([p for p in places if p >= 0])
        lengths = np.linalg.norm(indexed.pattern.q[members], axis=1)
        assert np.ptp(lengths) <= 2.0 * TAU**-7 * indexed.q_perp[k] + 1e-9
        intensity = indexed.pattern.intensity[members]
        assert intensity.std() < 0.05 * intensity.mean()
        sizes.append(len(images))
    assert {12, 20, 30, 60} <= set(sizes)
    assert sizes[:2] == [
        30,
        12,
    ]  # the two- and fivefold peaks by which icosahedral phases are known


def test_a_cubic_crystal_of_the_same_cell_has_no_such_symmetry(indexed: IndexedPattern) -> None:
    cut = katz_gratias(3, 2, 6.45).cut
    edge = cut.cell[0, 0]
    crystal = from_ase(bulk("Al", "fcc", a=edge / 8.0, cubic=True).repeat(8))
    pattern = index_pattern(diffraction_pattern(crystal, 5.0), cut)
    numbers = {tuple(m): i for i, m in enumerate(pattern.pattern.miller.tolist())}
    peaks = np.flatnonzero(pattern.indexed & (pattern.pattern.intensity > 0.5))
    for k in peaks:
        images = orbit(pattern.indices[k]) @ cut.periods // 4
        members = [numbers[tuple(m)] for m in images.tolist() if tuple(m) in numbers]
        intensity = pattern.pattern.intensity[members]
        assert intensity.std() > 0.5 * intensity.mean()


def test_a_real_approximant_shows_icosahedral_reflections_in_one_orientation_only() -> None:
    """Bergman's Mg32(Al,Zn)49, as 1/1 approximant of a P lattice: nature knows the setting.

    Im-3 has two orientations in a cubic frame, with h k l and k h l apart. In one of them, strong
    reflections of small perpendicular part agree with their icosahedral images; in the other the
    images of strong reflections are weak.
    """
    crystal = build_crystal("Bergman-MgZnAl", (1, 1, 1))
    constant = crystal.cell[0, 0] / (2.0 * SCALE * (TAU + 1.0))
    lattice = HyperCrystal(constant, translations("P"), ())
    cut = PeriodicCut(lattice, cubic_periods(1, 1), np.zeros(3))
    spreads = []
    for axes in ((0, 1, 2), (1, 0, 2)):
        turned = crystal.with_positions(crystal.positions[:, axes])
        pattern = index_pattern(diffraction_pattern(turned, 6.0), cut)
        numbers = {tuple(m): i for i, m in enumerate(pattern.pattern.miller.tolist())}
        strong = np.flatnonzero(pattern.q_perp < 0.3)[:60]
        spread = []
        for k in strong:
            images = (orbit(pattern.indices[k]) @ cut.periods // 4).tolist()
            members = [numbers[tuple(m)] for m in images if tuple(m) in numbers]
            intensity = pattern.pattern.intensity[members]
            spread.append(intensity.std() / intensity.mean())
        spreads.append(np.array(spread))
    assert spreads[0].max() < 0.3
    assert np.median(spreads[1]) > 1.0
    assert constant / 2.0**0.5 == pytest.approx(5.14, abs=0.01)  # a_R of i-Al-Mg-Zn: 5.1 to 5.2 Å


def test_reciprocal_lattice_points_are_those_of_an_exhaustive_search() -> None:
    cut = katz_gratias(2, 1, 6.45).cut
    found = {tuple(g) for g in reciprocal_vectors(cut, 2.2, 0.9).tolist()}
    even = 2 * (np.array(list(np.ndindex(*[7] * 6))) - 3)
    odd = even[(even < 6).all(axis=1)] + 1
    box = np.concatenate([even, odd])
    unit = np.pi / 6.45
    near = np.linalg.norm(box @ PARALLEL.T, axis=1) * unit <= 2.2
    near &= np.linalg.norm(box @ PERPENDICULAR.T, axis=1) * unit <= 0.9
    assert found == {tuple(g) for g in box[near].tolist()}


def test_what_cannot_diffract() -> None:
    approximant = katz_gratias(1, 1, 6.36)
    with pytest.raises(InputError, match="larger q_max"):
        diffraction_pattern(approximant.configuration, 0.1)
    molecule = replace(approximant.configuration, periodic=np.array([True, True, False]))
    with pytest.raises(InputError, match="not periodic"):
        diffraction_pattern(molecule, 3.0)
