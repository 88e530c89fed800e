"""LAMMPS' files of embedded-atom potentials: funcfl, setfl and its Finnis-Sinclair variant.

funcfl (`pair_style eam`), one species a file: a comment; atomic number, mass, lattice; then

    n_rho d_rho n_r d_r cutoff        F (n_rho values)   Z (n_r)   rho (n_r)

with r phi_ij = 27.2 * 0.529 Z_i Z_j in eV Å (LAMMPS' hartree and bohr). Files of several species
are brought to one grid, that of the greatest spacings, with cubics through four knots.

setfl (`eam/alloy`, `eam/fs`): three comments; the number of elements and their names; the line of
grids; for each element a line (number, mass, lattice), F, and rho: one function, or in the fs
variant one for each element at whose place the density is felt; at the end r phi_ij for i >= j.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperatom.errors import InputError
from hyperatom.interchange.lammps_text import Line, element_names, read_text
from hyperatom.potentials.classical.embedded_atom import EmbeddedAtomTables, embedded_atom
from hyperatom.potentials.compiled_potential import CompiledPotential

Array = NDArray[np.float64]

HARTREE_BOHR = 27.2 * 0.529
"""eV Å as LAMMPS has it for funcfl files."""


class Grid(NamedTuple):
    """Numbers and spacings of densities and distances, and the cutoff in Å."""

    n_densities: int
    density_spacing: float
    n_distances: int
    distance_spacing: float
    cutoff: float


class FunctionFile(NamedTuple):
    """What a funcfl file holds: F in eV, Z, and rho."""

    grid: Grid
    embedding: Array
    charge: Array
    density: Array


def read_eam(paths: Sequence[Path], species: Sequence[int]) -> CompiledPotential:
    """The potential of funcfl files, one for each of `species` (atomic numbers), in their order.

    Raises `InputError` for missing or damaged files.
    """
    files = [_read_function_file(path) for path in paths]
    density_spacing = max(file.grid.density_spacing for file in files)
    distance_spacing = max(file.grid.distance_spacing for file in files)
    greatest = max((f.grid.n_densities - 1) * f.grid.density_spacing for f in files)
    farthest = max((f.grid.n_distances - 1) * f.grid.distance_spacing for f in files)
    # One knot fewer than the intervals would ask for: LAMMPS does so.
    densities = density_spacing * np.arange(int(greatest / density_spacing + 0.5))
    distances = distance_spacing * np.arange(int(farthest / distance_spacing + 0.5))
    embedding = [_resample(f.embedding, densities / f.grid.density_spacing) for f in files]
    charge = [_resample(f.charge, distances / f.grid.distance_spacing) for f in files]
    density = np.array([_resample(f.density, distances / f.grid.distance_spacing) for f in files])
    pair = [[HARTREE_BOHR * one * other for other in charge] for one in charge]
    tables = EmbeddedAtomTables(
        embedding=np.array(embedding),
        density=np.broadcast_to(density, (len(files), *density.shape)).copy(),
        pair=np.array(pair),
        density_spacing=density_spacing,
        density_limit=greatest,
        distance_spacing=distance_spacing,
        cutoff=max(file.grid.cutoff for file in files),
    )
    names = ", ".join(path.name for path in paths)
    return embedded_atom(tuple(species), tables, f"embedded-atom potential of {names}")


def read_eam_alloy(
    path: Path,
    species: Sequence[int],
    elements: Sequence[str] | None = None,
    finnis_sinclair: bool = False,
) -> CompiledPotential:
    """The potential of a setfl file; `finnis_sinclair` for the fs variant.

    `species` (n_species,) are atomic numbers; `elements` (n_species,) the names that the file has
    for them, their chemical symbols if not given. Raises `InputError` for missing or damaged files,
    and where an element is not in the file.
    """
    names = element_names(species, elements)
    reader = _Reader(path, n_comments=3)
    line = reader.line("the elements")
    known = line.words[1:]
    if line.whole(0, "the number of elements") != len(known) or not known:
        raise line.fault(
            f"{line.words[0]} elements are announced and {len(known)} named.",
            "The fourth line is the number of elements and their names.",
        )
    missing = [name for name in names if name not in known]
    if missing:
        raise line.fault(
            f"the file has no {', '.join(missing)}; it knows {', '.join(known)}.",
            "Use a file made for all species.",
        )
    grid = reader.grid()
    embedding, density = [], []
    for _ in known:
        reader.line("atomic number, mass and lattice").real(1, "the mass")
        embedding.append(reader.values(grid.n_densities, "F"))
        n_functions = len(known) if finnis_sinclair else 1
        density.append([reader.values(grid.n_distances, "rho") for _ in range(n_functions)])
    pair = np.zeros((len(known), len(known), grid.n_distances))
    for i in range(len(known)):
        for j in range(i + 1):
            pair[i, j] = pair[j, i] = reader.values(grid.n_distances, "r phi")
    reader.end()
    rows = [known.index(name) for name in names]
    # From "of i, felt at j" to "felt at i, from j".
    felt = np.array([[density[j][i if finnis_sinclair else 0] for j in rows] for i in rows])
    tables = EmbeddedAtomTables(
        embedding=np.array([embedding[i] for i in rows]),
        density=felt,
        pair=pair[np.ix_(rows, rows)],
        density_spacing=grid.density_spacing,
        density_limit=(grid.n_densities - 1) * grid.density_spacing,
        distance_spacing=grid.distance_spacing,
        cutoff=grid.cutoff,
    )
    return embedded_atom(tuple(species), tables, f"embedded-atom potential of {path.name}")


def _read_function_file(path: Path) -> FunctionFile:
    reader = _Reader(path, n_comments=1)
    reader.line("atomic number, mass and lattice").real(1, "the mass")
    grid = reader.grid()
    embedding = reader.values(grid.n_densities, "F")
    charge = reader.values(grid.n_distances, "Z")
    density = reader.values(grid.n_distances, "rho")
    reader.end()
    return FunctionFile(grid, embedding, charge, density)


def _resample(values: Array, position: NDArray[np.floating[Any]]) -> Array:
    # The cubic through four knots, two on either side where there are; beyond them it continues.
    left = np.clip(np.floor(position).astype(int), 1, len(values) - 3)
    p = np.minimum(position - left, 2.0)
    weights = (
        -p * (p - 1.0) * (p - 2.0) / 6.0,
        (p * p - 1.0) * (p - 2.0) / 2.0,
        -p * (p + 1.0) * (p - 2.0) / 2.0,
        p * (p * p - 1.0) / 6.0,
    )
    terms = [weight * values[left + k - 1] for k, weight in enumerate(weights)]
    return np.asarray(sum(terms))


class _Reader:
    """The lines of a table file one after the other."""

    def __init__(self, path: Path, n_comments: int) -> None:
        lines = enumerate(read_text(path).splitlines(), start=1)
        self.path = path
        self.lines = [
            Line(path, number, line.split()) for number, line in lines if number > n_comments
        ]
        self.next = 0

    def line(self, name: str) -> Line:
        while self.next < len(self.lines) and not self.lines[self.next].words:
            self.next += 1
        if self.next == len(self.lines):
            raise InputError(
                f"{self.path} ends where {name} should be, behind line "
                f"{self.lines[-1].number if self.lines else 0}.",
                "The file is cut off; get a complete one.",
            )
        self.next += 1
        return self.lines[self.next - 1]

    def grid(self) -> Grid:
        line = self.line("the grids")
        grid = Grid(
            line.whole(0, "the number of densities"),
            line.real(1, "the spacing of densities"),
            line.whole(2, "the number of distances"),
            line.real(3, "the spacing of distances"),
            line.real(4, "the cutoff"),
        )
        if min(grid.n_densities, grid.n_distances) < 5 or min(grid[1], grid[3], grid[4]) <= 0.0:
            raise line.fault(
                f"a grid of {grid.n_densities} densities and {grid.n_distances} distances, spacings"
                f" {grid[1]:g} and {grid[3]:g}, cutoff {grid.cutoff:g}.",
                "Grids need five knots at least; spacings and cutoff must be positive.",
            )
        # Many files end one spacing before their cutoff, where the functions have vanished.
        end = grid.n_distances * grid.distance_spacing
        if grid.cutoff > end * (1.0 + 1e-6):
            raise line.fault(
                f"the tables end at {end:g} Å, before the cutoff of {grid.cutoff:g} Å.",
                "A pair beyond the end has no energy: repair the grid or the cutoff.",
            )
        return grid

    def values(self, count: int, name: str) -> Array:
        found: list[float] = []
        while len(found) < count:
            line = self.line(f"the rest of {name} ({len(found)} of {count} values)")
            found += [line.real(k, name) for k in range(len(line.words))]
            if len(found) > count:
                raise line.fault(
                    f"{name} has more than the {count} values of its grid.",
                    "The grid in the header and the values do not belong together; a value may be "
                    "missing or doubled.",
                )
        return np.array(found)

    def end(self) -> None:
        for line in self.lines[self.next :]:
            if line.words:
                raise line.fault(
                    "there are values behind the end of the tables.",
                    "The grid in the header does not fit, or the file is of another kind.",
                )
