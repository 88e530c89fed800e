"""How long neighbour lists hold, against all pairs counted anew; lists taken out of wide ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from hyperatom.dynamics.allowances import allowances_of, knows_all_pairs
from hyperatom.dynamics.compiled_dynamics import at_rest
from hyperatom.errors import InputError
from hyperatom.geometry.narrow_neighbours import narrow
from hyperatom.geometry.neighbour_lists import NeighbourLists
from hyperatom.geometry.wide_neighbours import packed

TRICLINIC = np.array([[5.0, 0.0, 0.0], [3.5, 4.0, 0.0], [-2.0, 2.5, 4.5]])
CELLS = {
    "triclinic": (TRICLINIC, (True, True, True)),
    "thin": (np.diag([2.1, 9.0, 3.0]), (True, True, True)),
    "slab": (np.array([[5.0, 0.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 0.0]]), (True, True, False)),
    "isolated": (np.zeros((3, 3)), (False, False, False)),
}
CUTOFF, SKIN, MARGIN = 3.0, 0.4, 1.5


def pairs_of_ase(positions, cell, periodic, cutoff):
    atoms = Atoms(positions=positions, cell=cell, pbc=periodic)
    return neighbor_list("ijSD", atoms, cutoff, self_interaction=False)


def rows_in_order(index, vectors):
    rows = np.column_stack([*index, vectors])
    return rows[np.lexsort(np.round(rows, 6).T)]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("strain", [0.0, 0.02])
def test_a_list_out_of_a_wide_one_holds_the_pairs_within_the_sum_of_two_radii(name, strain):
    cell, periodic = CELLS[name]
    rng = np.random.default_rng(3)
    species = rng.integers(0, 2, 7)
    far_out = rng.integers(-40, 40, (7, 3)) * np.array(periodic)
    start = rng.uniform(-1.0, 5.0, (7, 3)) + far_out @ cell
    lists = NeighbourLists(cell, np.array(periodic), species, 2, CUTOFF, SKIN, margin=MARGIN)
    wide = lists.make_wide(start)
    # Atoms follow the cell and move a little besides; every atom has a radius of its own.
    deformation = np.eye(3) + strain * rng.uniform(-1.0, 1.0, (3, 3))
    moved = start @ deformation + rng.uniform(-0.2, 0.2, start.shape)
    radii = 0.5 * CUTOFF + rng.uniform(0.0, 0.4, 7)
    new_cell = cell @ deformation
    i, j, _, vectors = pairs_of_ase(moved, new_cell, periodic, 2.0 * radii.max())
    near = np.linalg.norm(vectors, axis=1) < radii[i] + radii[j]
    counts = np.zeros((7, 2), int)
    np.add.at(counts, (i[near], species[j[near]]), 1)
    with jax.enable_x64(True):
        slots = tuple(8 * (n // 8 + 1) for n in counts.max(axis=0).tolist())
        found, needed = jax.jit(narrow, static_argnums=3)(
            wide, jnp.asarray(moved), jnp.asarray(radii), slots,
            deformation=jnp.asarray(deformation),
        )  # fmt: skip
    assert np.asarray(needed).tolist() == counts.max(axis=0).tolist()
    index, reverse = np.asarray(found.index), np.asarray(found.reverse)
    shift = np.moveaxis(np.asarray(found.shift), 0, 2) @ deformation
    ours = moved[index] + shift - moved[:, None]
    real = np.linalg.norm(ours, axis=2) < radii[:, None] + radii[index]
    np.testing.assert_allclose(
        rows_in_order((np.nonzero(real)[0], index[real]), ours[real]),
        rows_in_order((i[near], j[near]), vectors[near]),
        atol=1e-9,
    )
    # Slots without a neighbour lie beyond the cutoff, hold the atom itself and lead back to it.
    assert (np.linalg.norm(ours[~real], axis=1) > CUTOFF).all()
    assert (index[~real] == np.nonzero(~real)[0]).all()
    assert (reverse[~real] == np.flatnonzero(~real)).all()
    np.testing.assert_allclose(ours.reshape(-1, 3)[reverse[real]], -ours[real], atol=1e-9)
    assert np.array_equal(species[index[real]], np.repeat([0, 1], slots)[np.nonzero(real)[1]])


@pytest.mark.parametrize("seed", range(8))
def test_a_list_that_is_called_complete_misses_no_pair(seed):
    # Atoms pushed towards each other by just what is allowed; the cell shrinks besides.
    rng = np.random.default_rng(seed)
    cell, periodic = 6.0 * np.eye(3), np.ones(3, dtype=bool)
    start = rng.uniform(0.0, 6.0, (20, 3))
    allowances = rng.uniform(0.02, 0.6, 20)
    i, j, lattice, vectors = pairs_of_ase(start, cell, periodic, CUTOFF + 2.0)
    known = np.linalg.norm(vectors, axis=1) < CUTOFF + allowances[i] + allowances[j]
    listed = set(zip(i[known], j[known], map(tuple, lattice[known]), strict=True))
    said_complete = 0
    for shrink in (0.0, 0.04):
        new_cell = cell * (1.0 - shrink)
        for fraction in np.linspace(0.1, 1.5, 29):
            away = rng.normal(size=start.shape)
            away /= np.linalg.norm(away, axis=1)[:, None]
            # The closest of the pairs that are not listed go straight for each other.
            missing = np.argsort(np.where(known, np.inf, np.linalg.norm(vectors, axis=1)))[:10]
            for pair in missing[::-1]:
                direction = vectors[pair] / np.linalg.norm(vectors[pair])
                away[i[pair]], away[j[pair]] = direction, -direction
            moved = start * (1.0 - shrink) + fraction * allowances[:, None] * away
            with jax.enable_x64(True):
                there = at_rest(jnp.asarray(moved), jnp.zeros((20, 3)), jnp.asarray(new_cell))
                origin = jnp.asarray(start), jnp.asarray(cell), jnp.asarray(allowances)
                complete = bool(
                    knows_all_pairs(there, origin, jnp.asarray(CUTOFF), jnp.zeros(()), shrink > 0.0)
                )
            near = pairs_of_ase(moved, new_cell, periodic, CUTOFF)
            seen = set(zip(near[0], near[1], map(tuple, near[2]), strict=True))
            if complete:
                said_complete += 1
                assert seen <= listed
            elif shrink == 0.0:
                assert fraction > 1.0 - 1e-9
    assert said_complete >= 18


def test_allowances_go_by_what_atoms_are_about_to_move():
    masses = np.array([1.0, 4.0, 16.0, 16.0])
    momenta = np.array([[0.3, 0.0, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, 0.2], [0.0, 0.0, 0.0]])
    forces = np.array([[0.0, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, -0.1], [0.0, 0.0, 0.0]])

    def asked(momenta, forces, skin=SKIN, margin=MARGIN):
        motion = at_rest(np.zeros((4, 3)), momenta, np.eye(3))._replace(forces=forces)
        with jax.enable_x64(True):
            inverse = jnp.asarray(1.0 / masses[:, None])
            skin, margin = jnp.asarray(skin), jnp.asarray(margin)
            return np.asarray(allowances_of(motion, inverse, skin, margin))

    allowed = asked(momenta, forces)
    assert allowed.mean() == pytest.approx(SKIN / 2.0, rel=1e-12)
    assert allowed[0] > allowed[1] > allowed[2] > allowed[3] == pytest.approx(0.2 * SKIN / 2.0)
    # Nothing moves yet: all the same. Something has run away: never more than a wide list knows.
    np.testing.assert_allclose(asked(0.0 * momenta, 0.0 * forces), SKIN / 2.0)
    for broken in (np.nan, np.inf):
        worst = asked(np.full((4, 3), broken), forces)
        assert (worst <= SKIN / 2.0 + MARGIN / 4.0).all()
    lonely = np.array([[1e6, 0.0, 0.0]] + 3 * [[1e-3, 0.0, 0.0]])
    assert asked(lonely, forces)[0] == pytest.approx(
        SKIN / 2.0 + min(MARGIN / 4.0, 0.8 * SKIN * 1.5)
    )


def test_one_isolated_atom_has_an_empty_list():
    lists = NeighbourLists(np.zeros((3, 3)), np.zeros(3, bool), np.zeros(1, int), 2, CUTOFF, SKIN)
    assert lists.make(np.zeros((1, 3))).slots == (0, 0)
    with jax.enable_x64(True):
        wide, radii = lists.make_wide(np.zeros((1, 3))), jnp.full(1, 2.0)
        found, needed = jax.jit(narrow, static_argnums=3)(wide, jnp.zeros((1, 3)), radii, (0, 0))
    assert np.asarray(needed).tolist() == [0, 0]
    assert found.index.shape == (1, 0)


def test_a_cell_too_short_for_a_packed_translation_is_refused():
    assert packed(np.array([[511, -511, 0]], dtype=np.int32)).dtype == np.int32
    with pytest.raises(InputError, match="512 lattice vectors"):
        packed(np.array([[0, 512, 0]], dtype=np.int32))
