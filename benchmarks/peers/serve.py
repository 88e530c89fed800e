"""The peer's side: a process in the peer's environment that answers requests, a JSON line each.

    python benchmarks/peers/serve.py <name>

Requests are {"open": {...}}, {"evaluate": positions}, {"run": [positions, momenta, n_steps]}; what
the peer prints goes to the standard error, so that the answers are alone.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def answer(peer: Any, sessions: list[Any], request: dict[str, Any]) -> Any:
    """The answer to one request; `sessions` holds the open one."""
    if "open" in request:
        from ase import Atoms

        opened = request["open"]
        atoms = Atoms(
            opened["numbers"], opened["positions"], cell=opened["cell"], pbc=opened["periodic"]
        )
        sessions[:] = [peer.theirs(Path(opened["data"]), atoms)]
        return "open"
    if "evaluate" in request:
        energy, forces = sessions[0].evaluate(np.array(request["evaluate"]))
        return energy, forces.tolist()
    positions, momenta, n_steps = request["run"]
    return sessions[0].run(np.array(positions), np.array(momenta), n_steps)


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer = importlib.import_module(f"peers.{sys.argv[1]}")
    sessions: list[Any] = []
    for line in sys.stdin:
        try:
            reply = {"answer": answer(peer, sessions, json.loads(line))}
        except Exception:
            reply = {"failure": traceback.format_exc()}
        print(json.dumps(reply), file=answers, flush=True)


main()
