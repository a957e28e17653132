"""Classes and modes with `__torch_function__` see and answer what they do in PyTorch."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight import overrides
from rushlight.overrides import interception


def _libraries() -> list[ModuleType]:
    return [rushlight, pytest.importorskip("torch")]


def _logging_class(torch: Any, log: list[str]) -> Any:
    class Mine(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, kinds, args=(), kwargs=None):
            log.append(function.__name__)
            return super().__torch_function__(function, kinds, args, kwargs or {})

    return Mine


def test_results_of_a_subclass_are_of_the_subclass() -> None:
    seen = []
    for torch in _libraries():
        kind = _logging_class(torch, [])
        x = torch.ones(2, 3).as_subclass(kind)
        made = (
            x + 1, 1 + x, 1 - x, x[0], x.sum(), torch.sin(x), x.T, x.view(6), x.detach(), x > 0,
            torch.stack([x, x]), x.max(0).values, torch.nn.functional.relu(x), x.double(),
            x + torch.ones(2, 3), torch.ones(2, 3) + x, torch.zeros_like(x), x.mm(x.T), x.data,
            x.split(1)[0],
        )  # fmt: skip
        seen.append([type(y).__name__ for y in made])
    assert seen[0] == seen[1]


def test_calls_are_seen_under_pytorchs_names() -> None:
    logs = []
    for torch in _libraries():
        log: list[str] = []
        x = torch.ones(2, 2).as_subclass(_logging_class(torch, log))
        log.clear()
        torch.add(x, 1)
        torch.nn.functional.softmax(x, 0)
        x.mul(2)
        x * 2
        x @ x
        torch.cat([x, x])
        torch.where(x > 0, x, x)
        x.requires_grad_()
        x.add_(1) if False else x.add(1)
        x.T
        x.sum()
        logs.append(log)
    assert logs[0] == logs[1]


def test_gradients_and_parameters_keep_the_class() -> None:
    for torch in _libraries():
        kind = _logging_class(torch, [])
        x = torch.ones(3).as_subclass(kind).requires_grad_()
        (x * x).sum().backward()
        parameter = torch.nn.Parameter(torch.ones(2).as_subclass(kind))
        assert type(parameter) is kind and isinstance(parameter, torch.nn.Parameter)
        assert x.grad is not None and x.grad.tolist() == [2.0, 2.0, 2.0]
        module = torch.nn.Module()
        module.weight = parameter
        assert [name for name, _ in module.named_parameters()] == ["weight"]


def test_modes_see_calls_and_change_results() -> None:
    for torch in _libraries():
        log: list[str] = []

        class Doubling(torch.overrides.TorchFunctionMode):
            def __torch_function__(self, function, kinds, args=(), kwargs=None, *, log=log):
                log.append(function.__name__)
                result = function(*args, **(kwargs or {}))
                return result * 2 if function.__name__ == "add" else result

        x = torch.ones(2)
        with Doubling():
            once = torch.add(x, x)
            with Doubling():
                twice = torch.add(x, x)
            torch.nn.functional.relu(x)
            torch.ones(2)
        torch.add(x, x)
        assert log == ["add", "add", "add", "mul", "relu", "ones"]
        assert once.tolist() == [4.0, 4.0] and twice.tolist() == [8.0, 8.0]


def test_functions_are_themselves_again_afterwards() -> None:
    # In a process of its own: where a subclass was used, functions are watched for good.
    code = """
import rushlight
from rushlight import overrides
codes = rushlight.sinc.__code__, rushlight.Tensor.__add__, rushlight.Tensor.shape.fget.__code__
with overrides.BaseTorchFunctionMode():
    assert rushlight.sinc.__code__ is not codes[0]
    assert rushlight.sinc(rushlight.zeros(1)).tolist() == [1.0]
assert codes == (
    rushlight.sinc.__code__, rushlight.Tensor.__add__, rushlight.Tensor.shape.fget.__code__
)
class Never(rushlight.Tensor):
    pass
assert rushlight.sinc.__code__ is codes[0]  # a class alone changes nothing
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_function_that_was_imported_by_name_is_seen_too() -> None:
    from rushlight import atan2 as held

    log = []

    class Log(overrides.TorchFunctionMode):
        def __torch_function__(self, function, kinds, args=(), kwargs=None):
            log.append(function)
            return function(*args, **(kwargs or {}))

    x = rushlight.ones(1)
    with Log():
        held(x, x)
    assert log == [held]


def test_disabled_classes_give_plain_tensors() -> None:
    class Off(rushlight.Tensor):
        __torch_function__ = rushlight._C._disabled_torch_function_impl

    x = rushlight.ones(2).as_subclass(Off)
    assert type(x) is Off and type(x + 1) is rushlight.Tensor
    log: list[str] = []
    y = rushlight.ones(2).as_subclass(_logging_class(rushlight, log))
    with rushlight._C.DisableTorchFunctionSubclass():
        assert type(y + 1) is rushlight.Tensor
    assert log == []


def test_own_functions_can_be_overridden() -> None:
    class Holder:
        @classmethod
        def __torch_function__(cls, function, kinds, args=(), kwargs=None):
            return function.__name__

    def mine(x):
        if overrides.has_torch_function((x,)):
            return overrides.handle_torch_function(mine, (x,), x)
        return "plain"

    assert mine(rushlight.ones(1)) == "plain" and mine(Holder()) == "mine"
    assert overrides.is_tensor_like(Holder()) and not overrides.is_tensor_like(3)


def test_other_classes_answer_while_functions_are_watched() -> None:
    class Scalar:
        @classmethod
        def __torch_function__(cls, function, kinds, args=(), kwargs=None):
            return "mean" if function is rushlight.mean else NotImplemented

    interception.watch()
    try:
        assert rushlight.mean(Scalar()) == "mean"
        with pytest.raises(TypeError, match="no implementation found"):
            rushlight.sin(Scalar())
    finally:
        interception.leave()


def test_attributes_of_a_subclass_can_be_handed_on() -> None:
    class Tagged(rushlight.Tensor):
        tag = ""

        @staticmethod
        def __new__(cls, data, tag):
            made = rushlight.Tensor._make_subclass(cls, data)
            made.tag = tag
            return made

        @classmethod
        def __torch_function__(cls, function, kinds, args=(), kwargs=None):
            result = super().__torch_function__(function, kinds, args, kwargs or {})
            if isinstance(result, cls):
                result.tag = next((a.tag for a in args if isinstance(a, cls)), "")
            return result

    x = Tagged(rushlight.ones(2), "metres")
    assert ((x * 2).tag, np.asarray((x * 2).tolist()).tolist()) == ("metres", [2.0, 2.0])


def test_names_resolve() -> None:
    resolve = overrides.resolve_name
    assert resolve(rushlight.Tensor.shape.__get__) == "torch.Tensor.shape.__get__"
    assert resolve(rushlight.add) in ("torch.add", "torch.Tensor.add")
    assert rushlight.nn.functional.conv2d in functools.reduce(
        lambda a, b: a + b, overrides.get_overridable_functions().values()
    )
    assert overrides.is_tensor_method_or_property(rushlight.Tensor.shape.__get__)


@pytest.mark.parametrize("name", ["conv2d", "linear", "softmax", "dropout"])
def test_a_watched_function_keeps_its_signature(name: str) -> None:
    function = getattr(rushlight.nn.functional, name)
    before = inspect.signature(function)
    interception.watch()
    try:
        assert inspect.signature(function) == before
    finally:
        interception.leave()
    assert inspect.signature(function) == before and "input" in before.parameters


def test_a_traced_module_is_saved_while_functions_are_watched(tmp_path: Path) -> None:
    model = rushlight.nn.Sequential(rushlight.nn.Conv2d(1, 2, 3), rushlight.nn.ReLU()).eval()
    x = rushlight.ones(1, 1, 5, 5)
    interception.watch()
    try:
        rushlight.jit.trace(model, (x,)).save(tmp_path / "net.pt")
        loaded = rushlight.jit.load(tmp_path / "net.pt")
        assert loaded(x).equal(model(x))
    finally:
        interception.leave()


def test_nobody_is_asked_whether_it_is_a_tensor() -> None:
    for torch in _libraries():
        log: list[str] = []
        x = torch.ones(2).as_subclass(_logging_class(torch, log))
        log.clear()
        assert torch.is_tensor(x) and not torch.is_storage(x) and log == []
