"""The table of packages: each row has a program, and what the command says of outcomes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.ecosystem.__main__ import distance, verdict
from tests.ecosystem.table import TABLE, Row

PROGRAMS = Path(__file__).with_name("programs")


def test_each_row_has_a_program_and_each_program_a_row() -> None:
    assert sorted(row.program for row in TABLE) == sorted(p.stem for p in PROGRAMS.glob("*.py"))
    assert all("==" in name for row in TABLE for name in row.requirements)


@pytest.mark.parametrize(
    ("mine", "theirs", "far"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.0]}, 0.0),
        ({"a": [1.0, 2.5]}, {"a": [1.0, 2.0]}, 0.25),
        ({"a": "x"}, {"a": "y"}, math.inf),
        ({"a": [1]}, {"a": [1, 2]}, math.inf),
        ({"a": 1}, {"b": 1}, math.inf),
    ],
)
def test_the_largest_difference_is_found(mine: dict, theirs: dict, far: float) -> None:
    assert distance(mine, theirs)[0] == far


def test_a_row_that_stops_or_differs_is_not_fine() -> None:
    row = Row("x", ("x==1",))
    good = {"found": {"loss": 1.0}, "seconds": 2.0}
    assert verdict(row, good, good)[0] and verdict(row, good, None)[0]
    fine, line = verdict(row, {"error": "ImportError: y"}, good)
    assert not fine and "stops: ImportError: y" in line
    fine, line = verdict(row, {"found": {"loss": 1.1}, "seconds": 2.0}, good)
    assert not fine and "differs: 1.0e-01 at loss" in line
