"""A reference asked bead by bead: every bead a label, none paid for twice, failures named."""

import threading
from pathlib import Path

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError, ReferenceFailure
from hyperatom.evaluation import Evaluation
from hyperatom.references.bead_reference import BeadReference
from hyperatom.references.bead_screen import BeadScreen
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference
from hyperatom.ring_polymer import RingPolymer


class Springs:
    """A spring between two atoms; no answer beyond 3 Å; counts and, if told so, waits for two."""

    identity = "springs"

    def __init__(self, together: int = 1) -> None:
        self.calls = 0
        self.barrier = threading.Barrier(together)

    def evaluate(self, configuration: Configuration) -> Evaluation:
        self.calls += 1
        self.barrier.wait(timeout=20.0)
        vector = configuration.positions[0] - configuration.positions[1]
        if np.linalg.norm(vector) > 3.0:
            raise ReferenceFailure("Too far apart.", "Come closer.")
        stress = np.arange(6) * float(vector[0])
        return Evaluation(
            0.5 * float(vector @ vector), np.stack([-vector, vector]), stress, origin="s"
        )

    def close(self) -> None:
        self.closed = True


def ring(n_beads: int = 4) -> RingPolymer:
    rng = np.random.default_rng(1)
    pair = Configuration([1, 1], np.zeros((2, 3)), 9.0 * np.eye(3), [True] * 3, [1.0, 2.0])
    return RingPolymer.of_beads(pair, rng.uniform(-1.0, 1.0, (n_beads, 2, 3)))


def test_a_ring_is_the_sum_of_its_beads() -> None:
    beads = BeadReference(Springs())
    found = beads.evaluate(ring())
    alone = [Springs().evaluate(bead) for bead in ring().beads()]
    assert found.energy == pytest.approx(sum(one.energy for one in alone), abs=1e-14)
    np.testing.assert_array_equal(found.forces, np.concatenate([one.forces for one in alone]))
    np.testing.assert_allclose(found.stress, sum(one.stress for one in alone), atol=1e-14)
    plain = ring().centroid()
    assert beads.evaluate(plain).energy == Springs().evaluate(plain).energy
    beads.close()


def test_beads_are_asked_for_at_the_same_time_with_the_same_answer() -> None:
    # Each call waits until another one has come, too.
    beads = BeadReference(Springs(together=2), workers=2)
    alone = BeadReference(Springs())
    assert beads.evaluate(ring()).energy == alone.evaluate(ring()).energy
    beads.close()


def test_every_bead_is_a_label_and_is_paid_for_once(tmp_path: Path) -> None:
    engine = Springs()
    with LabelStore(tmp_path / "labels.db") as store:
        beads = BeadReference(StoredReference(engine, store))
        first = beads.evaluate(ring())
        assert (engine.calls, store.count()) == (4, 4)
        again = beads.evaluate(ring())
        assert (engine.calls, again.energy) == (4, first.energy)
        positions = ring().bead_positions.copy()
        positions[2, 0] += 0.1
        beads.evaluate(RingPolymer.of_beads(ring().centroid(), positions))
        assert (engine.calls, store.count()) == (5, 5)


def test_a_bead_without_an_answer_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    positions = ring().bead_positions.copy()
    positions[1, 0, 0] += 9.0
    far = RingPolymer.of_beads(ring().centroid(), positions)
    with LabelStore(tmp_path / "labels.db") as store:
        beads = BeadReference(StoredReference(Springs(), store))
        for _ in range(2):
            with pytest.raises(ReferenceFailure, match="Bead 2 of 4: Too far apart"):
                beads.evaluate(far)
        assert (store.count(), store.count_failures()) == (3, 1)


def test_a_screen_asks_about_some_beads_and_tells_the_energy_of_its_forces() -> None:
    engine, guide = Springs(), BeadReference(Springs())
    screen = BeadScreen(engine, guide, every=2)
    assert screen.evaluate(ring()).energy == pytest.approx(guide.evaluate(ring()).energy)
    assert engine.calls == 2

    class Stiff(Springs):
        def evaluate(self, configuration: Configuration) -> Evaluation:
            found = super().evaluate(configuration)
            return Evaluation(1.5 * found.energy + 2.0, 1.5 * found.forces)

    screen = BeadScreen(Stiff(), guide, every=2)
    forces, h = screen.evaluate(ring()).forces, 1e-5
    for atom in range(8):
        energies = []
        for sign in (1.0, -1.0):
            positions = ring().positions.copy()
            positions[atom, 1] += sign * h
            energies.append(screen.evaluate(ring().with_positions(positions)).energy)
        assert (energies[1] - energies[0]) / (2 * h) == pytest.approx(forces[atom, 1], abs=1e-8)
    with pytest.raises(InputError, match="Every bead number 3 of 4"):
        BeadScreen(engine, guide, every=3).evaluate(ring())


def test_a_ring_keeps_its_beads_and_knows_that_it_is_one() -> None:
    one = ring()
    moved = one.with_positions(one.positions + 1.0)
    assert isinstance(moved, RingPolymer)
    assert (moved.n_beads, moved.n_copies, moved.atoms_per_bead, moved.n_atoms) == (4, 4, 2, 8)
    stacked = Configuration(one.numbers, one.positions, one.cell, one.periodic, one.masses)
    assert one.digest() != stacked.digest()
    single = RingPolymer.collapsed(one.centroid(), 1)
    assert single.digest() == one.centroid().digest()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_beads": 0}, "0 beads"),
        ({"n_beads": 3}, "8 atoms cannot be divided into 3 equal beads"),
        ({"numbers": [1, 1, 1, 1, 1, 1, 1, 8]}, "differ in their atoms"),
        ({"masses": [1.0, 2.0] * 3 + [1.0, 3.0]}, "differ in their atoms"),
        ({"masses": [1.0, -2.0] * 4}, "mass -2.0 amu"),
        ({"masses": [0.0, 2.0] * 4}, "mass 0.0 amu"),
        ({"masses": [np.nan, 2.0] * 4}, "differ in their atoms|mass nan"),
    ],
)
def test_impossible_rings_are_refused_in_words(change: dict[str, object], words: str) -> None:
    one = ring()
    fields = {
        name: getattr(one, name)
        for name in ("numbers", "positions", "cell", "periodic", "masses", "n_beads")
    }
    with pytest.raises(InputError, match=words):
        RingPolymer(**(fields | change))


def test_no_workers_are_refused() -> None:
    with pytest.raises(InputError, match="0 workers"):
        BeadReference(Springs(), workers=0)
    with pytest.raises(InputError, match="0 beads"):
        RingPolymer.collapsed(ring().centroid(), 0)
