"""One atom per site at the least total cost; only atoms in conflict are put to the solver."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def assign(candidates: Integers, costs: Array, nowhere: float) -> Integers:
    """Which of its candidates each atom gets, -1 for none.

    Where the cheapest candidates of all atoms differ, they are the optimum. Atoms that compete are
    connected through the sites they share; each connected set that holds a conflict is solved
    exactly (Crouse 2016, as in SciPy), the others are left alone.

    | argument     | shape  | meaning                                                        |
    |--------------|--------|----------------------------------------------------------------|
    | `candidates` | (n, k) | numbers of sites, -1 where there is none                       |
    | `costs`      | (n, k) | infinite where there is none                                   |
    | `nowhere`    | -      | cost of being on no site; dearer candidates are not considered |
    """
    n_atoms = len(candidates)
    rows = np.arange(n_atoms)
    usable = (candidates >= 0) & (costs < nowhere)
    priced = np.where(usable, costs, np.inf)
    if not n_atoms or not candidates.shape[1]:
        return np.full(n_atoms, -1, dtype=np.int64)
    choice = priced.argmin(axis=1)
    choice = np.where(usable[rows, choice], choice, -1)
    wanted = np.where(choice >= 0, candidates[rows, choice], -1)
    named, counts = np.unique(wanted[wanted >= 0], return_counts=True)
    contested = named[counts > 1]
    if len(contested):
        for members in _connected(candidates, usable, np.isin(wanted, contested)):
            choice[members] = _solve(candidates[members], priced[members], nowhere)
    return np.asarray(choice)


def _connected(
    candidates: Integers, usable: NDArray[np.bool_], conflicting: NDArray[np.bool_]
) -> list[Integers]:
    """Sets of atoms that share candidates, directly or through others, and hold a conflict."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    atom, slot = np.nonzero(usable)
    sites, column = np.unique(candidates[atom, slot], return_inverse=True)
    n_atoms, size = len(candidates), len(candidates) + len(sites)
    links = coo_matrix((np.ones(len(atom)), (atom, n_atoms + column)), shape=(size, size))
    labels = connected_components(links, directed=False)[1][:n_atoms]
    return [np.flatnonzero(labels == label) for label in np.unique(labels[conflicting])]


def _solve(candidates: Integers, costs: Array, nowhere: float) -> Integers:
    from scipy.optimize import linear_sum_assignment

    n_atoms = len(candidates)
    atom, slot = np.nonzero(np.isfinite(costs))
    sites, column = np.unique(candidates[atom, slot], return_inverse=True)
    never = 1e6 * (nowhere + 1.0)
    table = np.full((n_atoms, len(sites) + n_atoms), never)
    table[np.arange(n_atoms), len(sites) + np.arange(n_atoms)] = nowhere
    # The same site through two periodic images: only the cheaper one can be meant.
    np.minimum.at(table, (atom, column), costs[atom, slot])
    chosen = linear_sum_assignment(table)[1]
    choice = np.full(n_atoms, -1, dtype=np.int64)
    for a, c in enumerate(chosen):
        if c < len(sites):
            same = np.flatnonzero(candidates[a] == sites[c])
            choice[a] = same[costs[a, same].argmin()]
    return choice
