"""Unmodified programs on `--device cuda`: the emulated device, chosen by the environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rushlight
from tests.test_notes import SNIPPETS, with_rushlight

ROOT = Path(__file__).resolve().parents[3]


def _run(*command: str) -> str:
    environment = {**os.environ, "RUSHLIGHT_CUDA": "emulated", "RUSHLIGHT_SELFCOMPILE": "0"}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "rushlight", "run", *command],
        capture_output=True, text=True, timeout=300, env=environment,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_digits_are_learned_on_the_device() -> None:
    script = str(ROOT / "examples" / "train_digits.py")
    printed = _run(script, "--device", "cuda", "--epochs", "1", "--batch-size", "64")
    assert float(re.findall(r"accuracy (\d+\.\d+)%", printed)[-1]) > 60


def test_a_script_asks_for_the_device_as_scripts_do(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n"
        "device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')\n"
        "x = torch.ones(2, 2).to(device)\n"
        "print(device, x.device, torch.cuda.get_device_name(0))\n"
    )
    assert _run(str(script)).startswith("cuda cuda:0 rushlight emulated device")


# Snippets that define tensors and compute with them; those that need files or windows are left out.
NUMERIC = [n for n, text in SNIPPETS.items() if "import torch" in text and "nn." in text]


@pytest.mark.parametrize("name", NUMERIC)
def test_a_snippet_of_the_notes_runs_where_tensors_are_made_on_the_device(name: str) -> None:
    with rushlight.device("cuda"):
        names: dict[str, object] = {"__name__": "snippet"}
        try:
            exec(compile(with_rushlight(SNIPPETS[name]), name, "exec"), names)
        except RuntimeError as error:
            # One of them shows that a constant has no gradient.
            assert "does not require grad" in str(error)
