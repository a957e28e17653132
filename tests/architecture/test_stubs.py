"""The type stubs say what the package has.

In a process of its own: what other tests have imported must not appear in them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STUBS = Path(__file__).resolve().parents[2] / "tools" / "stubs.py"


def test_the_stubs_are_up_to_date() -> None:
    command = [sys.executable, str(STUBS), "--check"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
