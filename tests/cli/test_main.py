"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rushlight
from rushlight.cli import main
from rushlight.cli.drawing import draw, draw_side_by_side


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"rushlight {rushlight.__version__}\n"


def test_no_command_shows_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([]) == 2
    text = capsys.readouterr().out
    assert all(name in text for name in main.COMMANDS)


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main.main(["fly"])
    assert stop.value.code == 2
    assert "invalid choice: 'fly'" in capsys.readouterr().err


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main.main([command, "--help"])
    assert stop.value.code == 0
    assert "usage: rushlight" in capsys.readouterr().out


def test_running_a_script_does_not_load_the_other_commands() -> None:
    code = (
        "import sys; names = ('rich', 'llvmlite', 'rushlight.cli.demo');"
        " print([name for name in names if name in sys.modules])"
    )
    command = [sys.executable, "-m", "rushlight", "run", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_ink_is_drawn_darker_than_paper() -> None:
    assert draw(np.array([[0.0, 1.0], [0.5, 2.0]])) == ["  @@", "==@@"]


def test_drawings_stand_side_by_side_with_their_captions() -> None:
    one = np.array([[1.0], [0.0]])
    text = draw_side_by_side([one, one], ["first", "b"])
    assert text.splitlines() == ["@@      @@", "", "first   b"]


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m rushlight --help; {sys.executable} -m rushlight demo --epochs 3"
    result = subprocess.run(
        ["bash", "-c", f"({command}) | head -n 1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout.startswith("usage: rushlight")
    assert result.stderr == ""
