"""The README says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import readme

TEXT = readme.README.read_text(encoding="utf-8")
NUMBER = re.compile(r"\d+\.\d+")


def test_the_example_prints_what_the_readme_shows() -> None:
    """Word for word; numbers may differ as much as another processor's rounding makes them."""
    shown, printed = readme.block("output", TEXT), readme.run_example(TEXT)
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", shown)
    got = [float(number) for number in NUMBER.findall(printed)]
    assert got == pytest.approx([float(number) for number in NUMBER.findall(shown)], rel=0.05)


def without_numbers(text: str) -> str:
    """Times, speeds and shares differ from machine to machine, and with them the spaces before."""
    text = re.sub(r"-?\d[\d.]*(e[+-]\d+)?", "#", text)
    return re.sub(r"of (memory|arithmetic)", "of it", re.sub(r" +", " ", text))


def test_the_compiler_says_of_itself_what_the_readme_shows() -> None:
    shown, printed = readme.block("look inside output", TEXT), readme.look_inside(TEXT)
    assert without_numbers(printed) == without_numbers(shown)
    assert "softmax_2048x2048_f32" in shown and shown.count("\n") < 40


def test_the_reading_order_names_files_of_about_the_length_it_says() -> None:
    assert len(readme.ROW.findall(TEXT)) == 18
    assert readme.wrong_counts(TEXT) == []


def test_the_two_commands_are_complete() -> None:
    for marker in ("run command", "test command"):
        command = readme.block(marker, TEXT)
        assert command.count("\n") == 1
        assert "-m venv" in command and "pip install" in command


def test_files_that_the_readme_names_exist() -> None:
    names = re.findall(r"`((?:docs|examples|src)/[\w./]+|[A-Z]+\.md)`", TEXT)
    assert names
    for name in names:
        assert (Path(readme.ROOT) / name).exists(), name
