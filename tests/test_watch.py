"""The live page: read without a trace, refused without the token, followed in a real browser."""

import fcntl
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from chromium import ABSENT, CHROMIUM, Chromium
from hyperatom.campaign.chain_store import ChainStore, Seconds, Step
from hyperatom.campaign.run_directory import RunDirectory
from hyperatom.cli.main import app
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError, RunDirectoryError
from hyperatom.evaluation import Evaluation
from hyperatom.references.label_store import LabelStore
from hyperatom.report.live.server import LiveServer, Watch
from hyperatom.report.live.snapshot import snapshot
from small_guide import SMALL_GUIDE

TESTS = Path(__file__).parent
PROGRAM = [sys.executable, "-c", "from hyperatom.cli.main import run; run()"]
INPUT = {
    "title": "Argon <made up>",
    "configuration": {"crystal": "aluminium"},
    "temperature": 300,
    "reference": {"calculator": "ase:ase.calculators.emt.EMT"},
    "walkers": 2,
    "learn": {"calls": 12, "window": 10, "probation": 2},
    "produce": {"proposals": 20, "guide_samples": 0},
}
browser_only = pytest.mark.skipif(CHROMIUM is None, reason=ABSENT)


@dataclass
class MadeUpRun:
    """A run directory whose steps are invented, one round of two walkers at a time."""

    path: Path
    rounds: int = 0
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def __post_init__(self) -> None:
        self.directory = RunDirectory.create(self.path, yaml.safe_dump(INPUT))
        corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
        self.start = Configuration(
            [13] * 4, 4.05 * corners, 4.05 * np.eye(3), [True] * 3, [26.98] * 4
        )
        parts = {
            name: getattr(self.start, name)
            for name in ("numbers", "positions", "cell", "periodic", "masses")
        }
        np.savez(self.path / "start.npz", **parts)
        self.directory.seal()
        self.directory.log("made up")
        self.chain = ChainStore(self.path / "chain.db")
        self.labels = LabelStore(self.path / "labels.db")

    def go_on(self, phase: str, rounds: int = 1) -> None:
        for _ in range(rounds):
            for walker in range(2):
                self._step(phase, walker)
            self.rounds += 1

    def _step(self, phase: str, walker: int) -> None:
        shaken = self.start.positions + self.random.normal(0.0, 0.1, (4, 3))
        energy = float(self.random.normal(0.0, 0.05))
        identity = json.dumps({"calculator": "EMT", "keywords": {}, "version": "1"})
        label = self.labels.add(
            self.start.with_cell(shaken, self.start.cell),
            Evaluation(energy, np.zeros((4, 3))), identity,
        )  # fmt: skip
        record = {
            "guide_drift": 0.01, "full": True, "length": 100.0, "guide_energy_before": 0.0,
            "guide_energy_after": energy + float(self.random.normal(0.0, 0.01)),
        }  # fmt: skip
        vetoed = self.rounds % 5 == 3
        self.chain.add([(Step(
            walker, self.rounds, phase, "guide", {} if phase == "start" else record, 0.0,
            "the guide does not trust itself" if vetoed else "", "",
            "" if vetoed else label.key, None if vetoed else energy, 0.5,
            None if vetoed else 0.1, bool(self.random.random() < 0.7) and not vetoed,
            label.key, energy,
        ), Seconds(0.1, 0.01, 0.5, 0.7))])  # fmt: skip

    def freeze(self) -> None:
        frozen = {"guide": "guide", "number": self.rounds - 1}
        self.chain.add([], {"frozen": json.dumps(frozen)})

    def close(self) -> None:
        self.chain.close()
        self.labels.close()
        self.directory.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[MadeUpRun]:
    made = MadeUpRun(tmp_path / "run")
    made.go_on("start")
    made.go_on("learn", 5)
    yield made
    made.close()


@pytest.fixture
def server(run: MadeUpRun) -> Iterator[LiveServer]:
    made = LiveServer(Watch(run.path))
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    made.watch.close()


def get(
    server: LiveServer, path: str, host: str | None = None, method: str = "GET"
) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.request(method, path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


# -- what it says of a run ----------------------------------------------------------------------


def test_a_run_in_each_of_its_states(run: MadeUpRun) -> None:
    learning = snapshot(run.path)
    assert learning["state"] == "learn"
    assert learning["stages"][0] == {"name": "learning", "done": 10, "total": 12, "unit": "calls"}
    assert [one["walker"] for one in learning["walkers"]] == [0, 1]
    assert all(one["decisions"].islower() for one in learning["walkers"])
    assert set(learning["pictures"]) == {"guide", "energy", "structure", "cost"}
    assert "not the ensemble yet" in learning["pictures"]["structure"]["caption"]
    assert len(learning["space"]["configurations"]) == 2
    run.freeze()
    run.go_on("produce", 10)
    producing = snapshot(run.path)
    assert producing["state"] == "produce"
    assert producing["word"] == "producing"
    tiles = {tile["name"]: tile["value"] for tile in producing["tiles"]}
    assert tiles["Mean energy"].endswith("eV/atom")
    assert "(exact)" in producing["pictures"]["structure"]["caption"]
    assert all(one["counted"] == 10 for one in producing["walkers"])
    fractions = [one["decisions"].count("A") / 10 for one in producing["walkers"]]
    assert [one["acceptance"] for one in producing["walkers"]] == pytest.approx(fractions)
    assert all(one["decisions"][-10:].count("V") == 2 for one in producing["walkers"])
    assert ("Engines on this machine", "2") in producing["farm"] or os.cpu_count() == 1
    run.directory.close()  # as a kill does
    killed = snapshot(run.path)
    assert killed["state"] == "stopped"
    assert killed["command"] == f"hyperatom resume {run.path}"
    run.directory.lock()
    run.go_on("produce", 10)
    assert snapshot(run.path)["state"] == "finished"
    json.dumps(producing, allow_nan=False)


def test_a_run_that_has_done_nothing_yet(tmp_path: Path) -> None:
    run = MadeUpRun(tmp_path / "run")
    try:
        found = snapshot(run.path)
        assert found["state"] == "start"
        assert found["pictures"] == {}
        run.chain.close()
        run.labels.close()
        for file in list(run.path.glob("*.db*")):
            file.unlink()
        assert snapshot(run.path)["state"] == "start"
    finally:
        run.directory.close()


def contents(path: Path) -> dict[str, tuple[int, bytes]]:
    return {
        file.name: (file.stat().st_mtime_ns, file.read_bytes())
        for file in path.iterdir()
        if not file.name.endswith("-shm")  # SQLite's locks
    }


def test_looking_leaves_no_trace(run: MadeUpRun, tmp_path: Path) -> None:
    run.go_on("produce", 4)
    before = contents(run.path)
    snapshot(run.path)
    assert contents(run.path) == before
    # Killed, with its write-ahead log left behind; and carried elsewhere, write-protected.
    copy = Path(shutil.copytree(run.path, tmp_path / "copy"))
    for file in copy.glob("*-shm"):
        file.unlink()
    before = contents(copy)
    assert snapshot(copy)["state"] == "stopped"
    assert contents(copy) == before
    # Ended in good order: no log, and nothing is made beside the files.
    run.close()
    names = {file.name for file in run.path.iterdir()}
    assert not any(name.endswith(("-wal", "-shm")) for name in names)
    os.chmod(run.path, 0o555)
    try:
        assert snapshot(run.path)["walkers"][0]["counted"] == 4
        assert {file.name for file in run.path.iterdir()} == names
    finally:
        os.chmod(run.path, 0o755)
    run.__post_init__ = lambda: None  # type: ignore[method-assign]
    run.chain, run.labels = ChainStore(run.path / "chain.db"), LabelStore(run.path / "labels.db")


def test_a_look_does_not_keep_a_run_from_starting(run: MadeUpRun) -> None:
    run.directory.close()
    with (run.path / "lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)  # somebody asks whether the run is at work
        threading.Timer(0.1, lambda: fcntl.flock(other, fcntl.LOCK_UN)).start()
        run.directory.lock()
    with pytest.raises(RunDirectoryError, match="Another process is working"):
        RunDirectory.open(run.path, lock=True)


# -- who may look -------------------------------------------------------------------------------


def test_the_token_is_asked_for(server: LiveServer) -> None:
    status, content, headers = get(server, f"/{server.token}/")
    assert status == 200
    assert b"<!DOCTYPE html>" in content
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "connect-src 'self';" in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    for path in ("/", "/state.json", "/wrong/", f"/{server.token[:-1]}/state.json",
                 f"/{server.token}x/state.json", f"//{server.token}"):  # fmt: skip
        status, content, headers = get(server, path)
        assert status == (403 if server.token != path.strip("/") else 200), path
        if status == 403:
            assert b"eV" not in content
            assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert get(server, f"/{server.token}/state.json")[0] == 200
    assert get(server, f"/{server.token}/nothing")[0] == 404
    assert get(server, f"/{server.token}/../../../../etc/passwd")[0] == 404
    assert get(server, f"/{server.token}/", method="HEAD")[1] == b""
    assert get(server, f"/{server.token}/", method="POST")[0] == 501


def test_other_names_of_this_machine_are_refused(server: LiveServer) -> None:
    """A page elsewhere whose name is made to point here (DNS rebinding) gets nothing."""
    assert get(server, f"/{server.token}/", host=f"evil.example:{server.server_port}")[0] == 403
    assert get(server, f"/{server.token}/", host=f"localhost:{server.server_port}")[0] == 200


def test_only_this_machine_is_listened_to(server: LiveServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert LiveServer(server.watch).token != server.token
    with pytest.raises(InputError, match="cannot be used"):
        LiveServer(server.watch, server.server_port)


def test_plain_words_for_what_is_no_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["watch", str(tmp_path / "nowhere")])
    assert result.exit_code == 2
    assert "There is no run directory" in result.stderr
    result = CliRunner().invoke(app, ["watch", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not a run directory" in result.stderr


# -- in a browser -------------------------------------------------------------------------------


@browser_only
def test_clicking_through_the_page(run: MadeUpRun, server: LiveServer, tmp_path: Path) -> None:
    with Chromium(tmp_path / "profile") as page:
        page.open(server.address)
        page.wait("document.querySelector('#guide svg')")
        assert page.run("document.title") == "learning · Argon <made up>"
        page.run("window.stillTheSame = true")
        for tab, proof in (
            ("chains", "#energy svg"),
            ("structure", "#structure svg"),
            ("farm", "#cost svg"),
            ("log", "#log-lines"),
            ("learning", "#guide svg"),
        ):
            page.click(f"#tab-{tab}")
            page.wait(f"document.querySelector('{proof}').getClientRects().length")
            shown = page.run(
                "[...document.querySelectorAll('[role=tabpanel]')].filter(p => !p.hidden)"
                ".map(p => p.id)"
            )
            assert shown == [tab]
        # It follows the run without being loaded again.
        run.freeze()
        run.go_on("produce", 3)
        page.wait("document.getElementById('word').textContent === 'producing'")
        page.click("#tab-chains")
        page.wait("document.querySelectorAll('#walkers .decisions rect:not(.pale)').length === 6")
        # Held still, and let go.
        page.click("#hold")
        run.go_on("produce", 1)
        time.sleep(3.0)
        counted = "[...document.querySelectorAll('#walkers td:nth-child(3)')].map(c => c.innerText)"
        assert page.run(counted) == ["3", "3"]
        page.click("#hold")
        page.wait(f"{counted}.join() === '4,4'")
        # Dark at a press.
        page.click("#shade")
        page.click("#shade")
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        # The atoms, in space.
        page.click("#tab-structure")
        page.wait("document.querySelector('#space').dataset.drawn")
        assert page.run("document.querySelectorAll('#space canvas').length") > 0
        page.screenshot(tmp_path / "structure.png")
        assert (tmp_path / "structure.png").stat().st_size > 20_000
        # Killed.
        run.directory.close()
        page.wait("document.getElementById('word').textContent === 'stopped'")
        assert page.run("document.querySelector('.sentence code').textContent").startswith(
            "hyperatom resume"
        )
        # Nothing has left the machine, and nothing could.
        assert page.run("window.stillTheSame")
        assert page.complaints == []
        assert page.requested
        outside = [
            a for a in page.requested if not a.startswith((server.address, "data:", "blob:"))
        ]
        assert outside == []
        blocked = page.run(
            "new Promise(done => { document.addEventListener('securitypolicyviolation', "
            "e => done(e.effectiveDirective)); fetch('http://example.org/').catch(() => {}); })"
        )
        assert blocked == "connect-src"
        server.shutdown()
        server.server_close()
        page.wait("document.getElementById('problem').textContent.includes('server has ended')")


@browser_only
def test_a_browser_with_the_wrong_token_is_refused(server: LiveServer, tmp_path: Path) -> None:
    with Chromium(tmp_path / "profile") as page:
        page.open(f"http://127.0.0.1:{server.server_port}/guessed/")
        assert "token included" in page.run("document.body.innerText")


@pytest.mark.slow
@browser_only
def test_watching_a_real_run_that_is_killed_and_resumed(tmp_path: Path) -> None:
    """hyperatom run, hyperatom watch, kill -9, hyperatom resume; the page sees it all."""
    environment = {
        **os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    content = {**INPUT, "guide": SMALL_GUIDE,
               "sampling": {"time_step": 5, "length": 100, "segments": 1}, "walkers": 1,
               "learn": {"calls": 12, "window": 10, "probation": 2},
               "produce": {"proposals": 400, "guide_samples": 0}}  # fmt: skip
    (tmp_path / "input.yaml").write_text(yaml.safe_dump(content))
    start = [*PROGRAM, "run", "input.yaml", "--directory", "run"]
    first = subprocess.Popen(start, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    header = tmp_path / "run" / "header.json"
    while not header.exists():
        assert first.poll() is None
        time.sleep(0.2)
    look = subprocess.Popen([*PROGRAM, "watch", "run"], cwd=tmp_path, env=environment,
                            stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert look.stdout is not None
        address = look.stdout.readline().removeprefix("Live page: ").strip()
        with Chromium(tmp_path / "profile") as page:
            page.open(address)
            word = "document.getElementById('word').textContent"
            page.wait(f"{word} === 'producing'", 300)
            first.send_signal(signal.SIGKILL)
            first.wait()
            page.wait(f"{word} === 'stopped'")
            second = subprocess.Popen([*PROGRAM, "resume", "run"], cwd=tmp_path, env=environment,
                                      stdout=subprocess.DEVNULL)  # fmt: skip
            page.wait(f"{word} === 'finished'", 300)
            assert second.wait(120) == 0
            assert page.complaints == []
            assert all(a.startswith((address, "data:")) for a in page.requested)
        look.send_signal(signal.SIGINT)
        assert look.wait(60) == 0
        assert "The page has ended." in look.stdout.read()
    finally:
        for process in (first, look):
            if process.poll() is None:
                process.kill()
