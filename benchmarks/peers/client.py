"""Our side of a peer: a session whose work is done in the peer's process."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from peers.build import FOLDER, interpreter


class PeerUnavailableError(Exception):
    """The peer is not installed here, or failed."""


class PeerSession:
    """A `Session` in the environment of the peer, on one core; close it at the end."""

    def __init__(self, name: str, data: Path, atoms: Any, folder: Path = FOLDER) -> None:
        python = interpreter(name, folder)
        if not python.is_file():
            raise PeerUnavailableError(
                f"not installed (python benchmarks/peers/build.py {name} makes it)"
            )
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
        self._process = subprocess.Popen(
            [python, Path(__file__).with_name("serve.py"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **threads},
        )
        self._ask(
            {
                "open": {
                    "data": str(data.resolve()),
                    "numbers": atoms.numbers.tolist(),
                    "positions": atoms.positions.tolist(),
                    "cell": atoms.cell.tolist(),
                    "periodic": atoms.pbc.tolist(),
                }
            }
        )

    def evaluate(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        energy, forces = self._ask({"evaluate": positions.tolist()})
        return energy, np.array(forces)

    def run(self, positions: np.ndarray, momenta: np.ndarray, n_steps: int) -> float:
        seconds: float = self._ask({"run": [positions.tolist(), momenta.tolist(), n_steps]})
        return seconds

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerUnavailableError("its process died without an answer")
        reply = json.loads(line)
        if "failure" in reply:
            raise PeerUnavailableError(reply["failure"].strip().splitlines()[-1])
        return reply["answer"]
