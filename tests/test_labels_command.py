"""`hyperatom labels`: what references have said, counted, shown, copied, released."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hyperatom.cli.main import app
from hyperatom.errors import InputError
from hyperatom.references.label import FailedAttempt, label_key
from hyperatom.references.label_exchange import import_labels, write_labels
from hyperatom.references.label_store import LabelStore
from hyperatom.references.stored import StoredReference
from test_label_store import (
    LEFT,
    RIGHT,
    SETTINGS,
    Well,
    assert_same_bits,
    configuration_number,
    well,
)

OTHER = '{"calculator":"other","keywords":{"xc":"PBE"},"version":"other 1.2"}'


def labels(*arguments):
    result = CliRunner().invoke(app, ["labels", *map(str, arguments)])
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def run(tmp_path):
    """A run whose labels have cells of their own, noise, and all circumstances."""
    folder = tmp_path / "run"
    folder.mkdir()
    with LabelStore(folder / "labels.db") as store:
        for number in range(6):
            configuration = configuration_number(number)
            identity = SETTINGS if number < 4 else OTHER
            store.add(
                configuration,
                replace(well(configuration), energy_error=None if number % 2 else 0.1 / 3),
                identity,
                attempts=1 + number,
                provenance=f"walker {number}",
                host="node7",
                notes={"scf_cycles": 10 + number, "warnings": ["close to the edge"]},
            )
        store.add_failure(LEFT, "It does not converge.", "Mix.", OTHER, attempts=3)
        key = label_key(LEFT, OTHER)
        for attempt in (1, 2, 3):
            store.add_attempt(FailedAttempt(key, attempt, "exception", "It does not converge."))
    return folder


def bits(path):
    with LabelStore(path) as store:
        return {
            label.key: (
                label.configuration.digest(),
                np.asarray(label.configuration.masses).tobytes(),
                label.evaluation.energy.hex(),
                label.evaluation.forces.tobytes(),
                None if label.evaluation.stress is None else label.evaluation.stress.tobytes(),
                label.evaluation.energy_error,
            )
            for label in store
        }


def circumstances(path):
    with LabelStore(path) as store:
        return [
            (label.identity, label.host, label.date, label.attempts, label.provenance, label.notes)
            for label in store
        ]


def test_count_and_list(run):
    said = labels("count", run).output
    assert "other (other 1.2)" in said
    assert '{"xc": "PBE"}' in said
    assert "exception 3" in said
    lines = labels("list", run, "--json", "--last", "2").output.splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["provenance"] for one in found] == ["walker 4", "walker 5"]
    assert found[0]["notes"]["scf_cycles"] == 14
    assert found[0]["host"] == "node7"
    assert found[0]["energy_error_eV"] == 0.1 / 3
    assert len(labels("list", run, "--engine", "well", "--json").output.splitlines()) == 4
    table = labels("list", run).output
    assert "O2Si" in table
    assert "node7" in table


def test_failures_and_quarantine(run):
    assert labels("failures", run).output.count("It does not converge.") == 3
    key = label_key(LEFT, OTHER)
    assert key[:12] in labels("quarantine", run).output
    refused = labels("quarantine", run, "--release", "zzz")
    assert refused.exit_code == 2
    assert "Released 1" in labels("quarantine", run, "--release", key[:8]).output
    assert "None" in labels("quarantine", run).output


@pytest.mark.parametrize("name", ["labels.xyz", "labels.db"])
def test_files_of_other_programs_keep_every_bit(run, tmp_path, name):
    file = tmp_path / "exported" / name
    file.parent.mkdir()
    assert "Wrote 6 labels" in labels("export", run, file).output
    target = tmp_path / "target"
    target.mkdir()
    with LabelStore(target / "labels.db") as store:
        # Extended XYZ carries keys, not settings: the target knows those of one engine.
        store.add(configuration_number(20), well(configuration_number(20)), SETTINGS)
    said = labels("import", file, target).output
    found, whole = bits(target / "labels.db"), bits(run / "labels.db")
    if name.endswith(".db"):
        assert "6 labels are new, 0 were known" in said
        assert whole.items() <= found.items()
        assert circumstances(target / "labels.db")[1:] == circumstances(run / "labels.db")
    else:
        assert "4 labels are new, 0 were known" in said
        assert "2 were left out" in said
        assert len(found) == 5
        assert {key: found[key] for key in found if key in whole} == {
            key: whole[key] for key in whole if key in found
        }
    assert "0 labels are new" in labels("import", file, target).output


def test_another_run_s_labels_are_copied_with_all_that_is_known_of_them(run, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    LabelStore(target / "labels.db").close()
    assert "6 labels are new" in labels("import", run, target).output
    assert bits(target / "labels.db") == bits(run / "labels.db")
    assert circumstances(target / "labels.db") == circumstances(run / "labels.db")


def test_labels_without_a_key_are_taken_on_somebody_s_word_alone(run, tmp_path):
    import ase.io
    from ase.calculators.singlepoint import SinglePointCalculator

    from hyperatom.interchange.ase_atoms import to_ase

    foreign = configuration_number(30)
    atoms = to_ase(foreign)
    atoms.calc = SinglePointCalculator(
        atoms, energy=well(foreign).energy, forces=well(foreign).forces
    )
    ase.io.write(tmp_path / "foreign.xyz", [atoms], format="extxyz")
    assert "1 were left out" in labels("import", tmp_path / "foreign.xyz", run).output
    said = labels("import", tmp_path / "foreign.xyz", run, "--like", "PBE").output
    assert "1 labels are new" in said
    assert labels("import", tmp_path / "foreign.xyz", run, "--like", "calc").exit_code == 2


def test_files_without_labels_are_refused(run, tmp_path):
    for name, content in (
        ("a.xyz", "2\n\nH 0 0 0\nH 0 0 1\n"),
        ("b.xyz", "nonsense"),
        ("c.db", ""),
    ):
        (tmp_path / name).write_text(content)
        result = labels("import", tmp_path / name, run)
        if name != "c.db":  # an empty database holds no labels, and says so
            assert result.exit_code == 2, (name, result.output)
    assert labels("count", tmp_path / "nowhere").exit_code == 2
    assert labels("import", tmp_path / "nowhere.xyz", run).exit_code == 2
    with LabelStore(run / "labels.db") as store, pytest.raises(InputError, match="left alone"):
        write_labels(store.labels(), _existing(tmp_path / "there.db"))
    with LabelStore(run / "labels.db") as store:
        assert import_labels(run / "labels.db", store).new == 0


def _existing(path: Path) -> Path:
    path.touch()
    return path


def test_labels_of_another_run_are_not_paid_for_again(run, tmp_path):
    mine = Well()
    with LabelStore(run / "labels.db") as other, LabelStore(tmp_path / "own.db") as store:
        reference = StoredReference(mine, store, others=[other])
        assert_same_bits(reference.evaluate(RIGHT), replace(well(RIGHT), energy_error=0.1 / 3))
        assert (mine.calls, reference.counts.hits) == (0, 1)
        (label,) = store
        assert label.provenance == f"from {run / 'labels.db'}: walker 0"
        assert (label.host, label.notes["scf_cycles"]) == ("node7", 10)
        # Other settings make another label.
        StoredReference(Well("another engine"), store, others=[other]).evaluate(RIGHT)
        assert len(store) == 2
