"""The same campaign with each engine: one line of the input changes."""

import json

import pytest
from ase import Atoms
from ase.io import write
from typer.testing import CliRunner

from hyperatom.campaign.chain_store import ChainStore
from hyperatom.cli.main import app
from hyperatom.references.engine_catalogue import engine_presets
from hyperatom.references.label_store import LabelStore

INPUT = """
configuration: {{file: hydrogen.xyz}}
temperature: 300
reference:
  calculator: {engine}
  k_points: [1, 1, 1]
guide: {{cutoff: 2.5, radial_functions: 4, power_channels: 2, power_degree: 1,
        bispectrum_channels: 0, bispectrum_degree: 0}}
sampling: {{time_step: 0.5, length: 10, segments: 1}}
learn: {{calls: 5, window: 5, probation: 1}}
produce: {{proposals: 3, guide_samples: 0}}
"""


OTHERS = ("espresso", "gpaw", "abinit", "cp2k", "pyscf")


@pytest.mark.parametrize(
    "engine", ["tblite", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_one_line_changes_the_engine(engine, tmp_path):
    preset = engine_presets()[engine]
    if lacking := preset.missing():
        pytest.skip(f"the engine {engine} lacks {lacking}: {preset.install}")
    hydrogen = Atoms("H2", positions=[[0, 0, 0], [0.1, 0.2, 0.72]], cell=[3.5] * 3, pbc=True)
    write(tmp_path / "hydrogen.xyz", hydrogen, format="extxyz")
    (tmp_path / "input.yaml").write_text(INPUT.format(engine=engine))
    done = CliRunner().invoke(
        app, ["run", str(tmp_path / "input.yaml"), "-d", str(tmp_path / "run"), "--no-report"]
    )
    assert done.exit_code == 0, done.output
    with LabelStore(tmp_path / "run" / "labels.db") as store:
        labels = list(store.labels())
        assert store.count_failures() == 0
    assert {json.loads(label.identity)["calculator"] for label in labels} == {preset.calculator}
    assert all(label.evaluation.stress is not None for label in labels)
    chain = ChainStore(tmp_path / "run" / "chain.db")
    try:
        produced = [step for step in chain.steps() if step.phase == "produce"]
    finally:
        chain.close()
    assert len(produced) == 3
    assert all(step.proposed_energy is not None for step in produced)
