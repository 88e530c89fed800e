"""Meshes of k-points: Gamma-centred, chosen once, never by the symmetry of a configuration."""

from typing import Any

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.references.engine_preset import Keywords, Mesh, Prepare

SPACING = 0.3
"""Å^-1 (2 pi included); distance of k-points where the input names no mesh."""


def fixed_mesh(configuration: Configuration, wanted: Mesh | None) -> Mesh:
    """`wanted`, or the smallest mesh whose points are no further apart than `SPACING`.

    It stays as it is when the cell changes. A direction that is not periodic has one point.
    """
    if wanted is not None:
        return wanted
    if not configuration.periodic.any():
        return 1, 1, 1
    cell = configuration.cell.copy()
    cell[~configuration.periodic] = _filled(cell, configuration.periodic)
    lengths = 2.0 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0)
    counts = np.maximum(1, np.ceil(lengths / SPACING - 1.0e-6)).astype(int)
    counts[~configuration.periodic] = 1
    return int(counts[0]), int(counts[1]), int(counts[2])


def _filled(cell: np.ndarray, periodic: np.ndarray) -> np.ndarray:
    """Vectors at right angles to the periodic ones, in place of those that are missing."""
    _, _, directions = np.linalg.svd(np.where(periodic[:, None], cell, 0.0))
    return np.asarray(directions[int(periodic.sum()) :] * 1.0e3)


def require_gamma(engine: str, wanted: Mesh | None) -> None:
    """Raise `InputError` where k-points are asked of an engine that has Gamma alone."""
    if wanted is not None and wanted != (1, 1, 1):
        raise InputError(
            f"{engine} knows the Gamma point alone, and the input asks for k_points {[*wanted]}.",
            "Repeat the cell instead and take the key away, or choose another engine.",
        )


def gamma_alone(engine: str) -> Prepare:
    """Keywords as they are, of an engine that has Gamma alone; raises as `require_gamma` does."""

    def prepare(
        keywords: Keywords,
        configuration: Configuration,  # noqa: ARG001
        mesh: Mesh | None,
    ) -> dict[str, Any]:
        require_gamma(engine, mesh)
        return dict(keywords)

    return prepare


def require_periodic(engine: str, configuration: Configuration) -> None:
    """Raise `InputError` unless all three directions are periodic."""
    if not configuration.periodic.all():
        raise InputError(
            f"{engine} describes crystals, and this configuration is periodic along "
            f"{int(configuration.periodic.sum())} of 3 directions.",
            "Put the atoms into a box with enough vacuum that is periodic along all three "
            '(in extended XYZ: pbc="T T T"), or choose an engine for molecules.',
        )
