"""Labels packed into batches: arrays of few shapes, so that little is compiled.

Shapes hardly depend on the labels: numbers of slots, atoms, configurations and batches are rounded
up, small ones to powers of two, and loops run over the batches that are filled. A fit to a label
more, or to other labels alike, then finds its programs compiled.

A potential that is a sum of atomic energies does not care which atoms belong together. So the atoms
of several configurations are laid one after the other, and a matrix `member` (n_configurations,
n_atoms) of ones and zeros says whose energy is whose. A configuration then costs its atoms and no
padding up to the largest. What has to be padded are the neighbour slots: configurations are sorted
by these into at most `SHAPES` classes, each with slots of its own. The batches of a class have one
shape and are stacked, so that one compiled loop runs over them.

The neighbour is on the last axis, as in the potentials: arrays (n_atoms, feature, 3 x neighbour)
are read row by row in one product of matrices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.geometry.neighbours import Neighbours, find_neighbours
from hyperatom.potentials.training.local_terms import LocalTerms, equal_blocks

SHAPES = 3
"""Classes of neighbour slots at the most: each is compiled once."""

SLOTS = 8
"""Numbers of neighbour slots are multiples of this."""

LARGE = 16
"""More batches than this are rounded to multiples of it: a power of two would waste memory."""

FEW_ATOMS = 30_000
"""Up to so many atoms all labels are of one shape."""

WORTH = 0.1
"""A further class must save this part of the work."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainingLabel:
    """One configuration with what the reference said of it.

    `weight` multiplies the squared residuals. `group` numbers configurations whose energies are
    compared with each other (see `losses`). Where the evaluation has an `energy_error`, its square
    is added to the variance of the noise. Forces that are not finite, or a stress that is absent,
    count for nothing.
    """

    configuration: Configuration
    evaluation: Evaluation
    weight: float = 1.0
    group: int = 0


@dataclass(frozen=True, eq=False)
class Batch:
    """Labels of one shape; stacked batches have one more axis in front.

    | field           | shape                              | unit | meaning                      |
    |-----------------|------------------------------------|------|------------------------------|
    | `inputs`        | (n_blocks, n_block, ...)           | -    | u of `LocalTerms`, in blocks |
    | `slopes`        | (n_atoms, n_features, 3 n_slots)   | 1/Å  | du/dr, or None               |
    | `displacements` | (3, n_atoms, n_slots)              | Å    | r_ij                         |
    | `reverse`       | (n_atoms, n_slots)                 | -    | as in `Neighbours`           |
    | `species`       | (n_blocks, n_block)                | -    | of the central atoms         |
    | `member`        | (n_configurations, n_atoms)        | -    | one where an atom belongs    |
    | `n_atoms`       | (n_configurations,)                | -    | at least one                 |
    | `energy`        | (n_configurations,)                | eV   | of the reference             |
    | `energy_error`  | (n_configurations,)                | eV   | its standard error           |
    | `forces`        | (3, n_atoms)                       | eV/Å | of the reference             |
    | `virial`        | (n_configurations, 6)              | eV   | volume x stress              |
    | `weight`        | (n_configurations,)                | -    | zero: padding                |
    | `force_weight`  | (n_atoms,)                         | -    | zero: padding, or no forces  |
    | `virial_weight` | (n_configurations,)                | -    | zero: padding, or no stress  |
    | `group`         | (n_configurations,)                | -    | number of the group          |
    """

    inputs: Any
    slopes: Any
    displacements: Any
    reverse: Any
    species: Any
    member: Any
    n_atoms: Any
    energy: Any
    energy_error: Any
    forces: Any
    virial: Any
    weight: Any
    force_weight: Any
    virial_weight: Any
    group: Any
    slots: tuple[int, ...]

    @property
    def n_batches(self) -> int:
        """Number of stacked batches that hold labels: the first ones."""
        return int(np.asarray(self.filled()))

    def filled(self) -> Any:
        """The same as an array, while a program is compiled."""
        return self.member[:, 0, 0].sum().astype(np.int32)

    def number(self, which: Any) -> "Batch":
        """One of the stacked batches."""
        whole = jax.tree.map(jnp.asarray, self) if isinstance(which, jax.Array) else self
        chosen: Batch = jax.tree.map(lambda array: array[which], whole)
        return chosen


jax.tree_util.register_dataclass(
    Batch,
    data_fields=[name for name in Batch.__dataclass_fields__ if name != "slots"],
    meta_fields=["slots"],
)


def pack(
    labels: Sequence[TrainingLabel],
    terms: LocalTerms,
    seed: int = 0,
    atoms_per_batch: int = 256,
    precision: str = "float64",
    shapes: int | None = None,
    others: Sequence[TrainingLabel] = (),
) -> tuple[Batch, ...]:
    """The labels in stacked batches, one stack for each of at most `shapes` classes of slots.

    Without a number there are `SHAPES` of them for many atoms, and one for few, where compiling
    takes longer than a few empty slots. There is room for `others` in the shapes: two sets that are
    the others of each other share all compiled programs. Which configurations share a batch is
    drawn by `seed`. A batch holds `atoms_per_batch` atoms, or one configuration that is larger.

    Raises `InputError` for no labels, and for species that the potential does not know.
    """
    if not labels:
        raise InputError("There is no label to learn from.", "Give at least one.")
    every = [*labels, *others]
    species = [_species_of(label.configuration, terms.species) for label in every]
    found = [
        _neighbours(label.configuration, own, terms, None)
        for label, own in zip(every, species, strict=True)
    ]
    n_atoms = np.array([label.configuration.n_atoms for label in every])
    if shapes is None:
        shapes = SHAPES if n_atoms.sum() > FEW_ATOMS else 1
    needed = np.array([one.slots for one in found])
    classes = slot_classes(-(-needed // SLOTS) * SLOTS, n_atoms, shapes)
    rng = np.random.default_rng(seed)
    stacks = []
    for slots, members in classes:
        room = max(atoms_per_batch, int(n_atoms[members].max()))
        sets = [members[members < len(labels)], members[members >= len(labels)]]
        both = [_fill(rng.permutation(one), n_atoms, room) for one in sets]
        bins, filled = both[0], [one for bins in both for one in bins]
        if not bins:
            continue
        n_rows = min(power_of_two(max(int(n_atoms[one].sum()) for one in filled)), room)
        n_configurations = power_of_two(max(len(one) for one in filled))
        n_batches = _rounded(max(len(one) for one in both))
        packed = [
            _pack_one(
                [labels[k] for k in one],
                [species[k] for k in one],
                terms,
                slots,
                n_rows,
                n_configurations,
                precision,
            )
            for one in bins
        ]
        empty = _pack_one([], [], terms, slots, n_rows, n_configurations, precision)
        packed += [empty] * (n_batches - len(packed))
        stacks.append(jax.tree.map(lambda *arrays: np.stack(arrays), *packed))
    return tuple(stacks)


def power_of_two(number: int) -> int:
    """The smallest one that is no smaller than a positive `number`."""
    return 1 << (number - 1).bit_length()


def _rounded(n_batches: int) -> int:
    return power_of_two(n_batches) if n_batches < LARGE else -(-n_batches // LARGE) * LARGE


def slot_classes(
    slots: NDArray[np.int64], n_atoms: NDArray[np.int64], shapes: int = SHAPES
) -> list[tuple[tuple[int, ...], NDArray[np.int64]]]:
    """Configurations sorted into classes of neighbour slots, by the least work after padding.

    `slots` (n_configurations, n_species). The work of a class is its atoms times the slots that
    suffice for all of it; the best division of the sorted configurations into k neighbours is found
    exactly, by dynamic programming over where each class begins.
    """
    order = np.lexsort((n_atoms, slots.sum(axis=1)))
    kinds, starts = np.unique(slots[order].sum(axis=1), return_index=True)
    del kinds
    ends = np.append(starts[1:], len(order))
    pieces = [order[a:b] for a, b in zip(starts, ends, strict=True)]
    if len(pieces) > MAXIMUM_KINDS:
        groups = np.array_split(np.arange(len(pieces)), MAXIMUM_KINDS)
        pieces = [np.concatenate([pieces[k] for k in group]) for group in groups]
    n = len(pieces)
    tops = np.array([slots[piece].max(axis=0) for piece in pieces])
    weight = np.array([n_atoms[piece].sum() for piece in pieces], dtype=float)

    def work(start: int, end: int) -> float:
        return float(weight[start:end].sum() * tops[start:end].max(axis=0).sum())

    best = {(0, 0): (0.0, 0)}
    for count in range(1, min(shapes, n) + 1):
        for end in range(count, n + 1):
            best[count, end] = min(
                (best[count - 1, start][0] + work(start, end), start)
                for start in range(count - 1, end)
                if (count - 1, start) in best
            )
    count = 1
    while count < min(shapes, n) and best[count + 1, n][0] < (1.0 - WORTH) * best[count, n][0]:
        count += 1
    classes, end = [], n
    for left in range(count, 0, -1):
        start = best[left, end][1]
        members = np.sort(np.concatenate(pieces[start:end]))
        top = tuple(int(s) for s in slots[members].max(axis=0))
        classes.append((top, members))
        end = start
    return classes[::-1]


MAXIMUM_KINDS = 60
"""Different numbers of slots among which the division into classes is sought."""


def split(
    labels: Sequence[TrainingLabel], fraction: float, seed: int
) -> tuple[list[TrainingLabel], list[TrainingLabel]]:
    """Labels for training and for validation, the latter a `fraction` drawn by `seed`.

    At least one label is kept for each. Raises `InputError` for fewer than two labels, or a
    fraction that is not between 0 and 1.
    """
    if len(labels) < 2 or not 0.0 < fraction < 1.0:
        raise InputError(
            f"{len(labels)} labels cannot be divided with {fraction:g} of them for validation.",
            "Give at least two labels and a fraction between 0 and 1.",
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    count = min(max(1, round(fraction * len(labels))), len(labels) - 1)
    return (
        [labels[k] for k in sorted(order[count:])],
        [labels[k] for k in sorted(order[:count])],
    )


def _species_of(configuration: Configuration, known: tuple[int, ...]) -> NDArray[np.int64]:
    missing = set(configuration.species) - set(known)
    if missing:
        from ase.data import chemical_symbols

        raise InputError(
            f"A label holds {', '.join(chemical_symbols[z] for z in sorted(missing))}; the"
            f" potential is for {', '.join(chemical_symbols[z] for z in known)}.",
            "Make a potential for all species of the labels.",
        )
    order = np.argsort(known)
    return np.asarray(order[np.searchsorted(np.array(known)[order], configuration.numbers)])


def _neighbours(
    configuration: Configuration,
    species: NDArray[np.int64],
    terms: LocalTerms,
    capacity: tuple[int, ...] | None,
) -> Neighbours:
    return find_neighbours(
        configuration.positions,
        configuration.cell,
        configuration.periodic,
        species,
        len(terms.species),
        terms.cutoff,
        capacity,
    )


def _fill(
    order: NDArray[np.int64], n_atoms: NDArray[np.int64], room: int
) -> list[NDArray[np.int64]]:
    # First fit, in the order drawn; as many bins of as equal content as that gives.
    bins: list[list[int]] = []
    left: list[int] = []
    for one in order:
        size = int(n_atoms[one])
        place = next((k for k, space in enumerate(left) if space >= size), None)
        if place is None:
            bins.append([])
            left.append(room)
            place = len(bins) - 1
        bins[place].append(int(one))
        left[place] -= size
    return [np.array(one) for one in bins]


def _pack_one(
    labels: Sequence[TrainingLabel],
    species: Sequence[NDArray[np.int64]],
    terms: LocalTerms,
    slots: tuple[int, ...],
    n_rows: int,
    n_configurations: int,
    precision: str,
) -> Batch:
    n_slots = sum(slots)
    block = equal_blocks(n_rows, terms.block)
    n_rows = -(-n_rows // block) * block
    displacements = np.zeros((3, n_rows, n_slots))
    displacements[0] = 2.0 * terms.cutoff
    reverse = np.arange(n_rows * n_slots, dtype=np.int32).reshape(n_rows, n_slots)
    central = np.zeros(n_rows, dtype=np.int32)
    member = np.zeros((n_configurations, n_rows))
    forces, force_weight = np.zeros((3, n_rows)), np.zeros(n_rows)
    columns = {name: np.zeros(n_configurations) for name in COLUMNS}
    virial = np.zeros((n_configurations, 6))
    group = np.zeros(n_configurations, dtype=np.int32)
    columns["n_atoms"] += 1.0
    first = 0
    for place, (label, own) in enumerate(zip(labels, species, strict=True)):
        configuration, evaluation = label.configuration, label.evaluation
        here = slice(first, first + configuration.n_atoms)
        neighbours = _neighbours(configuration, own, terms, slots)
        planes = configuration.positions.T
        displacements[:, here] = planes[:, neighbours.index] + neighbours.shift - planes[:, :, None]
        reverse[here] = neighbours.reverse + first * n_slots
        central[here] = own
        member[place, here] = 1.0
        columns["n_atoms"][place] = configuration.n_atoms
        columns["energy"][place] = evaluation.energy
        columns["energy_error"][place] = evaluation.energy_error or 0.0
        columns["weight"][place] = label.weight
        group[place] = label.group
        if np.isfinite(evaluation.forces).all():
            forces[:, here] = evaluation.forces.T
            force_weight[here] = label.weight
        if evaluation.stress is not None and configuration.periodic.all():
            virial[place] = configuration.volume * evaluation.stress
            columns["virial_weight"][place] = label.weight
        first += configuration.n_atoms
    with jax.enable_x64(True):
        inputs, slopes = _inputs(terms, slots, displacements.astype(precision), central)
    shape = (n_rows // block, block)
    floats = {name: array.astype(precision) for name, array in columns.items()}
    return Batch(
        inputs=np.asarray(inputs).reshape(*shape, *inputs.shape[1:]),
        slopes=None if slopes is None else np.asarray(slopes),
        displacements=displacements.astype(precision),
        reverse=reverse,
        species=central.reshape(shape),
        member=member.astype(precision),
        forces=forces.astype(precision),
        force_weight=force_weight.astype(precision),
        virial=virial.astype(precision),
        group=group,
        slots=slots,
        **floats,
    )


COLUMNS = ("n_atoms", "energy", "energy_error", "weight", "virial_weight")


def _inputs(
    terms: LocalTerms, slots: tuple[int, ...], displacements: Array, central: NDArray[np.int32]
) -> Any:
    return _compiled_inputs(terms, slots, jnp.asarray(displacements), jnp.asarray(central))


def _of_terms(terms: LocalTerms, slots: tuple[int, ...], vectors: Any, central: Any) -> Any:
    return terms.inputs(vectors, central, slots)


_compiled_inputs = jax.jit(_of_terms, static_argnums=(0, 1))
