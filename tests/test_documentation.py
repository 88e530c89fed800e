"""What the documents say is true: their Python runs, their commands and files exist."""

import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import typer.main
import yaml

from hyperatom.campaign.assembly import prepare_input, starting_configuration
from hyperatom.cli.main import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.S | re.M)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_in_the_documents_runs(
    document: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(document, "python"):
        exec(compile(block, document.name, "exec"), {})
        assert re.search(r"-?\d+\.\d+\(\d", capsys.readouterr().out), "no number with its error"


def test_the_readme_has_python_and_it_is_short() -> None:
    (block,) = blocks(ROOT / "README.md", "python")
    body = [line for line in block.splitlines() if line and "import" not in line.split()]
    assert len(body) <= 20


def commands() -> list[str]:
    """Every way in which the documents and the examples call the program."""
    found = set()
    for path in [*DOCUMENTS, *EXAMPLES, ROOT / "Makefile"]:
        text = path.read_text()
        found.update(re.findall(r"^(hyperatom .+?)(?:\s+#.*)?$", text, re.M))
        found.update(re.findall(r"`(hyperatom [^`\n]+)`", text))
        found.update(f"hyperatom {call}" for call in re.findall(r"/hyperatom ([^;\n]+)", text))
        found.update(re.findall(r"^# (hyperatom .+)$", text, re.M))
    return sorted(found)


def test_the_commands_that_are_named_exist() -> None:
    program = typer.main.get_command(app)
    named = set()
    for line in commands():
        _, name, *arguments = shlex.split(line)
        if name.startswith("-"):
            continue
        command = program.commands[name]  # type: ignore[attr-defined]
        if hasattr(command, "commands") and arguments:
            command = command.commands[arguments.pop(0)]
        known = {option for p in command.params for option in [*p.opts, *p.secondary_opts]}
        assert {a for a in arguments if a.startswith("-")} <= known | {"--help"}, line
        named.add(name)
    assert named >= {"init", "validate", "run", "resume", "status", "verify", "report", "export"}


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {
        t for path in DOCUMENTS for t in re.findall(r"(?:^|`)make (\w+)", path.read_text(), re.M)
    }
    assert {"demo", "test", "lint"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.M), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert link.startswith("https://") or (document.parent / link).exists(), link


def test_rooms_that_are_named_exist() -> None:
    package = ROOT / "src" / "hyperatom"
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for name in re.findall(r"`(?:src/hyperatom/)?([a-z_/]+(?:\.py|/))`", text):
        assert list(package.rglob(name.rstrip("/"))), name


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid(example: Path) -> None:
    settings, _ = prepare_input(example.read_text(), example)
    assert starting_configuration(settings, example.parent).n_atoms in (2, 3, 8, 9, 14, 72)
    assert settings.temperature in (300.0, 600.0, 1500.0)


def test_inputs_in_the_tutorial_are_valid() -> None:
    inputs = blocks(ROOT / "docs" / "tutorial.md", "yaml")
    assert len(inputs) == 2
    for text in inputs:
        prepare_input(text, ROOT / "docs" / "input.yaml")
        assert yaml.safe_load(text)


def test_the_table_of_accuracy_is_that_of_the_benchmark() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        accuracy = importlib.import_module("accuracy")
    finally:
        sys.path.pop(0)
    kept = json.loads((ROOT / "benchmarks/results/accuracy.json").read_text())
    _, shown, _ = (ROOT / "docs/accuracy.md").read_text().split(accuracy.MARK)
    assert shown == accuracy.markdown(kept["details"]["scores"])
