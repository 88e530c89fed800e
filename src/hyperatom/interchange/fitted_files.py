"""Potentials that were fitted here, as files among those of other programs."""

from pathlib import Path

from hyperatom.errors import InputError
from hyperatom.interchange.potential_formats import PotentialFormat, Source
from hyperatom.potentials.compiled_potential import CompiledPotential
from hyperatom.potentials.fitted import FittedPotential
from hyperatom.potentials.fitted_files import load_fitted, read_header


def _recognises(path: Path) -> bool:
    return path.is_file() and path.suffix == ".npz" and read_header(path) is not None


def _read(source: Source) -> CompiledPotential:
    return load_fitted(source.path)


def _write(potential: CompiledPotential, path: Path) -> None:
    if not isinstance(potential, FittedPotential):
        raise InputError(
            f"{potential.name} was not fitted here, and has no family to be saved with.",
            "Choose a format of another program.",
        )
    potential.save(path)


FORMATS = [
    PotentialFormat("hyperatom", "potentials of 'hyperatom fit'", _recognises, _read, _write)
]
