"""Checkpoints of training: a header in JSON and arrays, in one `.npz` without pickle."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from hyperatom.errors import InputError

FORMAT = "hyperatom training checkpoint 1"


def digest_of(words: str, arrays: Sequence[Any]) -> str:
    """SHA-256 of words and arrays, as hex."""
    content = hashlib.sha256(words.encode())
    for array in arrays:
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


def write_checkpoint(path: Path, header: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write atomically: what is there is the old checkpoint or the new one, whole."""
    part = path.with_suffix(".part")
    text = json.dumps({"format": FORMAT, **header})
    with part.open("wb") as file:
        np.savez(
            file,
            header=np.array(text),
            allow_pickle=False,
            **{name: np.asarray(array) for name, array in arrays.items()},
        )
    part.replace(path)


def read_checkpoint(path: Path, digest: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and arrays of a checkpoint.

    Raises `InputError` where the file is damaged, or of another training than that of `digest`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            arrays = {name: np.array(file[name]) for name in file.files if name != "header"}
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as problem:
        raise InputError(
            f"{path} is not a readable checkpoint ({type(problem).__name__}).",
            "Delete it to train from the beginning.",
        ) from problem
    if header.get("format") != FORMAT or header.get("digest") != digest:
        raise InputError(
            f"{path} is a checkpoint of another training: other labels, settings or start.",
            "Delete it, or name another file, to train from the beginning.",
        )
    return header, arrays
