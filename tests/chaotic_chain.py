"""A few Metropolis chains over a label farm, started again and again by tests/test_chaos.py.

python chaotic_chain.py FOLDER QUEUE|local STEPS WALKERS
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.contracts import Proposed
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.farm.file_queue import FileQueue
from hyperatom.references.farm.label_farm import LabelFarm
from hyperatom.references.farm.local_processes import LocalProcesses
from hyperatom.references.farm.queue_farm import QueueFarm, run_name
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference
from hyperatom.sampling.canonical import Canonical
from hyperatom.sampling.metropolis import ChainState, metropolis
from hyperatom.sampling.prefetch import Prefetch


class Jump:
    """A random displacement."""

    def propose(self, configuration, rng):
        moved = configuration.positions + 0.3 * rng.normal(size=configuration.positions.shape)
        return Proposed(configuration.with_positions(moved), 0.0)


def chain(reference, walker, n_steps):
    """Digest, energy and decision of each step."""
    ensemble = Canonical(3000.0)
    start = Configuration([1, 8], np.full((2, 3), 0.1 * walker), np.eye(3), [False] * 3, [1, 16])
    state, steps = ChainState(start, reference.evaluate(start)), []
    ahead = Prefetch(
        Jump(), reference, lambda number: np.random.default_rng([walker, number]), 1, n_steps
    )
    for number in range(1, n_steps + 1):
        proposed, rng, _ = ahead.propose(number, state.configuration)
        state, transition = metropolis(state, proposed, reference, ensemble, rng)
        ahead.settle(transition)
        energy = state.evaluation.energy.hex()
        steps.append([state.configuration.digest(), energy, transition.accepted])
    return steps


def main():
    folder, where = Path(sys.argv[1]), sys.argv[2]
    n_steps, walkers = int(sys.argv[3]), int(sys.argv[4])
    engine = AseReference("farm_engines.Chaotic", {"seconds": 0.05}, time_out=3.0, workers=walkers)
    if where == "local":
        backend = LocalProcesses(engine, walkers)
    else:
        engine.close()
        queue = FileQueue(where)
        name = run_name(folder)
        backend = QueueFarm(queue, engine.description, engine.identity, name, silence=2.0)
    farm = LabelFarm(backend, attempts=20)
    with LabelStore(folder / "labels.db") as store, ThreadPoolExecutor(walkers) as threads:
        reference = StoredReference(farm, store)
        chains = list(threads.map(lambda one: chain(reference, one, n_steps), range(walkers)))
        reference.close()
    (folder / "chains.json").write_text(json.dumps(chains))


if __name__ == "__main__":
    main()
