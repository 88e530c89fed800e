"""Atoms and isosurfaces in space: what the page is given, and that a browser draws it offline."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from chromium import ABSENT, CHROMIUM, Chromium
from hyperatom.analysis.density_map import DensityMap
from hyperatom.configuration import Configuration
from hyperatom.report.space.scene import (
    Scene,
    enclosing_level,
    extended_xyz,
    inline_scene,
    periodic_cube,
    smoothed,
)
from hyperatom.units import BOHR

CELL = np.array([[4.0, 0.0, 0.0], [-2.0, 3.5, 0.0], [0.0, 0.5, 5.0]])


def shaken(n: int, width: float = 0.1) -> list[Configuration]:
    """An atom of each of two species about its place, one of them on a corner of the cell."""
    rng = np.random.default_rng(1)
    places = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]) @ CELL
    return [
        Configuration(
            [14, 8], places + rng.normal(0.0, width, (2, 3)), CELL, [True] * 3, [28.0, 16.0]
        )
        for _ in range(n)
    ]


def scene() -> Scene:
    samples = shaken(200)
    densities = {name: DensityMap(name, 0.2).compute(samples) for name in ("Si", "O")}
    return Scene({"<first>": samples[0], "last": samples[-1]}, densities, "Two atoms & more.")


def test_a_gaussian_is_widened_and_enclosed() -> None:
    """Widths add in squares; a surface around 90 % of a Gaussian has radius 2.5 of its widths."""
    found = DensityMap("O", 0.1).compute(shaken(4000, 0.2))
    wide = smoothed(found.density, CELL, 0.15)
    assert wide.sum() == pytest.approx(found.density.sum(), rel=1e-3)
    fractions = [(np.arange(n) + 0.5) / n - 0.5 for n in wide.shape]
    r = np.stack(np.meshgrid(*fractions, indexing="ij"), axis=-1) @ CELL
    variance = np.sum(wide * np.sum(r**2, axis=-1)) / wide.sum() / 3.0
    assert variance == pytest.approx(0.2**2 + 0.15**2 + 0.1**2 / 12, rel=0.03)
    voxel = abs(np.linalg.det(CELL)) / wide.size
    volume = voxel * np.sum(wide >= enclosing_level(wide, 0.9))
    radius = (3.0 * volume / (4.0 * np.pi)) ** (1.0 / 3.0)
    assert radius == pytest.approx(2.5003 * np.sqrt(variance), rel=0.03)
    assert wide[wide >= enclosing_level(wide, 0.9)].sum() >= 0.9 * wide.sum()


def test_cube_continues_over_the_faces() -> None:
    density = np.arange(24.0).reshape(2, 3, 4)
    lines = periodic_cube(density, CELL, "title").splitlines()
    header = np.array([[float(x) for x in line.split()] for line in lines[2:6]])
    assert header[1:, 0].tolist() == [4, 5, 6]
    np.testing.assert_allclose(header[1:, 1:] * BOHR * [[2], [3], [4]], CELL, atol=1e-5)
    values = np.array([float(x) for line in lines[7:] for x in line.split()]).reshape(4, 5, 6)
    np.testing.assert_allclose(values[1:-1, 1:-1, 1:-1], density * BOHR**3, rtol=1e-2)
    np.testing.assert_allclose(values[0], values[-2])
    np.testing.assert_allclose(values[..., -1], values[..., 1])
    # The first value within the cell stands in the middle of its voxel.
    first = header[0, 1:] + header[1:, 1:].sum(axis=0)
    np.testing.assert_allclose(first, 0.5 * header[1:, 1:].sum(axis=0), atol=1e-5)


def test_atoms_are_folded_into_the_cell() -> None:
    outside = Configuration([14], [[-1.0, 9.0, 0.2]], CELL, [True, True, False], [28.0])
    text = extended_xyz(outside)
    x = np.array([float(word) for word in text.splitlines()[2].split()[1:]])
    scaled = x @ np.linalg.inv(CELL)
    assert ((scaled[:2] >= 0.0) & (scaled[:2] < 1.0)).all()
    whole = (x - outside.positions[0]) @ np.linalg.inv(CELL)
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-3)
    assert whole[2] == pytest.approx(0.0, abs=1e-3)
    lonely = Configuration([14], [[1.0, 2.0, 3.0]], np.zeros((3, 3)), [False] * 3, [28.0])
    assert "Lattice" not in extended_xyz(lonely)


def test_the_piece_of_page_loads_nothing() -> None:
    page = inline_scene(scene())
    assert not re.search(r"<(script|link|img)[^>]*\b(src|href)=", page)
    content = re.search(r'id="space-scene">(.*?)</script>', page, re.DOTALL)
    assert content is not None
    assert "<" not in content.group(1)
    told = json.loads(content.group(1))
    assert [one["name"] for one in told["configurations"]] == ["<first>", "last"]
    assert [one["species"] for one in told["densities"]] == ["Si", "O"]


@pytest.mark.skipif(CHROMIUM is None, reason=ABSENT)
def test_a_browser_draws_it(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{inline_scene(scene())}</body>")
    blue = (
        "(() => { const c = document.querySelector('#space canvas'); const d = "
        "document.createElement('canvas'); d.width = c.width; d.height = c.height; const g = "
        "d.getContext('2d'); g.fillStyle = '#fff'; g.fillRect(0, 0, d.width, d.height); "
        "g.drawImage(c, 0, 0); const p = g.getImageData(0, 0, d.width, d.height).data; let n = 0; "
        "for (let i = 0; i < p.length; i += 4) if (p[i + 2] > p[i] + 40) n++; return n; })()"
    )
    with Chromium(tmp_path / "profile", 900, 700) as page:
        page.open(path.as_uri())
        page.wait("document.querySelector('#space').dataset.drawn")
        with_density = page.run(f"new Promise(d => requestAnimationFrame(() => d({blue})))")
        for box in page.run(
            "[...document.querySelectorAll('.space-bar label')].map(l => l.textContent)"
        ):
            assert box in ("atoms", "cell", "neighbouring cells", "density of Si", "density of O")
        drawn = page.run("document.querySelector('#space').dataset.drawn")
        page.click(".space-bar label:nth-of-type(4) input")
        page.wait(f"document.querySelector('#space').dataset.drawn > {drawn}")
        without = page.run(f"new Promise(d => requestAnimationFrame(() => d({blue})))")
        assert with_density > without + 50
        page.click(".space-views button:nth-child(3)")
        assert page.run("document.querySelector('.space p').textContent") == "Two atoms & more."
        assert page.complaints == []
        assert all(a.startswith(("file:", "data:", "blob:")) for a in page.requested)
        printed = page.do("Page.printToPDF")["data"]
        assert len(printed) > 10_000
