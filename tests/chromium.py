"""A headless Chromium, driven through the DevTools protocol over two pipes."""

import base64
import fcntl
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
ABSENT = "no chromium on this machine: apt install chromium"

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu-sandbox", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--mute-audio", "--hide-scrollbars", "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


class Chromium:
    """One page of a browser of its own; remembers what was asked of the network, and complaints."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 900) -> None:
        assert CHROMIUM is not None
        theirs_in, ours_out = _pipe()
        ours_in, theirs_out = _pipe()

        def wire() -> None:
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}",
             "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=wire, close_fds=False,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._out = os.fdopen(ours_out, "wb", buffering=0)
        self._in = os.fdopen(ours_in, "rb")
        self._number = 0
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        (page,) = (
            one for one in self._ask("Target.getTargets")["targetInfos"] if one["type"] == "page"
        )
        attached = self._ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.do(f"{domain}.enable")
        self.size(width, height)
        self.dark(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send("Browser.close", None, {})
        self._out.close()
        self._process.wait(60)
        self._listener.join(60)
        self._in.close()

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol to the page."""
        return self._ask(method, self._session, **parameters)

    def size(self, width: int, height: int) -> None:
        """The size of the page, in CSS pixels."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height,
                deviceScaleFactor=1, mobile=False)  # fmt: skip

    def dark(self, yes: bool) -> None:
        """Does the system prefer dark colours?"""
        features = {
            "prefers-color-scheme": "dark" if yes else "light",
            "prefers-reduced-motion": "reduce",  # software draws each frame here
        }
        self.do(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in features.items()],
        )

    def open(self, address: str) -> None:
        """Go to an address and wait until it has loaded."""
        self.do("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        found = self.do("Runtime.evaluate", expression=script, awaitPromise=True,
                        returnByValue=True)  # fmt: skip
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = 60.0) -> None:
        """Until an expression is true."""
        deadline = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"never true: {condition}"
            time.sleep(0.1)

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element, as a person does."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """What the page looks like, as PNG."""
        found = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def _ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._send(method, session, parameters)
        while True:
            answer = self._answers.get(timeout=120)
            if answer["id"] == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _send(self, method: str, session: str | None, parameters: dict[str, Any]) -> None:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._out.write(json.dumps(message).encode() + b"\0")

    def _listen(self) -> None:
        rest = b""
        while part := self._in.read1(65536):
            *messages, rest = (rest + part).split(b"\0")
            for text in messages:
                self._take(json.loads(text))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._answers.put(message)
            return
        about = message.get("params", {})
        events: dict[str, Callable[[], None]] = {
            "Network.requestWillBeSent": lambda: self.requested.append(about["request"]["url"]),
            "Runtime.exceptionThrown": lambda: self.complaints.append(
                json.dumps(about["exceptionDetails"])
            ),
            "Log.entryAdded": lambda: self.complaints.append(about["entry"]["text"]),
        }
        events.get(message.get("method", ""), lambda: None)()


def _pipe() -> tuple[int, int]:
    """Both ends, out of the way of the numbers 3 and 4, which the browser wants."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
