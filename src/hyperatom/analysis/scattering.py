"""What X-rays and neutrons see: scattering lengths, form factors, and the sums over species.

With concentrations c_a, amplitudes w_a (neutron scattering lengths b_a, X-ray form factors f_a(q))
and the Ashcroft-Langreth partials S_ab, the coherent intensity of an atom is

    I(q) = sum_ab sqrt(c_a c_b) w_a w_b S_ab(q).

| convention        | partials                                       | total                |
|-------------------|------------------------------------------------|----------------------|
| faber-ziman       | A_ab = 1 + (S_ab - delta_ab)/sqrt(c_a c_b)     | 1 + (I - <w^2>)/<w>^2|
| ashcroft-langreth | S_ab = <rho_a rho_b*>/sqrt(N_a N_b)            | I/<w^2>              |
| bhatia-thornton   | of N = sum rho and C = c_b rho_a - c_a rho_b   | as Faber-Ziman       |

T. E. Faber and J. M. Ziman, Phil. Mag. 11, 153 (1965); N. W. Ashcroft and D. C. Langreth, Phys.
Rev. 156, 685 (1967); A. B. Bhatia and D. E. Thornton, Phys. Rev. B 2, 3004 (1970). Tables:
coherent neutron scattering lengths and Cromer-Mann/Waasmaier-Kirfel form factors of the package
periodictable.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any, Final, Literal

import numpy as np

from hyperatom.analysis.statistics import Array
from hyperatom.errors import InputError

Convention = Literal["faber-ziman", "ashcroft-langreth", "bhatia-thornton"]
Radiation = Literal["x-ray", "neutron"]
CONVENTIONS: Final = ("faber-ziman", "ashcroft-langreth", "bhatia-thornton")


def neutron_lengths(symbols: Sequence[str]) -> Array:
    """Bound coherent scattering lengths b of the natural elements, (n,), fm.

    `D` is deuterium. Raises `InputError` where an element has none in the table.
    """
    import periodictable

    found = []
    for symbol in symbols:
        element = getattr(periodictable, symbol, None)
        length = None if element is None or element.neutron is None else element.neutron.b_c
        if length is None:
            raise InputError(
                f"There is no neutron scattering length for {symbol}.", "Ask for X-rays instead."
            )
        found.append(float(length))
    return np.array(found)


def form_factors(symbols: Sequence[str], q: Array) -> Array:
    """X-ray form factors f(q) of neutral atoms, (n, n_points), electrons; `q` in 1/Å.

    Raises `InputError` where an element has none in the table.
    """
    from periodictable import elements

    found = []
    for symbol in symbols:
        xray: Any = elements.symbol(symbol).xray
        factor = xray.f0(np.asarray(q, dtype=np.float64))
        if factor is None or not np.isfinite(factor).all():
            raise InputError(
                f"There is no X-ray form factor for {symbol} up to {np.max(q):.3g} 1/Å.",
                "Choose a smaller q_max, or ask for neutrons instead.",
            )
        found.append(np.asarray(factor, dtype=np.float64))
    return np.stack(found)


def amplitudes(radiation: Radiation, symbols: Sequence[str], q: Array) -> Array:
    """w of each species at each q, (n_species, n_points), fm or electrons."""
    if radiation == "x-ray":
        return form_factors(symbols, q)
    return np.repeat(neutron_lengths(symbols)[:, None], len(q), axis=1)


def total(convention: Convention, partials: Array, concentrations: Array, w: Array) -> Array:
    """The weighted total from Ashcroft-Langreth `partials` (n_species, n_species, ..., n_points).

    `concentrations` (n_species,) add up to one, `w` (n_species, n_points).
    """
    root = np.sqrt(concentrations)[:, None] * w
    intensity = np.einsum("ap,bp,ab...p->...p", root, root, partials)
    square = np.einsum("a,ap->p", concentrations, w**2)
    if convention == "ashcroft-langreth":
        return np.asarray(intensity / square)
    mean = np.einsum("a,ap->p", concentrations, w)
    return np.asarray(1.0 + (intensity - square) / mean**2)


def in_convention(
    convention: Convention, partials: Array, concentrations: Array, symbols: Sequence[str]
) -> Mapping[str, Array]:
    """Named partials of a convention from Ashcroft-Langreth ones, heavier species first.

    Raises `InputError` for an unknown convention, or Bhatia-Thornton without two species.
    """
    if convention not in CONVENTIONS:
        raise InputError(
            f"Unknown convention '{convention}'.", f"Choose from {', '.join(CONVENTIONS)}."
        )
    n = len(symbols)
    if convention == "bhatia-thornton":
        if n != 2:
            raise InputError(
                f"Bhatia-Thornton partials are those of two species, found {n}.",
                "Choose faber-ziman or ashcroft-langreth.",
            )
        c_a, c_b = concentrations
        aa, ab, bb = partials[0, 0], partials[0, 1], partials[1, 1]
        mixed = np.sqrt(c_a * c_b)
        return {
            "NN": c_a * aa + 2.0 * mixed * ab + c_b * bb,
            "NC": c_a * c_b * (aa - bb) + mixed * (c_b - c_a) * ab,
            "CC": c_a * c_b * (c_b * aa + c_a * bb - 2.0 * mixed * ab),
        }
    found = {}
    for a, b in combinations_with_replacement(range(n), 2):
        partial = partials[a, b]
        if convention == "faber-ziman":
            partial = 1.0 + (partial - (a == b)) / np.sqrt(concentrations[a] * concentrations[b])
        found[f"{symbols[a]}-{symbols[b]}"] = partial
    return found
