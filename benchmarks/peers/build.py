"""Makes the environment of a peer: a virtual environment with its packages.

    python benchmarks/peers/build.py [--folder FOLDER] lammps_snap ...

Without names, those of all peers. Environments lie in `.peers`, which git ignores.
"""

import argparse
import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / ".peers"

MACHINERY = ("__init__", "build", "client", "serve", "session")


def names() -> list[str]:
    """All peers, in the order of the alphabet."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(path.stem for path in files if path.stem not in MACHINERY)


def interpreter(name: str, folder: Path = FOLDER) -> Path:
    """The Python of a peer's environment, installed or not."""
    return folder / name / "bin" / "python"


def build(name: str, folder: Path, peer: Any = None) -> None:
    """Make the environment of one peer; what is half made after a failure is removed."""
    peer = peer or importlib.import_module(f"peers.{name}")
    python = interpreter(name, folder)
    try:
        subprocess.run([sys.executable, "-m", "venv", folder / name], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "ase", "numpy", *peer.REQUIREMENTS], check=True
        )
        if hasattr(peer, "build"):
            peer.build(python)
    except BaseException:
        shutil.rmtree(folder / name, ignore_errors=True)
        raise


def main() -> None:
    """Build what the command line asks for, and say what could not be built."""
    parser = argparse.ArgumentParser(description="Make the environments of peers.")
    parser.add_argument("names", nargs="*", help="peers; all where none is given")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where environments lie")
    arguments = parser.parse_args()
    failed = []
    for name in arguments.names or names():
        try:
            build(name, arguments.folder)
            print(f"{name}: made")
        except (subprocess.CalledProcessError, OSError) as problem:
            failed.append(name)
            print(f"{name}: could not be installed: {problem}")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
