"""Contexts that are decorators run functions and generators inside of themselves."""

from __future__ import annotations

import pytest

from rushlight.utils._contextlib import (
    _DecoratorContextManager,
    _NoParamDecoratorContextManager,
    context_decorator,
)

EVENTS: list[str] = []


class _Noted(_DecoratorContextManager):
    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        EVENTS.append(f"in {self.name}")

    def __exit__(self, *_: object) -> None:
        EVENTS.append(f"out {self.name}")

    def clone(self) -> _Noted:
        return _Noted(self.name)


@pytest.fixture(autouse=True)
def _forget():
    EVENTS.clear()


def test_each_call_of_a_function_runs_inside_of_a_new_context():
    @_Noted("x")
    def double(value: int) -> int:
        EVENTS.append("called")
        return 2 * value

    assert [double(2), double(3)] == [4, 6]
    assert EVENTS == ["in x", "called", "out x"] * 2 and double.__name__ == "double"


def test_each_step_of_a_generator_runs_inside():
    @_Noted("g")
    def steps():
        received = yield 1
        EVENTS.append(f"got {received}")
        try:
            yield 2
        except KeyError:
            yield 3
        return 4

    generator = steps()
    assert next(generator) == 1
    assert generator.send("it") == 2
    assert generator.throw(KeyError("k")) == 3
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert end.value.value == 4
    assert EVENTS == ["in g", "out g", "in g", "got it", "out g", "in g", "out g", "in g", "out g"]


def test_a_context_without_options_needs_no_brackets():
    class Bare(_NoParamDecoratorContextManager):
        def __enter__(self) -> None:
            EVENTS.append("in")

        def __exit__(self, *_: object) -> None:
            EVENTS.append("out")

    @Bare
    def call() -> str:
        return "done"

    assert call() == "done" and EVENTS == ["in", "out"]


def test_classes_are_refused():
    with pytest.raises(RuntimeError, match="classes"):
        context_decorator(_Noted("x"), dict)
