"""Draw the picture of watch.md: `python docs/make_watch_picture.py RUN`, with a chromium here."""

import sys
import tempfile
import threading
from pathlib import Path

from PIL import Image

from hyperatom.report.live.server import LiveServer, Watch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from chromium import Chromium  # noqa: E402

server = LiveServer(Watch(Path(sys.argv[1])))
threading.Thread(target=server.serve_forever, daemon=True).start()
with tempfile.TemporaryDirectory() as profile, Chromium(Path(profile), 1180, 1000) as page:
    page.open(f"{server.address}#chains")
    page.wait("document.querySelector('#energy svg')")
    page.screenshot(HERE / "watch.png", whole=False)
with Image.open(HERE / "watch.png") as picture:
    small = picture.convert("RGB").quantize(96, dither=Image.Dither.NONE)
small.save(HERE / "watch.png", optimize=True)
