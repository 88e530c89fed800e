"""Rows of a sparse Gaussian process: kernels of one configuration with the inducing points.

    energy row:  v = L^-1 sum_i k(x_i, x_s)
    force rows:  -d v / d x_j
    virial rows: sum_ij r_ij (x) d v / d r_ij

Atoms pass a few at a time, all of one species, so that whatever the number of atoms each species
compiles once; forces gather what each pair says at both of its ends by a sparse matrix.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hyperatom.configuration import Configuration
from hyperatom.evaluation import VOIGT
from hyperatom.potentials.compiled_potential import CompiledModel
from hyperatom.potentials.feature_rows import Rows
from hyperatom.potentials.many_configurations import displacements_of, filled_up
from hyperatom.potentials.readouts.sparse_gaussian_process import sparse_factor, whitened

Array = NDArray[np.float64]


class Seen(Protocol):
    """What a term sees of atoms.

    `own` are its parameters; `displacements` (3, n_block, n_slots) in Å are those of atoms of the
    species `centre`, one of `centres`, counted from zero.
    """

    @property
    def centres(self) -> tuple[int, ...]:
        """Species of the atoms that it looks at."""
        ...

    @property
    def seen(self) -> tuple[str, ...]:
        """Names of the parameters that `inputs` takes."""
        ...

    def inputs(
        self, own: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
    ) -> jax.Array:
        """Whatever it is, of each atom, (n_block, n)."""
        ...


class Term(Seen, Protocol):
    """A part of the atomic energy that is a sum of kernels with inducing points of its own.

    `own` holds the `points`.
    """

    def rows(
        self, own: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array]:
        """Kernels (n_block, n_points) and d/dr of them, (n_block, n_slots, 3, n_points)."""
        ...

    def totals(self, own: Any, inputs: Array) -> tuple[Array, float | None]:
        """k(E, x_s) (n_points,) and k(E, E) of the energy E of atoms with `inputs` (n_atoms, n).

        None for k(E, E) where the points say all of it: smooth functions of few distances.
        """
        ...

    def covariance(self, own: Any) -> Array:
        """K_ss, (n_points, n_points)."""
        ...


BLOCK: Final = 8
"""Atoms whose rows are made at a time."""

MANY: Final = 32
"""Atoms whose inputs are made at a time."""


class Block(NamedTuple):
    """Some `atoms` of the species `centre`; `displacements` are filled up with lonely atoms."""

    centre: int
    atoms: NDArray[np.int64]
    displacements: Array


class KernelRows:
    """Makes rows of configurations, whitened by the factors L of all terms."""

    def __init__(self, model: CompiledModel, terms: Sequence[Term], owns: Sequence[Any]) -> None:
        self.model, self.terms, self.owns = model, tuple(terms), tuple(owns)
        self.factors = [
            sparse_factor(term.covariance(own))
            for term, own in zip(self.terms, self.owns, strict=True)
        ]
        self.groups = groups_of(self.factors)
        self.n_unknowns = self.groups[-1].stop + len(model.species)
        self._compiled = jax.jit(self._of_block, static_argnums=(2, 3))

    def make(self, configuration: Configuration) -> Rows:
        """The rows of one configuration; the last columns are numbers of atoms."""
        model, n_atoms = self.model, configuration.n_atoms
        species = model.species_of(configuration)
        neighbours = model.lists(configuration, skin=0.0).make(configuration.positions)
        n_points = self.n_unknowns - len(model.species)
        energy, virial = np.zeros(n_points), np.zeros((6, n_points))
        gradients = [np.zeros((n_atoms, 3 * len(factor))) for factor in self.factors]
        displacements = displacements_of(neighbours, configuration.positions)
        for block in _blocks(model, species, displacements, BLOCK):
            scatter = _scatter(block, neighbours.index, model.cutoff, n_atoms)
            with jax.enable_x64(True):
                found = self._compiled(
                    self.owns, block.displacements, block.centre, neighbours.slots
                )
            for number, (kernels, slopes, tensors) in zip(
                self._of(block.centre), found, strict=True
            ):
                group, n = self.groups[number], len(block.atoms)
                energy[group] += np.asarray(kernels)[:n].sum(axis=0)
                virial[:, group] += np.asarray(tensors)
                flat = np.asarray(slopes).reshape(-1, gradients[number].shape[1])
                gradients[number] += scatter @ flat
        forces = [-gradient.reshape(3 * n_atoms, -1) for gradient in gradients]
        counts = np.bincount(species, minlength=len(model.species)).astype(float)
        pad = np.zeros((3 * n_atoms + 6, len(counts)))
        return Rows(
            energy=np.concatenate([*self.whitened(self._split(energy)), counts])[None],
            forces=np.hstack([*self.whitened(forces), pad[:-6]]),
            virial=np.hstack([*self.whitened(self._split(virial)), pad[-6:]]),
        )

    def whitened(self, parts: Sequence[Array]) -> list[Array]:
        """L^-1 of the kernels (..., n_points) of each term."""
        return [whitened(factor, part) for factor, part in zip(self.factors, parts, strict=True)]

    def _split(self, rows: Array) -> list[Array]:
        return [rows[..., group] for group in self.groups]

    def _of(self, centre: int) -> list[int]:
        return [number for number, term in enumerate(self.terms) if centre in term.centres]

    def _of_block(
        self, owns: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
    ) -> list[tuple[jax.Array, jax.Array, jax.Array]]:
        # Kernels, their slopes, and virials (6, n_points) of the terms that `centre` has.
        found = []
        for number in self._of(centre):
            kernels, slopes = self.terms[number].rows(owns[number], displacements, centre, slots)
            tensor = jnp.einsum("ais,isbp->abp", displacements, slopes)
            tensor = 0.5 * (tensor + tensor.transpose(1, 0, 2))
            found.append((kernels, slopes, tensor[VOIGT]))
        return found


def groups_of(factors: Sequence[Array]) -> tuple[slice, ...]:
    """The columns of each term, whose factors L are given."""
    ends = np.cumsum([0, *(len(factor) for factor in factors)])
    return tuple(slice(int(start), int(end)) for start, end in pairwise(ends))


class TermInputs:
    """Makes what terms see of atoms, a few atoms at a time."""

    def __init__(self, model: CompiledModel) -> None:
        self.model = model
        self._compiled = jax.jit(_inputs, static_argnums=(0, 3, 4))

    def make(
        self,
        terms: Sequence[Seen],
        owns: Sequence[Any],
        configuration: Configuration,
        positions: Array,
        cell: Array,
    ) -> list[Array]:
        """Inputs of each term, (n_atoms of its centres, n), at positions and cell in Å.

        Atoms of the first centre come first.
        """
        model = self.model
        species = model.species_of(configuration)
        neighbours = model.lists(configuration, skin=0.0).make(positions, cell)
        displacements = displacements_of(neighbours, positions)
        found: list[list[Array]] = [[] for _ in terms]
        for block in _blocks(model, species, displacements, MANY):
            for term, own, pieces in zip(terms, owns, found, strict=True):
                if block.centre not in term.centres:
                    continue
                seen = {name: own[name] for name in term.seen}
                with jax.enable_x64(True):
                    inputs = self._compiled(
                        term, seen, block.displacements, block.centre, neighbours.slots
                    )
                pieces.append(np.asarray(inputs)[: len(block.atoms)])
        return [np.concatenate(pieces) if pieces else np.zeros((0, 0)) for pieces in found]


def _inputs(
    term: Seen, seen: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
) -> jax.Array:
    return term.inputs(seen, displacements, centre, slots)


def _blocks(
    model: CompiledModel, species: NDArray[np.int64], displacements: Array, size: int
) -> Iterator[Block]:
    for centre in range(len(model.species)):
        atoms = np.flatnonzero(species == centre)
        for start in range(0, len(atoms), size):
            own = atoms[start : start + size]
            yield Block(centre, own, filled_up(displacements[:, own], size, model.cutoff))


def _scatter(block: Block, index: Any, cutoff: float, n_atoms: int) -> csr_array:
    """(n_atoms, n_block n_slots): what a pair's slope adds to the gradients of its two atoms."""
    atoms, n_slots = block.atoms, block.displacements.shape[2]
    square = np.sum(block.displacements[:, : len(atoms)] ** 2, axis=0)
    atom, slot = np.nonzero(square < cutoff**2)
    pair = atom * n_slots + slot
    ones = np.ones(len(pair))
    rows = np.concatenate([index[atoms[atom], slot], atoms[atom]])
    shape = (n_atoms, block.displacements.shape[1] * n_slots)
    return csr_array((np.concatenate([ones, -ones]), (rows, np.tile(pair, 2))), shape=shape)
