"""Any ASE calculator as a potential that the compiled loop can call.

    E = E_calculator + sum_i c_{s(i)}

Each step leaves the compiled program, asks the calculator, and returns with its energy and
derivatives. A calculator is made new for each question: nothing of an earlier wave function
survives, the energy is a function of the configuration alone, and trajectories are reversible.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.evaluation import VOIGT_MATRIX

Array = NDArray[np.float64]


class CalculatorEnergy:
    """The energy of an ASE calculator as the long-range part of a compiled potential.

    `path` is the import path of its class (`tblite.ase.TBLite`, with or without `ase:` before it),
    `keywords` are its own. Its free energy counts where it has one, as the forces belong to it.
    Where it fails, energy and forces are no numbers: a trajectory ends there, as a rejection.

    Raises `InputError` where there is no such calculator, or it refuses its keywords.
    """

    def __init__(self, path: str, keywords: Mapping[str, Any], species: tuple[int, ...]) -> None:
        self.make = _found(path.removeprefix("ase:"))
        self.keywords = dict(keywords)
        self.species = np.array(species)
        try:
            self.has_stress = "stress" in self.make(**self.keywords).implemented_properties
        except Exception as problem:
            raise InputError(
                f"The calculator {path} does not accept its keywords: "
                f"{type(problem).__name__}: {problem}.",
                f"Correct 'keywords'; they were {self.keywords}.",
            ) from problem

    def prepare(self, configuration: Configuration) -> Any:
        """Which directions are periodic, (3,)."""
        return configuration.periodic

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
        """Energy in eV; see `LongRange`."""
        del displacements, slots
        constants: jax.Array = jnp.asarray(parameters)[species].sum()
        return constants + self._asked(
            positions, cell, jnp.asarray(self.species)[species], prepared
        )

    def _asked(
        self, positions: jax.Array, cell: jax.Array, numbers: jax.Array, periodic: jax.Array
    ) -> jax.Array:
        n_words = 2 * (1 + positions.size + 9)

        def answer(positions: jax.Array, cell: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            found = jax.pure_callback(
                self._answer,
                jax.ShapeDtypeStruct((n_words,), np.uint32),
                _words(positions),
                _words(cell),
                numbers,
                periodic,
                vmap_method="sequential",
            )
            numbers_found = jax.lax.bitcast_convert_type(found.reshape(-1, 2), jnp.float64)
            return (
                numbers_found[0].astype(positions.dtype),
                numbers_found[1:-9].reshape(positions.shape).astype(positions.dtype),
                numbers_found[-9:].reshape(3, 3).astype(positions.dtype),
            )

        @jax.custom_vjp
        def energy(positions: jax.Array, cell: jax.Array) -> jax.Array:
            return answer(positions, cell)[0]

        def forward(positions: jax.Array, cell: jax.Array) -> Any:
            value, *slopes = answer(positions, cell)
            return value, slopes

        def backward(slopes: Any, upstream: jax.Array) -> Any:
            return tuple(upstream * slope for slope in slopes)

        energy.defvjp(forward, backward)
        value: jax.Array = energy(positions, cell)
        return value

    def _answer(self, positions: Any, cell: Any, numbers: Any, periodic: Any) -> NDArray[np.uint32]:
        """Energy, and its derivatives by positions and cell, as words."""
        from ase import Atoms

        places, box = (np.array(words).view(np.float64) for words in (positions, cell))
        places, box = places.reshape(-1, 3), box.reshape(3, 3)
        everywhere = bool(np.all(periodic))
        energy, slope = np.nan, np.full_like(places, np.nan)
        pull = np.full((3, 3), np.nan if everywhere else 0.0)
        atoms: Any = Atoms(np.array(numbers), places, cell=box, pbc=np.array(periodic))
        atoms.calc = self.make(**self.keywords)
        try:
            slope = -np.array(atoms.get_forces(), np.float64)
            energy = atoms.calc.results.get("free_energy", atoms.get_potential_energy())
            if everywhere and self.has_stress:
                # V stress = r^T dE/dr + h^T dE/dh, of strains r -> r (1 + e), h -> h (1 + e)
                virial = atoms.get_volume() * np.asarray(atoms.get_stress())[VOIGT_MATRIX]
                pull = np.linalg.solve(box.T, virial - places.T @ slope)
        except Exception:  # noqa: S110 (whatever it raises, there is no energy here)
            pass
        return np.concatenate([[energy], slope.ravel(), pull.ravel()]).view(np.uint32)


def _words(array: jax.Array) -> jax.Array:
    # The thread that answers knows single precision alone: numbers pass as pairs of words.
    return jax.lax.bitcast_convert_type(array.astype(jnp.float64), jnp.uint32).ravel()


def _found(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as problem:
        raise InputError(
            f"There is no calculator '{path}': {problem}.",
            "Give the import path of a class that is installed, e.g. 'ase:tblite.ase.TBLite'.",
        ) from problem
    if not callable(made):
        raise InputError(f"'{path}' is not a calculator.", "Give the import path of a class.")
    return made  # type: ignore[no-any-return]
