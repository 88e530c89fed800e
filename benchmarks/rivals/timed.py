"""Runs a program with everything that it starts, and ends all of it when the time is over."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def ended_in_time(command: Sequence[Any], folder: Path, seconds: float) -> bool:
    """Did it end by itself? Raises `CalledProcessError` where it failed."""
    process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
    if status:
        raise subprocess.CalledProcessError(status, command)
    return True
