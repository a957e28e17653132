"""Calls that do what a plan cannot: their Python runs each time, with all its effects."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from tests.replay.warming import WARM, replays, x


def helper(x: Any) -> Any:
    return x * 2.0


SEEN: list[Any] = []
COUNT = 0


def prints(t: Any) -> Any:
    print("called")
    return t + 1


def appends(t: Any) -> Any:
    SEEN.append(1)
    return t + 1


def counts(t: Any) -> Any:
    global COUNT
    COUNT += 1
    return t + 1


def marks(t: Any) -> Any:
    helper.calls = getattr(helper, "calls", 0) + 1  # type: ignore[attr-defined]
    return t + 1


def asks(t: Any) -> Any:
    return t + 1 if t.sum() > 0 else t - 1


def reads(t: Any) -> Any:
    return t + t[0].item()


def reads_what_is_there(t: Any) -> Any:
    return t + float(t.tolist()[0])


def reads_a_shape_of_values(t: Any) -> Any:
    return t[t > 0]


def looks_at_the_clock(t: Any) -> Any:
    return t + time.time() * 0


def draws_with_python(t: Any) -> Any:
    return t + random.random()


def draws_with_numpy(t: Any) -> Any:
    return t + float(np.random.rand())


def opens_a_file(t: Any) -> Any:
    with open("/dev/null") as file:
        return t + len(file.read())


@torch.compiler.disable
def marked(t: Any) -> Any:
    return t + 1


def calls_what_is_marked(t: Any) -> Any:
    return marked(t) * 2


@pytest.mark.parametrize(
    "function",
    [
        prints, appends, counts, marks, asks, reads, reads_what_is_there, reads_a_shape_of_values,
        looks_at_the_clock, draws_with_python, draws_with_numpy, opens_a_file, calls_what_is_marked,
    ],
)  # fmt: skip
def test_never_replayed(function: Callable[..., Any]) -> None:
    compiled = torch.compile(function)
    for number in range(2 * WARM):
        t = torch.tensor([1.0, float(number), -3.0])
        if function not in (draws_with_python, draws_with_numpy):
            assert torch.allclose(compiled(t), function(t))
        else:
            compiled(t)
    report = torch.compiler.replays(compiled)
    assert report.replays == 0 and report.reason, str(report)


def test_effects_happen_at_every_call(capsys: pytest.CaptureFixture[str]) -> None:
    SEEN.clear()
    for function in (torch.compile(prints), torch.compile(appends)):
        for _ in range(12):
            function(x())
    assert capsys.readouterr().out.count("called") == 12 and len(SEEN) == 12


def test_state_on_an_object() -> None:
    class Counter:
        def __init__(self) -> None:
            self.hidden = torch.zeros(4)
            self.count = 0

        def step(self, t: Any) -> Any:
            self.hidden = self.hidden + t
            self.count += 1
            return self.hidden

    counter = Counter()
    function = torch.compile(counter.step)
    for _ in range(10):
        function(x())
    assert counter.count == 10 and counter.hidden.tolist() == [10.0, -20.0, 30.0, 5.0]


def test_an_error_in_the_middle() -> None:
    weight = torch.ones(2)

    def step(t: Any, fails: bool) -> Any:
        weight.add_(1.0)
        if fails:
            raise ValueError("no")
        return t + weight

    function = torch.compile(step)
    for number in range(3 * WARM):
        if number % 3 == 2:
            with pytest.raises(ValueError, match="no"):
                function(torch.ones(2), True)
        else:
            function(torch.ones(2), False)
        assert weight.tolist() == [2.0 + number] * 2
    assert replays(function) > 0


class Net(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.scale = scale

    @torch.compile
    def forward(self, t: Any, offset: float = 0.0) -> Any:
        return self.layer(t) * self.scale + offset


def test_a_method_of_several_instances() -> None:
    nets = [Net(1.0), Net(2.0)]
    with torch.no_grad():
        for _ in range(WARM):
            for net in nets:
                expected = net.layer(torch.ones(4)) * net.scale
                assert torch.equal(net(torch.ones(4)), expected)
                assert torch.equal(net(torch.ones(4), offset=1.0), expected + 1.0)
    assert torch.compiler.replays(Net.forward).replays > 0


def test_values_of_other_devices_are_pythons() -> None:
    function = torch.compile(lambda t: (t.to("meta") + 1).shape[0] * t)
    for _ in range(WARM):
        assert function(torch.ones(2)).tolist() == [2.0, 2.0]
    assert function(torch.ones(3, device="meta")).device.type == "meta"
