"""The command line: a small run end to end, and every bad input in plain words."""

import fcntl
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from rich.console import Console
from typer.testing import CliRunner, Result

from hyperatom.campaign.chain_store import ChainStore, Seconds, Step
from hyperatom.campaign.progress import Progress
from hyperatom.campaign.schedule import Schedule
from hyperatom.campaign.settings import Settings, load_settings
from hyperatom.cli.display import LiveDisplay, PlainDisplay, duration
from hyperatom.cli.main import app
from hyperatom.potentials.family_catalogue import settings_schema
from small_guide import SMALL_GUIDE

TESTS = Path(__file__).parent
PROGRAM = [sys.executable, "-c", "from hyperatom.cli.main import run; run()"]
ENGINE = "ase:unreliable_engine.Engine"
INPUT: dict[str, Any] = {
    "configuration": {"crystal": "aluminium"},
    "temperature": 300,
    "reference": {"calculator": ENGINE, "time_out": 30},
    "guide": SMALL_GUIDE,
    "sampling": {"time_step": 5, "length": 100, "segments": 1},
    "learn": {"calls": 12, "window": 10, "probation": 2},
    "produce": {"proposals": 40, "guide_samples": 80},
    "seed": 1,
}


@pytest.fixture(autouse=True, scope="module")
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))
        # The programs that the tests start share what was compiled before.
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield


def hyperatom(*arguments: object) -> Result:
    """Run a command within this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def changed(**sections: Any) -> dict[str, Any]:
    """The input with some keys of some sections changed."""
    content = json.loads(json.dumps(INPUT))
    for name, value in sections.items():
        content[name] = {**content[name], **value} if isinstance(value, dict) else value
    return content


def write(folder: Path, content: object, name: str = "input.yaml") -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


def refused(result: Result, *words: str, code: int = 2) -> str:
    """The message of a command that must fail plainly, without a traceback."""
    message = " ".join(result.stderr.split())
    assert result.exit_code == code, message
    assert "Traceback" not in result.output
    for word in words:
        assert word in message
    return message


def steps_of(directory: Path) -> list[Step]:
    chain = ChainStore(directory / "chain.db")
    try:
        return chain.steps()
    finally:
        chain.close()


# -- a run from end to end --------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that went well."""
    folder = tmp_path_factory.mktemp("finished")
    result = hyperatom("run", write(folder, INPUT), "--directory", folder / "run")
    assert result.exit_code == 0, result.output
    assert "learning" in result.stdout
    assert "producing" in result.stdout
    assert f"Next: hyperatom verify {folder / 'run'}" in result.stdout
    return folder / "run"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be mistreated."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_run_writes_a_report(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "Al<sub>4</sub>" in page
    before = (finished / "report.html").stat().st_ino
    result = hyperatom("report", finished)
    assert result.exit_code == 0
    assert str(finished / "report.html") in result.stdout
    assert "Beside other runs" not in page
    assert hyperatom("report", finished, "--beside", finished).exit_code == 0
    assert "Beside other runs" in (finished / "report.html").read_text()
    assert (finished / "report.html").stat().st_ino != before


def test_verify_speaks_plainly_and_answers_with_its_exit_code(finished: Path) -> None:
    result = hyperatom("verify", finished, "--labels", 1)
    assert result.exit_code == (1 if "FAILED" in result.stdout else 3), result.output
    assert re.search(r"^passed +decisions: All 52 decisions follow", result.stdout, re.MULTILINE)
    told = hyperatom("verify", finished, "--labels", 1, "--json")
    certificate = json.loads(told.stdout)
    assert told.exit_code == {True: 0, False: 1, None: 3}[certificate["passed"]]
    assert {check["name"] for check in certificate["checks"]} >= {"decisions", "labels", "paths"}


def test_verify_fails_for_a_forged_chain(copied: Path) -> None:
    with sqlite3.connect(copied / "chain.db") as chain:
        ((content,),) = chain.execute("SELECT content FROM steps WHERE number = 30").fetchall()
        step = json.loads(content)
        step["accepted"] = not step["accepted"]
        chain.execute("UPDATE steps SET content = ? WHERE number = 30", (json.dumps(step),))
    result = hyperatom("verify", copied, "--labels", 0)
    assert result.exit_code == 1, result.output
    assert re.search(r"^FAILED +decisions: .*step 30", result.stdout, re.MULTILINE)


def test_status_of_a_finished_run(finished: Path) -> None:
    result = hyperatom("status", finished)
    assert result.exit_code == 0
    for words in ("finished", "made, at most", "over 40 proposals", "meV/atom", "independent"):
        assert words in result.stdout


def test_export_writes_what_ase_reads(finished: Path, tmp_path: Path) -> None:
    from ase.io import read

    assert hyperatom("export", finished, "-o", tmp_path / "all.xyz").exit_code == 0
    labels: Any = read(tmp_path / "all.xyz", index=":", format="extxyz")
    steps = steps_of(finished)
    assert len(labels) == len({step.proposed_label for step in steps if step.asked})
    assert hyperatom("export", finished, "chain", "-o", tmp_path / "chain.xyz").exit_code == 0
    chain: Any = read(tmp_path / "chain.xyz", index=":", format="extxyz")
    energies = [frame.get_potential_energy() for frame in chain]
    assert energies == [step.state_energy for step in steps if step.phase == "produce"]


def test_resume_of_a_finished_run_changes_nothing(copied: Path) -> None:
    before = steps_of(copied)
    result = hyperatom("resume", copied, "--no-report")
    assert result.exit_code == 0, result.output
    assert steps_of(copied) == before


# -- stopping and going on --------------------------------------------------------------------


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def engines_of(directory: Path) -> list[str]:
    """Processes that were started with the run's counter file in their environment."""
    mark = f"HYPERATOM_TEST_COUNTER={directory}.counter".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(process.name)
        except OSError:
            continue
    return found


def start(file: Path, directory: Path, delay: float) -> "subprocess.Popen[str]":
    environment = {
        **os.environ,
        "HYPERATOM_TEST_DELAY": str(delay),
        "HYPERATOM_TEST_COUNTER": f"{directory}.counter",
    }
    return subprocess.Popen(
        [*PROGRAM, "run", str(file), "--directory", str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def stop(process: "subprocess.Popen[str]", number: signal.Signals, directory: Path) -> None:
    """Stop a run that waits for its engine: quickly, plainly, with no process left behind."""
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20.0)
    assert process.returncode == 130, stderr
    assert stderr.split() == (
        f"Stopped. Nothing is lost; go on with 'hyperatom resume {directory}'.".split()
    )
    wait_for(lambda: not engines_of(directory), 10.0)


def test_ctrl_c_and_resume_make_the_chain_of_an_uninterrupted_run(
    finished: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    process = start(write(tmp_path, INPUT), directory, delay=0.5)
    try:
        wait_for(lambda: (directory / "chain.db").exists() and len(steps_of(directory)) >= 4)
        seen = hyperatom("status", directory)
        assert "at work now" in seen.stdout
        refused(hyperatom("resume", directory), "Another process is working")
        stop(process, signal.SIGINT, directory)
    finally:
        process.kill()
    so_far = steps_of(directory)
    assert 4 <= len(so_far) < 20
    assert "hyperatom resume" in hyperatom("status", directory).stdout
    assert hyperatom("resume", directory, "--no-report").exit_code == 0
    assert steps_of(directory)[: len(so_far)] == so_far
    assert steps_of(directory) == steps_of(finished)


def test_sigterm_frees_a_run_whose_engine_hangs(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    engine = {"keywords": {"tricks": {"all": "hangs"}}, "time_out": 600}
    process = start(write(tmp_path, changed(reference=engine)), directory, delay=0.0)
    try:
        wait_for(lambda: Path(f"{directory}.counter").exists())
        assert len(engines_of(directory)) >= 2
        stop(process, signal.SIGTERM, directory)
    finally:
        process.kill()


def test_ctrl_c_before_anything_was_started(tmp_path: Path, monkeypatch: Any) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hyperatom.campaign.assembly.create", interrupted)
    result = hyperatom("run", write(tmp_path, INPUT), "-d", tmp_path / "run")
    assert refused(result, code=130) == "Stopped. Nothing had been started."


# -- engines ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ({"calculator": "castep"}, ("'castep' is not an engine", "gfn1-xtb")),
        ({"calculator": "ase:nowhere.Engine"}, ("nowhere", "install")),
        ({"calculator": "ase:unreliable_engine.Engin"}, ("Engin",)),
        ({"calculator": "ase:unreliable_engine.refuses"}, ("no pseudopotential found",)),
    ],
)
def test_an_engine_that_cannot_start_is_refused_before_anything_is_made(
    reference: dict[str, str], words: tuple[str, ...], tmp_path: Path
) -> None:
    file = write(tmp_path, changed(reference=reference))
    refused(hyperatom("validate", file), *words)
    refused(hyperatom("run", file, "-d", tmp_path / "run"), *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("trick", "words"),
    [
        ("raises", "SCF not converged [bold]"),
        ("not_a_number", "not finite"),
        ("crashes", "crashed"),
        ("hangs", "no answer within 1 s"),
    ],
)
def test_an_engine_that_fails_from_the_start(trick: str, words: str, tmp_path: Path) -> None:
    engine = {"keywords": {"tricks": {"all": trick}}, "time_out": 1}
    result = hyperatom("run", write(tmp_path, changed(reference=engine)), "-d", tmp_path / "run")
    refused(result, "no answer for the starting configuration", words)


def test_validate_asks_the_engine_once_where_wanted(tmp_path: Path) -> None:
    file = write(tmp_path, changed(reference={"keywords": {"tricks": {"all": "prints_garbage"}}}))
    result = hyperatom("validate", file, "--call")
    assert result.exit_code == 0, result.output
    assert "4 atoms" in result.stdout
    assert "at most 52 reference calls: 12 to learn, 40 to produce; one takes" in result.stdout
    file = write(tmp_path, changed(reference={"keywords": {"tricks": {"all": "raises"}}}))
    refused(hyperatom("validate", file, "--call"), "SCF not converged")


def test_an_engine_that_fails_now_and_then_costs_rejections_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERATOM_TEST_COUNTER", str(tmp_path / "counter"))
    tricks = {3: "raises", 5: "not_a_number", 7: "hangs", 9: "crashes", 15: "raises",
              2: "prints_garbage", 11: "prints_garbage"}  # fmt: skip
    content = changed(
        reference={"keywords": {"tricks": {str(n): t for n, t in tricks.items()}}, "time_out": 3},
        produce={"proposals": 5},
    )
    content["farm"] = {"attempts": 1}
    result = hyperatom("run", write(tmp_path, content), "-d", tmp_path / "run", "--no-report")
    assert result.exit_code == 0, result.output
    steps = steps_of(tmp_path / "run")
    failures = [step.failure for step in steps if step.failure]
    assert len(failures) == 5
    assert all(not step.accepted for step in steps if step.failure)
    assert re.search(r"failed calls +5\b", hyperatom("status", tmp_path / "run").stdout)


# -- configurations ---------------------------------------------------------------------------

CELL = '2\nLattice="{cell}" Properties=species:S:1:pos:R:3 pbc="T T T"\n{atoms}\n'
CUBE = "4 0 0 0 4 0 0 0 4"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CELL.format(cell=CUBE, atoms="Qq 0 0 0\nAl 2 2 2"), ("ASE cannot read", "Qq")),
        (CELL.format(cell=CUBE, atoms="X 0 0 0\nAl 2 2 2"), ("no chemical element",)),
        (CELL.format(cell="4 0 0 8 0 0 0 0 4", atoms="Al 0 0 0\nAl 2 2 2"), ("zero volume",)),
        (CELL.format(cell=CUBE, atoms="Al 0 0 0\nAl 0 0 4.1"), ("on top of each other",)),
        (CELL.format(cell=CUBE, atoms="Al 0 0 0\nAl nan 2 2"), ("not finite",)),
        ("1\n\nAl 0 0 0\n", ("single atom",)),
        ("", ("ASE cannot read",)),
        ("garbage\n\x00\x01", ("ASE cannot read",)),
    ],
)
def test_a_configuration_that_cannot_be_simulated(
    content: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "atoms.xyz").write_text(content)
    file = write(tmp_path, {**INPUT, "configuration": {"file": "atoms.xyz"}})
    refused(hyperatom("validate", file), *words)


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    file = write(tmp_path, {**INPUT, "configuration": {"file": "nowhere.cif"}})
    refused(hyperatom("validate", file), "nowhere.cif does not exist")
    file = write(tmp_path, {**INPUT, "configuration": {"crystal": "alpha-quarz"}})
    refused(hyperatom("validate", file), "Did you mean 'alpha-quartz'?")


def test_a_configuration_file_is_found_beside_the_input(tmp_path: Path) -> None:
    (tmp_path / "atoms.xyz").write_text(CELL.format(cell=CUBE, atoms="Al 0 0 0\nAl 2 2 2"))
    content = {**INPUT, "configuration": {"file": "atoms.xyz", "repeat": [2, 1, 1]}}
    result = hyperatom("validate", write(tmp_path, content))
    assert result.exit_code == 0, result.output
    assert "4 atoms" in result.stdout


# -- input files ------------------------------------------------------------------------------


def test_init_writes_a_template_once(tmp_path: Path) -> None:
    file = tmp_path / "quartz.yaml"
    assert hyperatom("init", file).exit_code == 0
    load_settings(file.read_text(), "template")
    file.write_text("mine")
    refused(hyperatom("init", file), "exists already")
    assert file.read_text() == "mine"
    refused(hyperatom("init", tmp_path / "no" / "where.yaml"), "does not exist")


@pytest.mark.parametrize("command", ["validate", "run"])
def test_an_input_that_is_none(command: str, tmp_path: Path) -> None:
    refused(hyperatom(command, tmp_path / "nowhere.yaml"), "no input file", "hyperatom init")
    refused(hyperatom(command, tmp_path), "cannot be read")
    (tmp_path / "binary").write_bytes(bytes(range(128, 256)))
    refused(hyperatom(command, tmp_path / "binary"), "not a text file")
    file = write(tmp_path, {**INPUT, "temprature": 300})  # codespell:ignore
    refused(hyperatom(command, file), "did you mean 'temperature'? All keys")
    # A guide that is none for these atoms is refused before anything is paid for.
    other = {"neighbours": ["Au"], "eta": 1.0}
    guide = {"kind": "behler_parrinello", "descriptors": "symmetry_functions"}
    file = write(tmp_path, {**INPUT, "guide": {**guide, "symmetry_functions": [other]}})
    refused(hyperatom(command, file), "List every species of the symmetry functions")


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    asked = [sys.executable, "-m", "hyperatom", "--version"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith("hyperatom ")


def test_schema_is_the_settings_schema() -> None:
    assert json.loads(hyperatom("schema").stdout) == settings_schema(Settings)


# -- run directories --------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["resume", "status", "report", "verify", "export"])
def test_a_run_directory_that_is_none(command: str, tmp_path: Path) -> None:
    refused(hyperatom(command, tmp_path / "nowhere"), "no run directory")
    refused(hyperatom(command, tmp_path), "not a run directory, or was left half made")
    write(tmp_path, INPUT)
    refused(hyperatom(command, tmp_path), "left half made")
    assert not (tmp_path / "log.txt").exists()


def test_a_run_directory_that_is_taken(finished: Path, tmp_path: Path) -> None:
    before = sorted(file.name for file in finished.iterdir())
    same = hyperatom("run", write(tmp_path, INPUT), "-d", finished)
    refused(same, "belongs to a run of this very input", "hyperatom resume")
    other = hyperatom("run", write(tmp_path, changed(temperature=400)), "-d", finished)
    refused(other, "belongs to a run of another input", "--directory")
    write(tmp_path, "mine", "mine.txt")
    foreign = hyperatom("run", write(tmp_path, INPUT), "-d", tmp_path)
    refused(foreign, "exists", "--directory")
    assert sorted(file.name for file in finished.iterdir()) == before


def test_a_run_of_another_version_or_with_a_changed_input(copied: Path) -> None:
    header = json.loads((copied / "header.json").read_text())
    (copied / "header.json").write_text(json.dumps({**header, "format": 99}))
    refused(hyperatom("resume", copied), "format 99", "version of hyperatom that wrote it")
    (copied / "header.json").write_text(json.dumps(header))
    (copied / "input.yaml").write_text(yaml.safe_dump(changed(temperature=400)))
    refused(hyperatom("resume", copied), "was changed after the run began")


@pytest.mark.parametrize("name", ["header.json", "chain.db", "labels.db"])
def test_a_damaged_file_is_named(name: str, copied: Path) -> None:
    for file in copied.glob(f"{name}-*"):
        file.unlink()
    (copied / name).write_bytes(b"damaged" * 1000)
    refused(hyperatom("resume", copied), name)


def test_a_locked_run_can_be_watched_but_not_resumed(copied: Path) -> None:
    with (copied / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(hyperatom("resume", copied), "Another process is working")
        assert hyperatom("status", copied).exit_code == 0


# -- faults -----------------------------------------------------------------------------------


def test_a_fault_of_our_own_is_told_without_a_traceback(copied: Path, monkeypatch: Any) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("[bold]no tags[/bold]")

    monkeypatch.setattr("hyperatom.report.collect.collect", fault)
    result = hyperatom("report", copied)
    refused(result, "RuntimeError: [bold]no tags[/bold]", str(copied / "log.txt"), code=70)
    assert "Traceback" in (copied / "log.txt").read_text()
    monkeypatch.setattr("hyperatom.campaign.settings.template", fault)
    message = refused(hyperatom("init", copied.parent / "new.yaml"), "RuntimeError", code=70)
    kept = re.search(r"details are in (\S+);", message)
    assert kept
    assert "Traceback" in Path(kept[1]).read_text()
    Path(kept[1]).unlink()


def test_a_full_disk(copied: Path, monkeypatch: Any) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr("hyperatom.report.page.write_report", full)
    refused(hyperatom("report", copied), "No space left on device", "nothing is lost")


@pytest.mark.slow
def test_a_disk_that_fills_in_the_middle_of_a_run_loses_nothing(
    finished: Path, tmp_path: Path
) -> None:
    file, directory = write(tmp_path, INPUT), tmp_path / "run"
    limited = subprocess.run(
        ["bash", "-c", 'ulimit -f 140; exec "$@"', "bash", *PROGRAM, "run", file, "-d", directory],
        capture_output=True,
        text=True,
    )
    assert limited.returncode == 2, limited.stderr
    assert "Traceback" not in limited.stderr
    assert re.search(r"(chain|labels)\.db cannot", limited.stderr)
    so_far = steps_of(directory)
    assert 2 <= len(so_far) < 53
    assert hyperatom("resume", directory, "--no-report").exit_code == 0
    assert steps_of(directory)[: len(so_far)] == so_far
    assert steps_of(directory) == steps_of(finished)


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    file = write(tmp_path, INPUT)
    refused(hyperatom("run", file, "-d", "/proc/nowhere/run"), "cannot be written")


# -- lightness --------------------------------------------------------------------------------

HEAVY = {"jax", "matplotlib", "ase", "tblite", "scipy", "pymbar", "pydantic", "numpy", "rich"}


@pytest.mark.parametrize(
    "statement",
    [
        "import hyperatom",
        "import hyperatom.cli.main",
        "from hyperatom.cli.main import app\ntry: app(['--help'])\nexcept SystemExit: pass",
    ],
)
def test_nothing_heavy_is_loaded(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint('loaded:', *sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert not HEAVY & set(output.split("loaded:")[1].split())


def test_help_is_a_tour_of_all_commands() -> None:
    output = hyperatom("--help").stdout
    assert all(len(line) <= 80 for line in output.splitlines())
    headings = [
        output.index(f"\n{word}\n") for word in ("Start here", "While it runs", "Afterwards")
    ]
    assert headings == sorted(headings)
    commands = typer.main.get_command(app).commands
    assert len(commands) > 20
    for name, command in commands.items():
        assert re.search(rf"^  {name}  +{command.get_short_help_str(1000)[:20]}", output, re.M)
    places = [output.index(f"hyperatom {c} quartz") for c in ("init", "validate", "run", "verify")]
    assert places == sorted(places)
    assert hyperatom("--version").stdout.startswith("hyperatom ")


# -- what is shown ----------------------------------------------------------------------------


def made_up_step(number: int, phase: Any, error: float, accepted: bool = True) -> Step:
    """A step of a 10-atom configuration whose guide errs by `error` eV."""
    record = {"guide_energy_before": 5.0, "guide_energy_after": 6.0, "guide_drift": 0.0}
    return Step(
        walker=0, number=number, phase=phase, guide="g", record=record, log_ratio=0.0, veto="",
        failure="", proposed_label="k", proposed_energy=-99.0 + error, uniform=0.5,
        log_acceptance=0.0, accepted=accepted, state_label="k", state_energy=-100.0,
    )  # fmt: skip


def test_guide_error_acceptance_and_time_left_are_those_of_the_steps() -> None:
    settings = load_settings(yaml.safe_dump(INPUT), "")
    progress = Progress(settings, n_atoms=10)
    progress.take(made_up_step(0, "start", 0.0), Seconds(total=1.0))
    for number in range(1, 41):
        size = 0.02 if number <= 20 else 0.005  # eV: 2 and 0.5 meV/atom
        error = size if number % 2 else -size
        step = made_up_step(number, "learn", error, accepted=number % 4 > 0)
        progress.take(step, Seconds(guide=1.0, reference=2.0, total=3.0))
    assert progress.guide_error() == pytest.approx((0.5, 2.0))
    assert progress.acceptance() == (0.7, 10)
    assert progress.calls_made == 41
    assert (progress.spent.guide, progress.spent.reference) == (40.0, 80.0)
    assert progress.seconds_left() == pytest.approx(40 * 3.0 + 80 * 1.0)
    assert not progress.finished


def test_the_live_display_shows_what_matters() -> None:
    settings = load_settings(yaml.safe_dump(INPUT), "")
    screen = Console(file=StringIO(), force_terminal=True, width=100)
    with LiveDisplay(Progress(settings, n_atoms=10), screen) as display:
        display.phase("learn", Schedule(settings, 9))
        display.step(made_up_step(0, "start", 0.0), Seconds(total=1.0))
        display.phase("produce", Schedule(settings, 9))
        for number in range(1, 31):
            display.step(made_up_step(number, "produce", 0.01 * (-1) ** number), Seconds())
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    for words in ("producing", "31 made, at most 41", "1.00 over 30", "1 meV/atom", "independent",
                  "time left", "reference"):  # fmt: skip
        assert words in shown
    assert shown.endswith("\x1b[?25h")  # the cursor is back


def test_plain_lines_come_every_ten_steps() -> None:
    settings = load_settings(yaml.safe_dump(INPUT), "")
    screen = Console(file=StringIO(), width=40)
    with PlainDisplay(Progress(settings, n_atoms=10), screen) as display:
        display.phase("learn", Schedule(settings, 9))
        for number in range(31):
            display.step(made_up_step(number, "learn", 0.01 * (-1) ** number), Seconds(total=1.0))
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 5
    assert "guide error 1 meV/atom" in lines[-1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.12, "0.1 s"), (42.4, "42 s"), (180.0, "3.0 min"), (9000.0, "2.5 h"), (1e6, "11.6 days")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
