"""A small MACE: 32 channels, messages of scalars and vectors, single precision on two cores."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from rivals.timed import ended_in_time

ENVIRONMENT = "mace"
REQUIREMENTS = ("torch==2.13.0", "mace-torch==0.3.16")
TITLE = "MACE: 32x0e + 32x1o, two layers, correlation 3"
CUTOFF = 5.0


def fit(folder: Path, seconds: float) -> None:
    """As many epochs as the time allows; the last checkpoint counts."""
    command = [
        Path(sys.executable).with_name("mace_run_train"), "--name", "mace", "--seed", "1",
        "--train_file", "train.xyz", "--valid_file", "validation.xyz", "--E0s", "average",
        "--model", "MACE", "--hidden_irreps", "32x0e + 32x1o", "--r_max", str(CUTOFF),
        "--batch_size", "4", "--valid_batch_size", "8", "--eval_interval", "1",
        "--energy_key", "energy", "--forces_key", "forces", "--lr", "0.01",
        "--forces_weight", "100", "--energy_weight", "10", "--ema", "--ema_decay", "0.99",
        "--default_dtype", "float32", "--device", "cpu", "--restart_latest",
    ]  # fmt: skip
    if not ended_in_time([*command, "--max_num_epochs", "10000"], folder, seconds):
        if not list((folder / "checkpoints").glob("*.pt")):
            raise RuntimeError(f"MACE ended no epoch within {seconds:.0f} s")
        # The model of the last checkpoint is written by a run with nothing left to do.
        subprocess.run([*command, "--max_num_epochs", "0"], check=True, cwd=folder)


def calculator(folder: Path) -> Any:
    """As an ASE calculator."""
    from mace.calculators import MACECalculator

    return MACECalculator(
        model_paths=str(folder / "mace.model"), device="cpu", default_dtype="float32"
    )
