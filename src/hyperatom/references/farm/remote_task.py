"""What an executor of another library runs on its workers: text in, text out, engines kept warm."""

import atexit
import json
import threading
from typing import Any

from hyperatom.errors import InputError
from hyperatom.references.ase_calculator import AseReference, EngineEvaluation
from hyperatom.references.engine_process import EngineFailure
from hyperatom.references.farm.task import outcome_text, task_from_text

_engines: dict[str, AseReference] = {}
_lock = threading.Lock()


def compute(text: str) -> str:
    """One attempt at a label: a task as text, its outcome as text, or `{"refusal": ...}`.

    The engine lives in a guarded process of its own beside this one, and goes on to the next task.
    """
    task, description, identity = task_from_text(text)
    try:
        engine = _engine(description)
    except InputError as problem:
        return json.dumps({"refusal": problem.problem, "cure": problem.cure})
    if engine.identity != identity:
        return json.dumps(
            {
                "refusal": f"A worker has another engine than the run: {engine.identity}, not "
                f"{identity}.",
                "cure": "Install the same version on the workers as where the run was started.",
            }
        )
    outcome: EngineEvaluation | EngineFailure
    try:
        outcome = engine.attempt(task.configuration, tightened=task.tightened)
    except EngineFailure as failure:
        outcome = failure
    return outcome_text(task.key, task.configuration, identity, outcome)


def _engine(description: dict[str, Any]) -> AseReference:
    known = json.dumps(description, sort_keys=True)
    with _lock:
        if known not in _engines:
            engine = _engines[known] = AseReference(**description)
            atexit.register(engine.close)
        return _engines[known]
