"""Engines by name: found, explained, laid over with the user's keywords, and prepared once."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from hyperatom.campaign.assembly import create, engine_preset
from hyperatom.campaign.settings import load_settings
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.references.engine_catalogue import engine_presets, find_engine
from hyperatom.references.engine_preset import merged
from hyperatom.references.engines.tblite import GFN1_XTB
from hyperatom.references.k_points import fixed_mesh

SILICON = Configuration(
    numbers=[14, 14],
    positions=[[0, 0, 0], [1.36, 1.36, 1.36]],
    cell=[[0, 2.7, 2.7], [2.7, 0, 2.7], [2.7, 2.7, 0]],
    periodic=[True] * 3,
    masses=[28.0855] * 2,
)


@pytest.mark.parametrize("name", engine_presets())
def test_every_engine_says_what_it_promises(name):
    preset = engine_presets()[name]
    for promise in ("energy", "convergence", "start", "basis", "install", "citation", "doi"):
        assert getattr(preset, promise), promise
    assert preset.doi.startswith("10.")
    assert preset.missing() is None or isinstance(preset.missing(), str)


def test_an_unknown_engine_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="Did you mean 'gfn1-xtb'"):
        find_engine("gfn1xtb", {}, {})
    with pytest.raises(InputError, match="any ASE calculator"):
        find_engine("crystal23", {}, {})


def settings(**reference):
    content = {"configuration": {"crystal": "silicon"}, "temperature": 300, "reference": reference}
    return load_settings(yaml.safe_dump(content), "input.yaml")


def test_the_key_may_be_called_calculator_or_engine():
    assert settings(engine="gfn2-xtb") == settings(calculator="gfn2-xtb")
    preset = engine_preset(settings(calculator="ase:ase.calculators.emt.EMT").reference)
    assert preset.calculator == "ase:ase.calculators.emt.EMT"


def test_a_pair_of_engines_is_read_and_its_misspelt_keys_are_explained():
    pair = settings(engine="gfn2-xtb", cheap={"engine": "gfn1-xtb"}).reference
    assert (pair.calculator, pair.cheap.calculator) == ("gfn2-xtb", "gfn1-xtb")
    with pytest.raises(InputError, match="did you mean 'keywords'"):
        settings(engine="gfn2-xtb", cheap={"keyword": {}})


def test_a_pair_of_one_engine_is_refused(tmp_path):
    content = {
        "configuration": {"crystal": "silicon", "repeat": [2, 2, 2]},
        "temperature": 300,
        "reference": {"calculator": "gfn1-xtb", "cheap": {"calculator": "gfn1-xtb"}},
    }
    with pytest.raises(InputError, match="it would refuse nothing"):
        create(yaml.safe_dump(content), tmp_path / "input.yaml", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_keywords_are_laid_over_those_of_the_preset_entry_by_entry():
    preset = {"mode": {"name": "pw", "ecut": 500}, "xc": "PBE"}
    assert merged(preset, {"mode": {"ecut": 300}}) == {
        "mode": {"name": "pw", "ecut": 300},
        "xc": "PBE",
    }
    assert merged(preset, {"mode": "fd"})["mode"] == "fd"


def test_the_mesh_of_k_points_follows_the_first_cell_or_the_input():
    conventional = Configuration(
        numbers=[14], positions=[[0, 0, 0]], cell=np.eye(3) * 5.43, periodic=[True] * 3, masses=[28]
    )
    # 2 pi / 5.43 Å = 1.157 Å^-1, and 1.157 / 0.3 = 3.86.
    assert fixed_mesh(conventional, None) == (4, 4, 4)
    assert fixed_mesh(conventional, (2, 2, 1)) == (2, 2, 1)
    slab = Configuration(
        numbers=[14],
        positions=[[0, 0, 0]],
        cell=[[5.43, 0, 0], [0, 5.43, 0], [0, 0, 0]],
        periodic=[True, True, False],
        masses=[28],
    )
    assert fixed_mesh(slab, None) == (4, 4, 1)


def test_the_document_lists_every_engine():
    text = (Path(__file__).parents[1] / "docs" / "engines.md").read_text()
    for name, preset in engine_presets().items():
        assert f"`{name}`" in text
        assert preset.doi in text


def test_an_engine_with_gamma_alone_refuses_a_mesh():
    assert GFN1_XTB.prepared(SILICON, (1, 1, 1)).keywords == GFN1_XTB.keywords
    with pytest.raises(InputError, match=r"Gamma point alone.*\[2, 2, 2\]"):
        GFN1_XTB.prepared(SILICON, (2, 2, 2))
