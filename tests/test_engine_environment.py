"""Engines in environments of their own: their libraries, our process."""

import json
import shutil
import venv
from pathlib import Path

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.engine_catalogue import engine_presets


def environment(folder, *paths):
    """A virtual environment that sees these folders; its interpreter."""
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "other.pth").write_text("\n".join(map(str, paths)))
    return str(folder / "bin" / "python")


def test_an_engine_may_live_in_another_environment(tmp_path, monkeypatch):
    """Whose libraries it then uses; hyperatom itself need not be installed there."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "elsewhere.py").write_text(
        "import sys\nfrom ase.calculators.emt import EMT\n"
        "def make(): return EMT()\ndef engine_version(): return sys.prefix\n"
    )
    installed = Path(np.__file__).parents[1]
    python = environment(tmp_path / "env", installed, tmp_path)
    copper = Configuration([29] * 2, [[0, 0, 0], [0, 0, 2.5]], np.eye(3), [False] * 3, [63.5] * 2)
    with AseReference("ase.calculators.emt.EMT") as here:
        expected = here.evaluate(copper).energy
    with AseReference("elsewhere.make", python=python) as there:
        assert there.evaluate(copper).energy == expected
        assert json.loads(there.identity)["version"] == str(tmp_path / "env")
        assert "bin/python" not in there.identity
        with AseReference(**there.description) as again:
            assert again.identity == there.identity


def test_an_environment_that_cannot_run_engines_is_explained(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    python = environment(tmp_path / "env")
    for given, words in (
        (python, "lacks ase and numpy"),
        (str(tmp_path / "nowhere"), "no Python called"),
        (shutil.which("false"), "does not run Python"),
    ):
        with pytest.raises(InputError, match=words):
            AseReference("ase.calculators.emt.EMT", python=given)
    assert engine_presets()["pyqmc"].missing(python) == "the Python package pyqmc and pyscf"
