"""Any potential made of a pure JAX function: neighbour lists, evaluations, trajectories.

    E = sum_i e_i({r_ij}) + E_long(all positions, cell)

A family of potentials (a file of this folder or of `classical`) supplies the atomic energy, and
where it has one the long-range energy; everything else, difficult cells included, is here once.
`CompiledModel` is the shape of a potential, compiled once; `CompiledPotential` is a model with
frozen parameters: a potential, a guide, a baseline under a learned correction.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, Self

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics, GuideTrajectory
from hyperatom.dynamics.compiled_dynamics import CompiledDynamics, DynamicsPath, at_rest
from hyperatom.dynamics.velocity_verlet import VelocityVerlet
from hyperatom.errors import InputError
from hyperatom.evaluation import VOIGT, Evaluation
from hyperatom.geometry.neighbour_lists import NeighbourLists
from hyperatom.geometry.neighbours import minimum_distance
from hyperatom.potentials.local_energy import AtomicEnergy, LocalEnergy, energy_forces_virial

NVE = Dynamics(VelocityVerlet())

SKIN = 0.4
"""Å beyond the cutoff that neighbour lists of paths reach, in the mean of all pairs."""

Array = NDArray[np.float64]


class LongRange(Protocol):
    """An energy that is not a sum over neighbourhoods: an Ewald sum, equilibrated charges."""

    def prepare(self, configuration: Configuration) -> Any:
        """Arrays that depend on cell and species alone, made once for a trajectory.

        Raises `InputError` where there is no such energy: a charged periodic cell, say.
        """
        ...

    def energy(
        self,
        parameters: Any,
        positions: jax.Array,
        cell: jax.Array,
        displacements: jax.Array,
        species: jax.Array,
        slots: tuple[int, ...],
        prepared: Any,
    ) -> jax.Array:
        """Energy in eV, differentiable in positions, cell and displacements.

        `positions` (n_atoms, 3) and `cell` (3, 3) in Å; `displacements` (3, n_atoms, n_slots) of
        the neighbours in Å; `species` (n_atoms,) from zero; `prepared` is what `prepare` returned.
        """
        ...


class CompiledModel:
    """The compiled part of a potential, shared by all parameters of the same shapes.

    `species` are atomic numbers, in the order in which `central_species` and the slots count them.
    `cutoff` in Å is how far an atom's energy reaches. `block` atoms are worked on at a time.
    """

    def __init__(
        self,
        species: Sequence[int],
        cutoff: float,
        atomic_energy: AtomicEnergy | None,
        long_range: LongRange | None = None,
        precision: str = "float64",
        block: int | None = None,
    ) -> None:
        self.species = tuple(int(number) for number in species)
        self.cutoff = float(cutoff)
        self.atomic_energy = atomic_energy
        self.long_range = long_range
        self.precision = precision
        self.block = block
        self.capacity: dict[float, tuple[int, ...]] = {}
        self.home: Configuration | None = None
        self.dynamics = CompiledDynamics(self._forces, np.dtype(precision).type)
        self._evaluate = jax.jit(self._energy_forces_virial)

    def in_precision(self, precision: str) -> "CompiledModel":
        """The same model, not compiled yet, for trajectories in another precision."""
        return CompiledModel(
            self.species, self.cutoff, self.atomic_energy, self.long_range, precision, self.block
        )

    def species_of(self, configuration: Configuration) -> NDArray[np.int64]:
        """Species of each atom, counted from zero in the order of `species`.

        Raises `InputError` for a species that the potential does not know.
        """
        known = np.asarray(self.species)
        missing = set(configuration.species) - set(self.species)
        if missing:
            from ase.data import chemical_symbols

            names = ", ".join(chemical_symbols[z] for z in sorted(missing))
            raise InputError(
                f"This potential knows nothing of {names}"
                f"; it was made for {', '.join(chemical_symbols[z] for z in known)}.",
                "Make a potential for all species of the configuration.",
            )
        return np.asarray(np.argsort(known)[np.searchsorted(np.sort(known), configuration.numbers)])

    def reserve(self, configuration: Configuration) -> None:
        """Fix the numbers of neighbour slots by this configuration, with a margin.

        Every list then has the same shape: little is compiled, and results depend on the
        configuration alone, to the last bit, also where cells change.
        """
        self.home = configuration
        for skin in (0.0, SKIN):
            needed = self._list_maker(configuration, skin, None).make(configuration.positions).slots
            self.capacity[skin] = tuple(8 * math.ceil((1.15 * n + 2) / 8) for n in needed)

    def lists(self, configuration: Configuration, skin: float = SKIN) -> NeighbourLists:
        """A new maker of neighbour lists for these atoms in this cell."""
        return self._list_maker(configuration, skin, self.capacity.get(skin))

    def _list_maker(
        self, configuration: Configuration, skin: float, capacity: tuple[int, ...] | None
    ) -> NeighbourLists:
        return NeighbourLists(
            configuration.cell,
            configuration.periodic,
            self.species_of(configuration),
            len(self.species),
            self.cutoff,
            skin,
            capacity,
            n_copies=configuration.n_copies,
        )

    def evaluate(self, parameters: Any, configuration: Configuration) -> tuple[float, Array, Array]:
        """Energy eV, forces (n_atoms, 3) eV/Å and virial (6,) eV, always in float64."""
        with jax.enable_x64(True):
            result = self._evaluate(
                self._arguments(parameters, configuration),
                configuration.positions,
                configuration.cell,
                self.lists(configuration, skin=0.0).make(configuration.positions),
            )
            return float(result.energy), np.array(result.forces), np.array(result.virial)

    def run(
        self,
        parameters: Any,
        configuration: Configuration,
        momenta: Array,
        time_step: float,
        n_steps: int,
        check_every: int,
        dynamics: Dynamics | None = None,
        first_step: int = 0,
    ) -> DynamicsPath:
        """Dynamics in the model's precision; arguments as in `CompiledDynamics.run`.

        Raises `InputError` where the cell of a configuration that is not periodic is to change.
        """
        dynamics = dynamics or NVE
        if dynamics.integrator.changes_cell and not configuration.periodic.all():
            raise InputError(
                "The cell is to change, but the configuration is not periodic in all directions.",
                "Use the canonical ensemble, or make the cell periodic.",
            )
        return self.dynamics.run(
            self._arguments(parameters, configuration),
            at_rest(configuration.positions, momenta, configuration.cell, dynamics.variables),
            configuration.masses,
            time_step,
            n_steps,
            check_every,
            self.lists(configuration),
            dynamics.integrator,
            dynamics.parameters,
            first_step,
        )

    def _arguments(self, parameters: Any, configuration: Configuration) -> tuple[Any, ...]:
        species = self.species_of(configuration)
        if self.long_range is None:
            return parameters, species, None
        if configuration.n_copies > 1:
            raise InputError(
                "A potential with a long-range part cannot move ring polymers.",
                "Use one that is a sum over neighbourhoods, or a guide without this baseline.",
            )
        # Wave vectors must not depend on where a path began, or it would not be reversible.
        home = self.home
        if home is None or not np.array_equal(home.numbers, configuration.numbers):
            home = configuration
        return parameters, species, self.long_range.prepare(home)

    def _forces(
        self, arguments: Any, positions: jax.Array, cell: jax.Array, neighbours: Any
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        return self._energy_forces_virial(arguments, positions, cell, neighbours).of_dynamics()

    def _energy_forces_virial(
        self, arguments: Any, positions: jax.Array, cell: jax.Array, neighbours: Any
    ) -> LocalEnergy:
        parameters, species, prepared = _in_precision(arguments, positions.dtype)
        cell = jnp.asarray(cell, dtype=positions.dtype)
        parts = []
        if self.atomic_energy is not None:
            parts.append(
                energy_forces_virial(
                    self.atomic_energy, parameters, positions, species, neighbours, self.block
                )
            )
        if self.long_range is not None:
            parts.append(
                self._long_range_part(parameters, positions, cell, species, neighbours, prepared)
            )
        return LocalEnergy(*(sum(pieces) for pieces in zip(*parts, strict=True)))

    def _long_range_part(
        self,
        parameters: Any,
        positions: jax.Array,
        cell: jax.Array,
        species: jax.Array,
        neighbours: Any,
        prepared: Any,
    ) -> LocalEnergy:
        shift = jnp.asarray(neighbours.shift, dtype=positions.dtype)

        def energy(positions: jax.Array, strain: jax.Array) -> jax.Array:
            stretch = jnp.eye(3, dtype=positions.dtype) + 0.5 * (strain + strain.T)
            planes = positions.T
            displacements = planes[:, neighbours.index] + shift - planes[:, :, None]
            assert self.long_range is not None
            return self.long_range.energy(
                parameters,
                positions @ stretch,
                cell @ stretch,
                jnp.einsum("ab,bij->aij", stretch, displacements),
                species,
                neighbours.slots,
                prepared,
            )

        strain = jnp.zeros((3, 3), dtype=positions.dtype)
        value, (slope, virial) = jax.value_and_grad(energy, argnums=(0, 1))(positions, strain)
        voigt = virial[VOIGT]
        share = jnp.full(len(positions), value / len(positions), dtype=positions.dtype)
        return LocalEnergy(value, share, -slope, voigt)


class _Doubtful(Protocol):
    def errors(self, configuration: Configuration, waypoints: Array, cells: Array) -> Array: ...


def errors_along(potential: _Doubtful, configuration: Configuration, path: DynamicsPath) -> Array:
    """What a potential predicts of its errors at the checked points of a path, eV, (n_checks,).

    Infinite where the path has left the numbers.
    """
    found = np.full(len(path.energies), np.inf)
    whole = np.isfinite(path.waypoints).all(axis=(1, 2))
    found[whole] = potential.errors(configuration, path.waypoints[whole], path.cells[whole])
    return found


def guide_trajectory(path: DynamicsPath, errors: Array) -> GuideTrajectory:
    """A path with the standard deviation of the energy (n_checks,), eV, at its checked points."""
    return GuideTrajectory(
        positions=path.positions,
        momenta=path.momenta,
        energies=path.energies,
        errors=errors,
        waypoints=path.waypoints,
        cells=path.cells,
        variables=path.variables,
    )


def _in_precision(arguments: Any, dtype: Any) -> Any:
    def convert(leaf: Any) -> jax.Array:
        array = jnp.asarray(leaf)
        return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return jax.tree.map(convert, arguments)


@dataclass(frozen=True, eq=False)
class CompiledPotential:
    """A model with frozen parameters: a potential, and a guide that does not know its own error.

    `parameters` is a tree of arrays, as the model's atomic energy takes it. `name` says in words
    what it is and where the parameters are from.
    """

    model: CompiledModel
    parameters: Any
    name: str

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers that it knows."""
        return self.model.species

    @property
    def cutoff(self) -> float:
        """How far an atom sees, Å."""
        return self.model.cutoff

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Energy, forces, and stress where the cell is periodic.

        Raises `InputError` where there is no finite energy or force: overlapping atoms, say.
        """
        energy, forces, virial = self.model.evaluate(self.parameters, configuration)
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            closest = min(
                minimum_distance(positions, configuration.cell, configuration.periodic)
                for positions in configuration.positions.reshape(configuration.n_copies, -1, 3)
            )
            raise InputError(
                f"The {self.name} gives no finite energy for this configuration, whose closest "
                f"atoms are {closest:.4g} Å apart.",
                "Look for overlapping atoms.",
            )
        known = configuration.periodic.all() and np.isfinite(virial).all()
        stress = virial / configuration.volume if known else None
        return Evaluation(energy, forces, stress, origin=self.name)

    def trajectory(
        self,
        configuration: Configuration,
        momenta: Array,
        time_step: float,
        n_steps: int,
        check_every: int,
        dynamics: Dynamics | None = None,
    ) -> GuideTrajectory:
        """See `Guide` in the contracts."""
        path = self.model.run(
            self.parameters, configuration, momenta, time_step, n_steps, check_every, dynamics
        )
        return guide_trajectory(path, errors_along(self, configuration, path))

    def errors(self, configuration: Configuration, waypoints: Array, cells: Array) -> Array:
        """Standard deviation of the total energy at each waypoint, eV, (n_points,); 0: unknown."""
        del configuration, cells
        return np.zeros(len(waypoints))

    def in_precision(self, precision: str) -> Self:
        """The same with trajectories in another precision."""
        if self.model.precision == precision:
            return self
        return replace(self, model=self.model.in_precision(precision))

    def digest(self) -> str:
        """SHA-256 of name, species, cutoff and parameters."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        words = (self.name, self.species, self.cutoff, self.model.precision)
        content = hashlib.sha256(repr(words).encode())
        for leaf in jax.tree.leaves(self.parameters):
            array = np.ascontiguousarray(leaf)
            content.update(f"{array.dtype}{array.shape}".encode())
            content.update(array.tobytes())
        return content.hexdigest()
