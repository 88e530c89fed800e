"""A guide that knows the labels of another run from the start."""

import shutil
from itertools import pairwise

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from hyperatom.campaign.assembly import create, opened
from hyperatom.campaign.monitor import Unwatched
from hyperatom.cli.main import app
from hyperatom.errors import InputError
from hyperatom.references.label_store import LabelStore
from small_guide import SMALL_GUIDE

INPUT = {
    "configuration": {"crystal": "aluminium"},
    "temperature": 300,
    "reference": {"calculator": "ase:ase.calculators.emt.EMT"},
    "guide": SMALL_GUIDE,
    "sampling": {"time_step": 5, "length": 100, "segments": 1},
    "learn": {"calls": 40, "window": 8, "acceptance": 0.8, "probation": 2},
    "produce": {"proposals": 3, "guide_samples": 0},
}


def hotter(colder):
    return INPUT | {"temperature": 450, "learn": INPUT["learn"] | {"labels": [str(colder)]}}


def made(content, path):
    create(yaml.safe_dump(content), path.parent / "input.yaml", path)
    return path


def run(path):
    """Steps and what is known of the freeze, of a run that is brought to its end."""
    with opened(path, Unwatched()) as campaign:
        campaign.run()
        return campaign.chain.steps(), campaign.frozen()


@pytest.fixture(scope="module")
def colder(tmp_path_factory):
    path = made(INPUT, tmp_path_factory.mktemp("colder") / "run")
    run(path)
    return path


def test_it_begins_with_what_the_other_run_knew(colder, tmp_path):
    taught = made(hotter(colder), tmp_path / "taught")
    steps, frozen = run(taught)
    alone, frozen_alone = run(made(hotter(colder) | {"learn": INPUT["learn"]}, tmp_path / "alone"))
    with LabelStore(colder / "labels.db") as store:
        given = len(store)
    with LabelStore(taught / "labels.db") as store:
        # What was given is the guide's, and was not paid for here: no label of this run.
        own = len(store)
    asked_before = sum(step.asked for step in steps if step.number <= frozen["number"])
    assert frozen["labels"] + frozen["forgotten"] == given + asked_before
    assert own == sum(step.asked for step in steps)
    assert frozen_alone["labels"] < frozen["labels"]
    # It errs less from the first proposal on.
    of_taught, of_alone = (
        sum(
            abs(step.wrong(before.state_energy))
            for before, step in pairwise(some)
            if step.phase == "learn"
        )
        for some in (steps, alone)
    )
    assert of_taught < 0.5 * of_alone


def test_it_goes_on_bit_for_bit_without_the_other_run(colder, tmp_path):
    other = shutil.copytree(colder, tmp_path / "other")
    paths = [made(hotter(other), tmp_path / name) for name in ("one", "two")]
    shutil.rmtree(other)
    whole, frozen = run(paths[0])

    class Stopped(Exception):
        pass

    class Impatient(Unwatched):
        def step(self, step, seconds):
            super().step(step, seconds)
            if step.number in (2, 9):
                raise Stopped

    for _ in range(2):
        with pytest.raises(Stopped), opened(paths[1], Impatient()) as campaign:
            campaign.run()
    again, frozen_again = run(paths[1])
    assert frozen_again["guide"] == frozen["guide"]
    for one, two in zip(whole, again, strict=True):
        assert (one.state_energy, one.accepted, one.guide) == (
            two.state_energy,
            two.accepted,
            two.guide,
        )
    assert np.isfinite([step.state_energy for step in whole]).all()


def test_what_it_learns_from_and_cannot_is_said(colder, tmp_path):
    stiff = INPUT["reference"] | {"keywords": {"asap_cutoff": True}}
    with pytest.raises(InputError, match=r"cannot learn from .*, not of .*asap_cutoff"):
        made(hotter(colder) | {"reference": stiff}, tmp_path / "engine")
    larger = {"crystal": "aluminium", "repeat": [2, 1, 1]}
    with pytest.raises(InputError, match="its labels are of other atoms"):
        made(hotter(colder) | {"configuration": larger}, tmp_path / "larger")
    source = tmp_path / "input.yaml"
    source.write_text(yaml.safe_dump(hotter(colder)))
    said = CliRunner().invoke(app, ["validate", str(source)])
    with LabelStore(colder / "labels.db") as store:
        assert f"guide          knows {len(store)} labels from the start" in said.stdout
    source.write_text(yaml.safe_dump(hotter("nowhere")))
    said = CliRunner().invoke(app, ["validate", str(source)])
    assert said.exit_code == 2
    assert "There is no label store" in said.stderr
    assert not (tmp_path / "engine").exists()
    assert not (tmp_path / "larger").exists()
