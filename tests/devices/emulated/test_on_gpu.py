"""The script for a card: what fails costs its own rows, and the table is written all the same."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    spec = importlib.util.spec_from_file_location("on_gpu", ROOT / "tools" / "on_gpu.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("gpu_rows", None)


def _session(on_gpu: Any, tmp_path: Path, minutes: float = 5.0) -> Any:
    options = argparse.Namespace(minutes=minutes, quick=False, markdown=str(tmp_path / "table.md"))
    return on_gpu.Session(options, True, "a card")


def _scripted(session: Any, *processes: tuple[list[dict], str]) -> list[list[str]]:
    """Processes that write these lines and end so; gives what each was asked for."""
    asked: list[list[str]] = []
    waiting = list(processes)

    def process(part: str, library: str, names: list[str], out: Path, limit: float) -> str:
        asked.append(list(names))
        lines, why = waiting.pop(0)
        out.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return why

    session._process = process
    return asked


def test_a_row_that_fails_hangs_or_dies_costs_itself_only(on_gpu: Any, tmp_path: Path) -> None:
    session = _session(on_gpu, tmp_path)
    asked = _scripted(
        session,
        ([{"begun": "copy"}, {"done": "copy", "value": 4000.0}, {"begun": "add"}], "died with -9"),
        ([{"begun": "gelu"}, {"failed": "gelu", "why": "RuntimeError: illegal address"}], ""),
        ([{"begun": "sum"}], "not done after 60 s"),
        ([{"begun": "softmax"}, {"done": "softmax", "value": 3900.0}], ""),
    )
    session.run_part("rows", "rushlight", ["copy", "add", "gelu", "sum", "softmax"])
    assert asked[1:] == [["gelu", "sum", "softmax"], ["sum", "softmax"], ["softmax"]]
    text = (tmp_path / "table.md").read_text()
    assert "| copy | 4000 |" in text and "| softmax | 3900 |  | GB/s |  | 98% of copy |" in text
    assert "FAILED: died with -9" in text and "FAILED: not done after 60 s" in text
    assert "FAILED: RuntimeError: illegal address" in text
    assert not session.is_right()


def test_a_wrong_number_is_said_and_a_slow_one_is_not_wrong(on_gpu: Any, tmp_path: Path) -> None:
    session = _session(on_gpu, tmp_path)
    session.sizes = "full"
    session.values = {("copy", "rushlight"): 100.0, ("add", "rushlight"): 40.0}
    session.checks = {"rows": (0.0, 1e-5)}
    assert session.is_right() and "| 40% of copy | 85 % of copy | missed |" in session.text()
    session.checks["columns"] = float("inf"), 1e-5
    assert not session.is_right() and "| columns | inf | 1e-05 | WRONG |" in session.text()


def test_without_time_nothing_is_begun(on_gpu: Any, tmp_path: Path) -> None:
    session = _session(on_gpu, tmp_path, minutes=0.0)
    assert _scripted(session) == []
    session.run_part("rows", "rushlight", ["copy"])
    assert "FAILED: no time was left" in session.text()


def test_rows_and_checks_run_in_processes(
    on_gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSHLIGHT_CUDA", "emulated")
    session = _session(on_gpu, tmp_path)
    session.run_part(on_gpu.CHECKS, "rushlight", ["elementwise", "AdamW in one launch"])
    session.run_part("steps", "rushlight", ["small add"])
    assert session.checks["elementwise"][0] == 0.0 and session.checks["AdamW in one launch"][0] == 0
    assert session.values["small add", "rushlight"] > 0 and session.is_right()


def test_the_tests_of_devices_pass_on_a_machine_with_one(
    on_gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSHLIGHT_CUDA", "emulated")
    session = _session(on_gpu, tmp_path)
    names = ("surface", "host", "sharing")
    files = [f"tests/devices/emulated/test_{name}.py" for name in names]
    monkeypatch.setattr(on_gpu, "TESTS", files)
    session.run_tests()
    assert session.is_right(), session.tests


def test_a_file_of_tests_that_hangs_is_wrong(
    on_gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = _session(on_gpu, tmp_path)
    monkeypatch.setattr(on_gpu, "TESTS", ["tests/devices/emulated/test_surface.py"])
    monkeypatch.setattr(on_gpu, "_TEST_LIMIT", 0.05)
    session.run_tests()
    assert session.tests == [("test_surface", "not done in time")] and not session.is_right()


@pytest.mark.endurance
def test_the_whole_script_runs(on_gpu: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("RUSHLIGHT_CUDA", "emulated")
    table = str(tmp_path / "table.md")
    monkeypatch.setattr(sys, "argv", ["on_gpu.py", "--no-tests", "--markdown", table])
    assert on_gpu.main() == 0
    text = Path(table).read_text()
    assert "WRONG" not in text and "FAILED" not in text and "launches" in text
