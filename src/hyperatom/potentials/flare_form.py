"""The terms of FLARE: power spectra compared by a kernel, energies mapped to a polynomial.

    k(i, s) = (p_i . p_s)^2,   p = d / sqrt(|d|^2 + eps),   d = power spectrum of the density
    e_i = sum_s alpha_s k(i, s) = p_i^T B p_i,   B = sum_s alpha_s p_s p_s^T

so that an energy costs the same whatever the number of inducing points, and the variance of a total
energy, made of the moment sum_i p_i p_i^T, nearly so. Vandermause et al., Nat. Commun. 13, 5183
(2022); Xie et al., npj Computational Materials 9, 36 (2023). There eps = 0; here an atom whose last
neighbour leaves loses its energy smoothly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperatom.potentials.feature_rows import features_and_slopes
from hyperatom.potentials.features.density import DensityFeatures, DensitySettings
from hyperatom.potentials.features.selection import Method, selected_columns, selected_rows
from hyperatom.potentials.readouts.sparse_gaussian_process import (
    dot_product_covariance,
    dot_product_slopes,
    dot_product_totals,
)
from hyperatom.potentials.sparse_fit import Candidates

Array = NDArray[np.float64]

EXPONENT: Final = 2.0
"""Of the kernel: what makes the energy a quadratic form."""


@dataclass(frozen=True)
class QuadraticTerm:
    """A quadratic form of the normalised power spectrum of one species.

    Its parameters: `columns` (n,), the features that it looks at, and their `factors` (n,);
    `softness`, eps; `points` (n_points, n); `matrix` (n, n), B in eV.
    """

    centre: int
    density: DensitySettings

    @cached_property
    def features(self) -> DensityFeatures:
        """Power spectrum of the density."""
        return DensityFeatures(self.density)

    @property
    def centres(self) -> tuple[int, ...]:
        """Species of the atoms that have such an energy."""
        return (self.centre,)

    @property
    def seen(self) -> tuple[str, ...]:
        """See `Seen`."""
        return ()

    def energy(self, own: Any, features: jax.Array, central: jax.Array) -> jax.Array:
        """The energy of each atom of the species, (n_block,), of its features."""
        spectrum, _ = _normalised(own, features)
        energies = jnp.sum((spectrum @ own["matrix"]) * spectrum, axis=1)
        return jnp.where(central == self.centre, energies, 0.0)

    def rows(
        self, own: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array]:
        """See `Term`."""
        del centre
        features, slopes = features_and_slopes(self.features, displacements, slots)
        spectrum, norm = _normalised(own, features)
        scaled = slopes[..., own["columns"]] * (own["factors"] / norm[:, None, None, :])
        along = jnp.einsum("isaf,if->isa", scaled, spectrum)
        scaled -= along[..., None] * spectrum[:, None, None]
        return dot_product_slopes(spectrum, scaled, own["points"], EXPONENT)

    def inputs(
        self, own: Any, displacements: jax.Array, centre: int, slots: tuple[int, ...]
    ) -> jax.Array:
        """All features of each atom, (n_block, n_features)."""
        del own, centre
        return self.features(displacements, slots)

    def totals(self, own: Any, inputs: Array) -> tuple[Array, float | None]:
        """See `Term`."""
        spectrum, _ = _normalised(own, inputs)
        return dot_product_totals(spectrum, np.asarray(own["points"]), EXPONENT)

    def covariance(self, own: Any) -> Array:
        """See `Term`."""
        return dot_product_covariance(np.asarray(own["points"]), EXPONENT)


def _normalised(own: Any, features: Any) -> tuple[Any, Any]:
    # p (n_block, n) and sqrt(|d|^2 + eps) (n_block, 1), of arrays of NumPy or JAX.
    chosen = features[:, own["columns"]] * own["factors"]
    norm = ((chosen * chosen).sum(axis=1, keepdims=True) + own["softness"]) ** 0.5
    return chosen / norm, norm


@dataclass(frozen=True)
class FlareForm:
    """A quadratic form of each species.

    `n_features` is how many features are kept, None: all; `softness` is sqrt(eps) as a part of the
    size of the descriptors of the training frames.
    """

    density: DensitySettings
    n_features: int | None
    softness: float
    inducing_points: int
    selection: Method
    name: str = "FLARE potential"

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers."""
        return self.density.species

    @property
    def cutoff(self) -> float:
        """How far an atom sees, Å."""
        return self.density.cutoff

    @cached_property
    def terms(self) -> tuple[QuadraticTerm, ...]:
        """One of each species."""
        return tuple(QuadraticTerm(centre, self.density) for centre in range(len(self.species)))

    def energy(
        self,
        owns: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """See `Form`."""
        features = self.terms[0].features(displacements, slots)
        parts = [
            term.energy(own, features, central_species)
            for term, own in zip(self.terms, owns, strict=True)
        ]
        return jnp.sum(jnp.stack(parts), axis=0)

    def chosen(self, candidates: Candidates, radii: Array, seed: int) -> list[Any]:
        """See `Form`."""
        del radii
        factors = self._factors()
        owns = []
        for features in candidates.inputs(self.terms, [{}] * len(self.terms)):
            # No atom of a species was seen: one point that says nothing, until one is.
            scaled = features * factors if len(features) else np.ones((1, len(factors)))
            n = len(factors) if self.n_features is None else min(self.n_features, len(factors))
            columns = np.arange(len(factors))
            if n < len(factors):
                columns = selected_columns(scaled, n, self.selection, seed)
            size = np.mean(np.sum(scaled[:, columns] ** 2, axis=1))
            own = {
                "columns": columns,
                "factors": factors[columns],
                "softness": np.float64(self.softness**2 * size),
            }
            spectrum, _ = _normalised(own, scaled / factors)
            picked = selected_rows(spectrum, self.inducing_points, self.selection, seed)
            owns.append({**own, "points": spectrum[picked]})
        return owns

    def weighted(self, owns: Sequence[Any], weights: Sequence[Array]) -> list[Any]:
        """See `Form`: B of each term."""
        mapped = []
        for own, part in zip(owns, weights, strict=True):
            points = np.asarray(own["points"])
            mapped.append({**own, "matrix": points.T @ (part[:, None] * points)})
        return mapped

    def _factors(self) -> Array:
        # Each product of two different channels stands for two components of the spectrum.
        n_channels = len(self.species) * self.density.power_spectrum_radial
        left, right = np.triu_indices(n_channels)
        each = np.where(left == right, 1.0, np.sqrt(2.0))
        return np.tile(each, self.density.power_spectrum_degree + 1)
