"""Crystals whose clusters are those of quasicrystals: approximants of nature's own making."""

from collections.abc import Callable
from typing import Any, Final

_TRANSITION_METAL: Final = [
    (0.0855, 0.0, 0.3823),
    (0.4019, 0.0, 0.6228),
    (0.0908, 0.0, 0.9885),
    (0.4028, 0.0, 0.9863),
    (0.3201, 0.2933, 0.2779),
]
_ALUMINIUM: Final = [
    (0.0670, 0.0, 0.1738),
    (0.3213, 0.0, 0.2812),
    (0.2381, 0.0, 0.5339),
    (0.0734, 0.0, 0.5801),
    (0.2415, 0.0, 0.9614),
    (0.4786, 0.0, 0.8297),
    (0.3060, 0.0, 0.7729),
    (0.0862, 0.0, 0.7888),
    (0.5, 0.0, 0.5),
    (0.0, 0.2495, 0.0),
    (0.1859, 0.2172, 0.1112),
    (0.3673, 0.2116, 0.1101),
    (0.1772, 0.2211, 0.3343),
    (0.4920, 0.2328, 0.3296),
    (0.3636, 0.2198, 0.4781),
]


_TSAI: Final = {
    "tetrahedron": [
        (0.0, 0.0918, 0.0662),
        (0.0916, 0.0, -0.0815),
    ],
    "dodecahedron": [
        (0.206, 0.0, 0.0815),
        (0.0, 0.0972, -0.2307),
        (0.0947, 0.233, -0.0087),
        (0.0, 0.0925, 0.2497),
        (0.1591, 0.1632, 0.1648),
        (0.1691, 0.157, -0.162),
        (0.2716, 0.0, -0.0997),
    ],
    "icosahedron": [
        (0.0, 0.2959, 0.1797),
        (0.1888, 0.0, -0.3005),
        (0.3029, 0.1855, 0.0007),
        (0.1858, 0.0, 0.3055),
        (0.0, 0.3043, -0.1893),
    ],
    "icosidodecahedron": [
        (0.0, 0.0, -0.3932),
        (0.3341, 0.105, 0.193),
        (0.0, 0.4012, 0.0),
        (0.404, 0.0, 0.0238),
        (0.1975, 0.3396, 0.1074),
        (0.1225, 0.2037, -0.3371),
        (0.2006, 0.3419, -0.122),
        (0.0, 0.0, 0.4157),
        (0.1149, 0.1999, 0.3484),
        (0.3477, 0.1274, -0.2122),
    ],
    "triacontahedron": [
        (0.0, 0.3403, -0.3965),
        (0.0, 0.1856, -0.4925),
        (0.1558, 0.0946, -0.4959),
        (0.5, 0.1538, -0.0879),
        (0.095, 0.5, -0.1534),
        (0.093, 0.5, 0.1557),
        (0.5, 0.0, -0.1823),
        (0.1859, 0.5, 0.0),
        (0.5, 0.0, 0.192),
    ],
}
"""Shells of a Tsai cluster about the origin, as fractions of the cell."""


def al13fe4() -> Any:
    """Al13Fe4, C2/m, mC102: pentagonal channels, a relative of decagonal phases.

    Cell: Grin, Burkhardt, Ellner, Peters, Z. Kristallogr. 209, 479 (1994). Positions:
    Crystallography Open Database 1571554.
    """
    return _mc102("Fe", [15.492, 8.078, 12.471, 90.0, 107.69, 90.0])


def al13ru4() -> Any:
    """Al13Ru4, C2/m, mC102, in the cell of Edshammar, Acta Chem. Scand. 19, 2124 (1965).

    Positions are those of Al13Fe4 (Crystallography Open Database 1571554): relax before use.
    """
    return _mc102("Ru", [15.862, 8.188, 12.736, 90.0, 107.77, 90.0])


def _mc102(metal: str, cell: list[float]) -> Any:
    from ase.spacegroup import crystal

    symbols = [metal] * len(_TRANSITION_METAL) + ["Al"] * len(_ALUMINIUM)
    return crystal(symbols, _TRANSITION_METAL + _ALUMINIUM, spacegroup=12, cellpar=cell)


def al12w() -> Any:
    """Al12W, Im-3, cI26: icosahedra of aluminium around tungsten on a body-centred lattice.

    Adam and Rich, Acta Cryst. 7, 813 (1954).
    """
    from ase.spacegroup import crystal

    sites = [(0.0, 0.0, 0.0), (0.0, 0.184, 0.309)]
    return crystal(["W", "Al"], sites, spacegroup=204, cellpar=[7.58] * 3 + [90.0] * 3)


def bergman_mg_zn_al() -> Any:
    """Mg32(Al,Zn)49, Im-3, cI162: Bergman clusters, the 1/1 approximant of i-Mg-Zn-Al.

    Bergman, Waugh, Pauling, Acta Cryst. 10, 254 (1957). The centre is aluminium; the sites that Al
    and Zn share are all zinc here.
    """
    from ase.spacegroup import crystal

    sites = {
        "Al": [(0.0, 0.0, 0.0)],
        "Zn": [(0.0, 0.0908, 0.1501), (0.0, 0.1748, 0.3007), (0.1680, 0.1860, 0.4031)],
        "Mg": [
            (0.1836, 0.1836, 0.1836),
            (0.0, 0.2942, 0.1194),
            (0.4002, 0.0, 0.5),
            (0.1797, 0.0, 0.5),
        ],
    }
    symbols = [symbol for symbol, places in sites.items() for _ in places]
    places = [place for group in sites.values() for place in group]
    return crystal(symbols, places, spacegroup=204, cellpar=[14.16] * 3 + [90.0] * 3)


def tsai_yb_cd() -> Any:
    """YbCd6, cI168: Tsai clusters, the 1/1 approximant of i-Yb-Cd, its tetrahedra ordered: Imm2.

    Cell: Gomez and Lidin, Phys. Rev. B 68, 024203 (2003). In the crystal (Im-3) the tetrahedra are
    disordered over six orientations; here all have one. The positions are a model, no refinement:
    ideal polyhedra, relaxed in that cell by CHGNet 0.3.0 to 0.02 eV/Å.
    """
    from ase.spacegroup import crystal

    symbols = ["Yb" if name == "icosahedron" else "Cd" for name in _TSAI for _ in _TSAI[name]]
    places = [place for shell in _TSAI.values() for place in shell]
    return crystal(symbols, places, spacegroup=44, cellpar=[15.638] * 3 + [90.0] * 3)


def beta_manganese() -> Any:
    """Beta-manganese, P4_132, cP20: tetrahedrally close-packed, a relative of icosahedral phases.

    Shoemaker, Shoemaker, Hopkins, Yindepit, Acta Cryst. B 34, 3573 (1978).
    """
    from ase.spacegroup import crystal

    sites = [(0.06361, 0.06361, 0.06361), (0.125, 0.20224, 0.45224)]
    return crystal(["Mn", "Mn"], sites, spacegroup=213, cellpar=[6.315] * 3 + [90.0] * 3)


def gamma_brass() -> Any:
    """Gamma-brass Cu5Zn8, I-43m, cI52: clusters of 26 atoms on a body-centred lattice.

    Brandon, Brizard, Chieh, McMillan, Pearson, Acta Cryst. B 30, 1412 (1974).
    """
    from ase.spacegroup import crystal

    sites = [
        (0.32774, 0.32774, 0.32774),
        (0.35579, 0.0, 0.0),
        (0.10781, 0.10781, 0.10781),
        (0.31156, 0.31156, 0.03674),
    ]
    return crystal(
        ["Cu", "Cu", "Zn", "Zn"], sites, spacegroup=217, cellpar=[8.8664] * 3 + [90.0] * 3
    )


def mg_cu2() -> Any:
    """MgCu2, Fd-3m, cF24: the cubic Laves phase (Friauf 1927)."""
    from ase.spacegroup import crystal

    sites = [(0.125, 0.125, 0.125), (0.5, 0.5, 0.5)]
    return crystal(["Mg", "Cu"], sites, spacegroup=227, setting=2, cellpar=[7.034] * 3 + [90.0] * 3)


def mg_zn2() -> Any:
    """MgZn2, P6_3/mmc, hP12: the hexagonal Laves phase; Komura, Tokunaga, Acta Cryst. B (1980)."""
    from ase.spacegroup import crystal

    sites = [(1.0 / 3.0, 2.0 / 3.0, 0.063), (0.0, 0.0, 0.0), (0.8305, 0.661, 0.25)]
    return crystal(
        ["Mg", "Zn", "Zn"], sites, spacegroup=194, cellpar=[5.221, 5.221, 8.567, 90.0, 90.0, 120.0]
    )


PERIODIC_RELATIVES: Final[dict[str, Callable[[], Any]]] = {
    "Al13Ru4": al13ru4,
    "Al13Fe4": al13fe4,
    "Al12W": al12w,
    "Bergman-MgZnAl": bergman_mg_zn_al,
    "Tsai-YbCd": tsai_yb_cd,
    "beta-manganese": beta_manganese,
    "gamma-brass": gamma_brass,
    "MgCu2": mg_cu2,
    "MgZn2": mg_zn2,
}
