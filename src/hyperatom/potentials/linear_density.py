"""The default guide: density invariants, a linear readout, and a short-range repulsion.

    E = sum_i [ w_{s(i)} . B(i) + c_{s(i)} ] + repulsion (+ baseline)
    sigma_E^2 = phi^T cov(w, c) phi + n_atoms noise^2

with B the invariants of the neighbour density (a linear atomic cluster expansion, Drautz, Phys.
Rev. B 99, 014104 (2019)), one set of weights and one constant per species, and phi the sums of
features over the atoms of each species. Frozen: a new fit makes a new object.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import jax
import numpy as np
from numpy.typing import NDArray

from hyperatom.configuration import Configuration
from hyperatom.contracts import Dynamics, GuideTrajectory
from hyperatom.errors import InputError
from hyperatom.evaluation import Evaluation
from hyperatom.potentials.combined_potentials import with_species
from hyperatom.potentials.compiled_potential import (
    CompiledModel,
    CompiledPotential,
    LongRange,
    errors_along,
    guide_trajectory,
)
from hyperatom.potentials.features.density import DensityFeatures, DensitySettings
from hyperatom.potentials.readouts.bayesian_linear import variance
from hyperatom.potentials.repulsion import repulsion

FORMAT = "hyperatom linear density potential 1"

Array = NDArray[np.float64]


class LinearDensityModel(CompiledModel):
    """The compiled part, shared by all fits with the same settings: features, forces, dynamics.

    Where there is a `baseline` potential, what is learned is the difference to it.
    """

    def __init__(
        self,
        settings: DensitySettings,
        precision: str = "float64",
        baseline: CompiledPotential | None = None,
    ) -> None:
        self.baseline = None if baseline is None else with_species(baseline, settings.species)
        cutoff, long_range = settings.cutoff, None
        if self.baseline is not None:
            cutoff = max(cutoff, self.baseline.cutoff)
            if self.baseline.model.long_range is not None:
                long_range = _OfBaseline(self.baseline.model.long_range)
        super().__init__(settings.species, cutoff, self._atomic_energy, long_range, precision)
        self.settings = settings
        self.features = DensityFeatures(settings)
        self._totals = jax.jit(self._feature_totals)

    def in_precision(self, precision: str) -> "LinearDensityModel":
        """See `CompiledModel`."""
        return LinearDensityModel(self.settings, precision, self.baseline)

    def equals(self, other: "LinearDensityModel") -> bool:
        """Would it give the same numbers, bit for bit?"""
        return (self.settings, self.precision, self.capacity, self.baseline_digest) == (
            other.settings,
            other.precision,
            other.capacity,
            other.baseline_digest,
        )

    @property
    def baseline_digest(self) -> str:
        """Digest of the baseline, empty without one."""
        return "" if self.baseline is None else self.baseline.digest()

    def parameters(
        self, weights: Array, constants: Array, radii: Array
    ) -> tuple[Array, Array, Array, Any]:
        """What the compiled part takes; fields as in `LinearDensityPotential`."""
        given = () if self.baseline is None else self.baseline.parameters
        return (weights, constants, radii, given)

    @property
    def n_unknowns(self) -> int:
        """Number of weights and constants of all species."""
        return len(self.species) * (self.features.n_features + 1)

    def _atomic_energy(
        self,
        parameters: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        weights, constants, radii, given = parameters
        density = self.features.density(displacements, slots)
        learned = self.features.weighted_sum(density, weights, central_species)
        learned += constants[central_species]
        energy: jax.Array = learned + repulsion(radii, displacements, central_species, slots)
        if self.baseline is not None and self.baseline.model.atomic_energy is not None:
            part = self.baseline.model.atomic_energy
            energy = energy + part(given, displacements, central_species, slots)
        return energy

    def totals(self, configuration: Configuration, waypoints: Array, cells: Array) -> Array:
        """Features summed over the atoms of each species, and the numbers of these atoms.

        `waypoints` (n_points, n_atoms, 3) and `cells` (n_points, 3, 3) in Å; returns
        (n_points, n_unknowns), weights first.
        """
        species = self.species_of(configuration)
        lists = self.lists(configuration, skin=0.0)
        counts = np.bincount(species, minlength=len(self.species)).astype(float)
        with jax.enable_x64(True):
            sums = [
                np.asarray(self._totals(positions, species, lists.make(positions, cell))).ravel()
                for positions, cell in zip(waypoints, cells, strict=True)
            ]
        return np.array([np.concatenate([one, counts]) for one in sums])

    def _feature_totals(
        self, positions: jax.Array, species: jax.Array, neighbours: Any
    ) -> jax.Array:
        planes = positions.T
        displacements = planes[:, neighbours.index] + neighbours.shift - planes[:, :, None]
        features = self.features(displacements, neighbours.slots)
        return jax.ops.segment_sum(features, species, len(self.species))


@dataclass(frozen=True)
class _OfBaseline:
    """The long-range energy of the baseline, which finds its parameters behind the learned ones."""

    part: LongRange

    def prepare(self, configuration: Configuration) -> Any:
        return self.part.prepare(configuration)

    def energy(self, parameters: Any, *arguments: Any) -> jax.Array:
        return self.part.energy(parameters[3], *arguments)


@dataclass(frozen=True, eq=False)
class LinearDensityPotential:
    """A frozen fit: potential and guide.

    | field       | shape                    | unit     | meaning                                  |
    |-------------|--------------------------|----------|------------------------------------------|
    | `weights`   | (n_species, n_features)  | eV       | of the features of each central species  |
    | `constants` | (n_species,)             | eV       | energy of an atom of each species        |
    | `radii`     | (n_species, n_species)   | Å        | of the repulsion                         |
    | `scales`    | (n_unknowns,)            | eV       | D of the readout                         |
    | `factor`    | (n_unknowns, n_unknowns) | -        | Cholesky factor R of the readout         |
    | `noise`     | scalar                   | eV       | error per sqrt(atom) that no weights mend|
    | `inflation` | scalar                   | -        | found errors are this times the predicted|
    """

    model: LinearDensityModel
    weights: Array
    constants: Array
    radii: Array
    scales: Array
    factor: Array
    noise: float
    inflation: float = 1.0

    @property
    def cutoff(self) -> float:
        """How far an atom sees, Å."""
        return self.model.cutoff

    @cached_property
    def parameters(self) -> tuple[Array, Array, Array, Any]:
        """What the compiled part takes: weights, constants, radii, and those of the baseline."""
        return self.model.parameters(self.weights, self.constants, self.radii)

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Energy with its standard deviation, forces, and stress where the cell is periodic."""
        energy, forces, virial = self.model.evaluate(self.parameters, configuration)
        stress = virial / configuration.volume if configuration.periodic.all() else None
        error = float(self.errors(configuration, *_only(configuration))[0])
        return Evaluation(energy, forces, stress, error, origin=f"guide {self.digest()[:12]}")

    def errors(self, configuration: Configuration, waypoints: Array, cells: Array) -> Array:
        """Predictive standard deviation of the total energy at each waypoint, eV, (n_points,)."""
        features = self.model.totals(configuration, waypoints, cells) * self.scales
        noise = self.noise**2 * configuration.n_atoms
        return np.asarray(self.inflation * np.sqrt(variance(self.factor, features) + noise))

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

    def digest(self) -> str:
        """SHA-256 of settings and parameters."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        content = hashlib.sha256(json.dumps(asdict(self.model.settings)).encode())
        content.update(self.model.baseline_digest.encode())
        for array in (
            self.weights,
            self.constants,
            self.radii,
            self.scales,
            self.factor,
            np.array([self.noise, self.inflation]),
        ):
            content.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
        return content.hexdigest()

    def save(self, path: Path) -> None:
        """Write a self-describing `.npz` without pickle, atomically."""
        header = {
            "format": FORMAT,
            "settings": asdict(self.model.settings),
            "precision": self.model.precision,
            "baseline": self.model.baseline_digest,
            "capacity": [[skin, slots] for skin, slots in self.model.capacity.items()],
        }
        arrays = {
            "weights": self.weights,
            "constants": self.constants,
            "radii": self.radii,
            "scales": self.scales,
            "factor": self.factor,
            "errors": np.array([self.noise, self.inflation]),
        }
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, header=np.array(json.dumps(header)), allow_pickle=False, **arrays)
        part.replace(path)

    @classmethod
    def load(cls, path: Path, compiled: LinearDensityModel | None = None) -> Self:
        """Read what `save` wrote; energies are bit-equal to those of the saved potential.

        `compiled` lends its compiled programs where it is the model that the file needs, and its
        baseline: a file holds what was learned on top of one, not the baseline itself.

        Raises `InputError` where the file is missing, cut off, of another format, or was learned on
        top of another baseline.
        """
        names: Sequence[str] = ("weights", "constants", "radii", "scales", "factor", "errors")
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                arrays = {name: np.array(file[name]) for name in names}
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as problem:
            raise InputError(
                f"{path} is not a readable potential ({type(problem).__name__}).",
                "Give a file that hyperatom wrote, whole.",
            ) from problem
        if header.get("format") != FORMAT:
            raise InputError(
                f"{path} has format {header.get('format')!r}, expected {FORMAT!r}.",
                "Use the version of hyperatom that wrote it.",
            )
        settings = dict(header["settings"])
        settings["species"] = tuple(settings["species"])
        baseline = None if compiled is None else compiled.baseline
        if header.get("baseline", "") != ("" if baseline is None else baseline.digest()):
            raise InputError(
                f"{path} was learned on top of another baseline than the one at hand.",
                "Give the baseline potential with which it was learned.",
            )
        model = LinearDensityModel(DensitySettings(**settings), header["precision"], baseline)
        model.capacity = {skin: tuple(slots) for skin, slots in header["capacity"]}
        if compiled is not None and compiled.equals(model):
            model = compiled
        noise, inflation = (float(value) for value in arrays.pop("errors"))
        return cls(model, **arrays, noise=noise, inflation=inflation)


def _only(configuration: Configuration) -> tuple[Array, Array]:
    """The one point of a configuration, as waypoints and cells."""
    return configuration.positions[None], configuration.cell[None]
