"""`rushlight demo` trains, saves, loads and shows, with or without a progress bar."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rushlight import progress
from rushlight.cli import main

ACCURACY = re.compile(r"test accuracy +(\d+\.\d+)%")


@pytest.mark.slow
def test_the_demo_reaches_97_percent_and_restores_its_model(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "rushlight", "demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert (result.returncode, result.stderr) == (0, "")
    accuracies = [float(number) for number in ACCURACY.findall(result.stdout)]
    assert len(accuracies) == 11 and accuracies[-1] >= 97.0
    assert accuracies[-1] == accuracies[-2]
    assert "the same" in result.stdout and "saved to rushlight-demo.pt" in result.stdout
    assert "@@" in result.stdout and "seen as" in result.stdout
    for part in ("loading the images", "training", "testing", "saving and loading"):
        assert re.search(rf"{part} \d+\.\d\d s", result.stdout)
    assert (tmp_path / "rushlight-demo.pt").stat().st_size > 100_000


def test_one_epoch_is_told_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "weights.pt"
    assert main.main(["demo", "--epochs", "1", "--save", str(saved)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("1442 images of 8 x 8 pixels to learn from, 355 to test with")
    assert re.match(r"epoch  1/1   loss \d\.\d{4}   test accuracy +\d+\.\d\d%   \d", lines[3])
    assert saved.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--save", "no/such/folder/x.pt"], "there is no folder"),
    ],
)
def test_wrong_options_are_refused_before_the_training(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["demo", *words]) == 2
    assert sentence in capsys.readouterr().out


def test_without_rich_or_a_terminal_lines_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(progress.report_progress(3), progress.PlainReport)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(progress, "Progress", None)
    with progress.report_progress(3) as report:
        report.advance("loss 1")
        report.line("epoch 1")
    assert capsys.readouterr().out == "epoch 1\n"


def test_with_rich_and_a_terminal_a_bar_is_drawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with progress.report_progress(2) as report:
        assert isinstance(report, progress.BarReport)
        report.advance("loss 1")
        report.line("epoch [1]")
        report.advance("loss 0.5")
    assert "epoch [1]" in capsys.readouterr().out
