"""Tapes and groups of ten programs are the ones kept beside this file, word for word.

pytest tests/golden --update-golden        writes them; the commit says why they changed
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import rushlight
from rushlight.base.config import config
from rushlight.base.observe import FLUSH, Event, watching
from rushlight.engine.report import plan_text
from rushlight.tape.memo import memo
from rushlight.tape.tape import local
from tests.golden import programs

FOLDER = Path(__file__).with_name("groups")
HERE = str(Path(programs.__file__))


def shown(name: str) -> str:
    """The plans of a program's flushes, each as level 3 of RUSHLIGHT_DEBUG prints it."""
    function = programs.PROGRAMS[name]()
    rushlight.synchronize()
    memo.clear()
    local.tape.drop()
    texts: list[str] = []

    def watch(event: Event) -> None:
        if event.kind == FLUSH:
            texts.append(f"flush: {event.name}\n{plan_text(event.detail[0].compiled)}\n")

    with watching(watch):
        result = function()
        rushlight.synchronize()
        del result
    return renumbered("\n".join(texts).replace(HERE, "programs.py"))


def renumbered(text: str) -> str:
    """Values numbered in the order in which each tape names them: slots depend on when a tape saw
    its leaves, which is of no interest here."""
    return "flush: ".join(renumbered_tape(part) for part in text.split("flush: "))


def renumbered_tape(text: str) -> str:
    """The same of one tape; without the spaces that align the lines by the old numbers."""
    numbers: dict[str, str] = {}
    text = re.sub(r"%\d+", lambda m: numbers.setdefault(m[0], f"%{len(numbers)}"), text)
    return re.sub(r" +# ", "  # ", text)


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "executor", "compiled")


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_tape_and_groups_are_as_before(name: str, request: pytest.FixtureRequest) -> None:
    path, now = FOLDER / f"{name}.txt", shown(name)
    if request.config.getoption("--update-golden"):
        path.write_text(now, encoding="utf-8")
    assert now.splitlines() == path.read_text(encoding="utf-8").splitlines()


def test_every_kept_text_is_of_a_program() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(programs.PROGRAMS)
