"""Public functions show an example in their reference, and every example does what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import warnings
from typing import Any

import pytest

import rushlight
from tools import examples

PARTS = pytest.mark.parametrize("part", examples.PARTS)


def names_for(part: str, library: Any) -> dict[str, Any]:
    """What examples of a part may use; skips the test where that is not installed."""
    if part == "rushlight.onnx":
        pytest.importorskip("onnx")
        if library is not rushlight:
            pytest.importorskip("onnxscript")
    if ".vision" not in part:
        return examples.names_for(library)
    pytest.importorskip("PIL")
    if library is rushlight:
        return examples.names_for(library, importlib.import_module("rushlight.vision"))
    return examples.names_for(library, pytest.importorskip("torchvision"))


@PARTS
def test_every_public_function_of_a_part_has_an_example(part: str) -> None:
    public = set(examples.public(part))
    assert public - set(examples.examples(part)) == set()
    listed = {name for names in examples.table(part) for name in names.split(", ")}
    assert listed - public == set(), "examples of what is not there"


@PARTS
def test_an_example_calls_what_it_is_an_example_of(part: str) -> None:
    for names, text in examples.table(part).items():
        code = "".join(step.source for step in examples.steps(text))
        assert [name for name in names.split(", ") if name not in code] == []


@PARTS
def test_examples_print_what_they_say(part: str) -> None:
    with examples.device_of(part):
        for names, text in examples.table(part).items():
            assert examples.written(text, names_for(part, rushlight)) == text, names


@PARTS
def test_examples_in_docstrings_print_what_they_say(part: str) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    parser, names = doctest.DocTestParser(), vars(importlib.import_module(part))
    said: list[str] = []
    for name, value in examples.public(part).items():
        text = inspect.unwrap(value).__doc__ or ""
        if ">>>" in text:
            runner.run(parser.get_doctest(text, dict(names), name, None, None), out=said.append)
    assert runner.failures == 0, "".join(said)


@PARTS
def test_examples_print_the_same_on_pytorch(part: str) -> None:
    torch = pytest.importorskip("torch")
    here = part.replace("rushlight", "torch", 1).replace("torch.vision", "torchvision")
    names_for(part, torch)
    if part == "rushlight.cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch has no device here")
    there = importlib.import_module(here)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for names, text in examples.table(part).items():
            if all(hasattr(there, name) for name in names.split(", ")):
                assert examples.written(text, names_for(part, torch)) == text, names
