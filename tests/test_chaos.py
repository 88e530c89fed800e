"""Engines that fail in every way, workers and the run killed -9: nothing lost, nothing changed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from chaos import Lives, Reckoning, Workers, environment
from hyperatom.references.label_store import LabelStore

SCRIPT = Path(__file__).parent / "chaotic_chain.py"


@pytest.mark.parametrize(("steps", "walkers", "kills"), [(4, 2, 1), (12, 3, 2)])
def test_a_chaotic_run_is_the_calm_one(steps, walkers, kills, tmp_path):
    calm, chaotic = tmp_path / "calm", tmp_path / "chaotic"
    for folder in (calm, chaotic):
        folder.mkdir()
    size = [str(steps), str(walkers)]
    subprocess.run(
        [sys.executable, SCRIPT, calm, "local", *size],
        env=environment(tmp_path / "calm.tally", 0.0),
        check=True,
    )
    tally, queue = tmp_path / "chaotic.tally", tmp_path / "queue"
    around, rng = environment(tally, 0.2), np.random.default_rng(5)
    command = [sys.executable, str(SCRIPT), str(chaotic), str(queue), *size]
    lives = Lives(command, chaotic / "labels.db", around, tally)
    with Workers(queue, walkers, 4.0, rng, around) as workers:
        while not lives.live(labels=3 * (lives.kills + 1) if lives.kills < kills else np.inf):
            pass
    found = Reckoning.of(tally, chaotic / "labels.db")
    assert lives.kills == kills
    chains = [json.loads((folder / "chains.json").read_text()) for folder in (calm, chaotic)]
    assert chains[0] == chains[1]
    assert 0.0 < np.mean([accepted for one in chains[0] for _, _, accepted in one]) < 1.0
    assert lives.lost == 0
    assert found.repeated == 0
    with LabelStore(chaotic / "labels.db") as store:
        store.check()
        assert store.count_failures() == 0
        # Who was killed while nobody wanted its label any more (speculation) is not missed.
        needed = {
            label.configuration.digest()
            for label in store
            if not label.provenance.endswith("ahead")
        }
        mishaps = sum(digest in needed for digest in found.unlucky)
        noted = store.count_attempts()
        assert sum(noted.values()) >= mishaps, (noted, found)
        for label in store:
            assert label.attempts <= len(list(store.attempts(label.key))) + 1
    if walkers * steps > 30:  # in a short run nothing at all may happen by chance
        assert workers.kills >= 1
        assert mishaps > 0
