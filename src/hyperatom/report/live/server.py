"""The live page's server: this machine alone, whoever knows the token alone, reading alone."""

import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from hyperatom.errors import HyperatomError, InputError
from hyperatom.report.live.snapshot import snapshot

HOST: Final = "127.0.0.1"

SHARE: Final = 0.2
"""Part of one processor core that drawing may take while the run goes on."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

PAGES: Final = {
    "": ("live", "live.html", "text/html; charset=utf-8"),
    "live.js": ("live", "live.js", "text/javascript; charset=utf-8"),
    "live.css": ("live", "live.css", "text/css; charset=utf-8"),
    "page.css": ("", "page.css", "text/css; charset=utf-8"),
    "space.js": ("space", "space.js", "text/javascript; charset=utf-8"),
    "space.css": ("space", "space.css", "text/css; charset=utf-8"),
    "3Dmol.js": ("space", "3Dmol-min.js", "text/javascript; charset=utf-8"),
}
"""Files by the last part of their address: folder within `report`, name, type."""


class Watch:
    """The latest snapshot of a run, renewed by a thread of its own whenever the run has moved."""

    def __init__(self, path: Path, look: Callable[[Path], dict[str, Any]] = snapshot) -> None:
        self.path = path
        self._look = look
        self._seen: object = None
        self._cost = 0.0
        self._ended = threading.Event()
        self._content: dict[str, Any] = {}
        self.latest = b"{}"
        self.renew()
        self._thread = threading.Thread(target=self._follow, name="watch", daemon=True)
        self._thread.start()

    def renew(self) -> None:
        """Look again, if anything on disk has changed; raises as `snapshot` does."""
        sign = _sign(self.path)
        if sign == self._seen:
            return
        start = time.thread_time()
        content = self._look(self.path)
        self._cost = time.thread_time() - start
        self._seen = sign
        self._publish(content)

    def _publish(self, content: dict[str, Any]) -> None:
        content = {**content, "changed": max(self._changed(), 0.0)}
        if content != self._content:
            self._content = content
            self.latest = json.dumps(content, allow_nan=False).encode()

    def _changed(self) -> float:
        """When the run last wrote, seconds since 1970."""
        times = [0.0]
        for name in ("chain.db", "chain.db-wal", "guide_chain.db", "guide_chain.db-wal"):
            try:
                times.append((self.path / name).stat().st_mtime)
            except OSError:
                continue
        return max(times)

    def _follow(self) -> None:
        while not self._ended.wait(max(1.0, self._cost / SHARE)):
            try:
                self.renew()
            except HyperatomError as problem:
                self._publish({**self._content, "problem": f"{problem}"})
            except OSError as problem:
                self._publish({**self._content, "problem": f"The run cannot be read: {problem}."})

    def close(self) -> None:
        """End the thread; a figure that it draws is not waited for long."""
        self._ended.set()
        self._thread.join(2.0)


def _sign(path: Path) -> object:
    """Something that changes whenever the run does."""
    from hyperatom.campaign.run_directory import is_busy

    marks: list[object] = [is_busy(path)]
    for file in sorted(path.iterdir()) if path.is_dir() else []:
        if file.name.endswith("-shm") or not file.is_file():
            continue
        about = file.stat()
        marks.append((file.name, about.st_size, about.st_mtime_ns))
    return marks


class LiveServer(ThreadingHTTPServer):
    """Serves the page of `watch` at `address`, which holds the token.

    Raises `InputError` where the port is taken.
    """

    daemon_threads = True

    def __init__(self, watch: Watch, port: int = 0, token: str | None = None) -> None:
        self.watch = watch
        self.token = token or secrets.token_urlsafe(18)
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as problem:
            raise InputError(
                f"Port {port} of this machine cannot be used: "
                f"{getattr(problem, 'strerror', None) or problem}.",
                "Choose another with --port, or leave it out: any free one will do.",
            ) from None
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    """GET alone. The host must be this machine, so that no page elsewhere can ask in its name."""

    server: LiveServer
    server_version = "hyperatom"
    sys_version = ""
    timeout = 30.0

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def _answer(self, *, with_content: bool) -> None:
        token, _, name = self.path.partition("?")[0].lstrip("/").partition("/")
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        if not known or self.headers.get("Host", "") not in self.server.hosts:
            status, kind = HTTPStatus.FORBIDDEN, "text/plain; charset=utf-8"
            content = b"Use the address that 'hyperatom watch' has printed, token included.\n"
        elif name == "state.json":
            status, kind = HTTPStatus.OK, "application/json"
            content = self.server.watch.latest
        elif name in PAGES:
            folder, file, kind = PAGES[name]
            status = HTTPStatus.OK
            content = files("hyperatom.report").joinpath(folder, file).read_bytes()
        else:
            status, kind = HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8"
            content = b"There is nothing here.\n"
        self.send_response(status)
        for header, value in HEADERS.items():
            self.send_header(header, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_content:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing: the token would be in it."""
