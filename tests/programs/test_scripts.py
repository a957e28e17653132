"""Whole scripts print under `rushlight run` what they print under PyTorch, to the last digits.

Each script of `scripts/` is an ordinary program that imports torch and seeds its random numbers.
Words must be equal; numbers may differ by what another order of roundings amounts to.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

SCRIPTS = sorted(Path(__file__).with_name("scripts").glob("*.py"))
# Printed values are rounded to about four digits.
RELATIVE, ABSOLUTE = 2e-3, 2e-4
NUMBER = re.compile(r"-?(?:\d+\.\d*|\.\d+|\d+)(?:e[+-]?\d+)?")


def output_of(*words: str | Path) -> str:
    """What a script prints, in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    environment["RUSHLIGHT_VERIFY"] = "0"  # as users run them
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def words_and_numbers(text: str) -> tuple[str, list[float]]:
    """The text with single spaces and a mark for each number, and the numbers."""
    numbers = [float(found) for found in NUMBER.findall(text)]
    return " ".join(NUMBER.sub("#", text).split()), numbers


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_prints_what_it_prints_under_pytorch(script: Path) -> None:
    expected, expected_numbers = words_and_numbers(output_of(script))
    found, found_numbers = words_and_numbers(output_of("-m", "rushlight", "run", script))
    assert found == expected
    assert found_numbers == pytest.approx(expected_numbers, RELATIVE, ABSOLUTE, nan_ok=True)
