"""Modules under `torch.compile`: PyTorch's names, copies, files, and attributes."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import rushlight
from rushlight import nn

WARM = 6


def both() -> list[Any]:
    torch = pytest.importorskip("torch")
    return [torch, rushlight]


def net(torch: Any) -> Any:
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout(0.5))


NAMES: dict[str, Callable[[Any, Any], Any]] = {
    "state_dict": lambda torch, m: list(m.state_dict()),
    "parameters": lambda torch, m: [n for n, _ in m.named_parameters()],
    "modules": lambda torch, m: [n for n, _ in m.named_modules()],
    "children": lambda torch, m: [n for n, _ in m.named_children()],
    "class": lambda torch, m: type(m).__name__,
    "is a module": lambda torch, m: isinstance(m, torch.nn.Module),
    "length": lambda torch, m: len(m),
    "training": lambda torch, m: (m.eval().training, m._orig_mod[1].training, m.train().training),
    "attribute": lambda torch, m: (setattr(m, "marked", 3), m.marked, m._orig_mod.marked)[1:],
    "printed": lambda torch, m: repr(m),
    "copy": lambda torch, m: (type(copy.deepcopy(m)).__name__, list(copy.deepcopy(m).state_dict())),
    "original": lambda torch, m: type(m._orig_mod).__name__,
    "missing": lambda torch, m: hasattr(m, "nothing"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_wrapped_module_is_pytorchs(name: str) -> None:
    theirs, ours = [NAMES[name](torch, torch.compile(net(torch))) for torch in both()]
    assert ours == theirs


def test_state_goes_through_files_and_back() -> None:
    model = rushlight.compile(net(rushlight))
    file = io.BytesIO()
    rushlight.save(model.state_dict(), file)
    file.seek(0)
    other = rushlight.compile(net(rushlight))
    other.load_state_dict(rushlight.load(file))
    x = rushlight.ones(2, 3)
    assert rushlight.equal(model.eval()(x), other.eval()(x))
    again = pickle.loads(pickle.dumps(model))
    assert type(again) is type(model) and rushlight.equal(again(x), model(x))


def test_compiled_in_place() -> None:
    model = net(rushlight).eval()
    x = rushlight.ones(2, 3)
    model.compile(mode="reduce-overhead")
    with rushlight.no_grad():
        for _ in range(WARM):
            found = model(x)
    assert rushlight.compiler.replays(model).replays > 0
    assert list(model.state_dict()) == ["0.weight", "0.bias"]
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert rushlight.equal(other(x), found)
        with pytest.raises(TypeError):
            rushlight.compiler.replays(other)
    seen = []
    model.register_forward_hook(lambda *_: seen.append(1))
    with rushlight.no_grad():
        model(x)
        model(x)
    assert len(seen) == 2


def test_weights_changed_between_calls_of_inference() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    compiled = rushlight.compile(model.eval())
    with rushlight.no_grad():
        for number in range(3 * WARM):
            x = rushlight.full((4, 3), float(number))
            assert rushlight.equal(compiled(x), model(x))
            if number % 3 == 0:
                model[0].weight.add_(0.5)
                model[1].running_mean.mul_(0.5)
            if number == 8:
                model.train()
    assert rushlight.compiler.replays(compiled).replays > 0
    assert model[1].num_batches_tracked.item() == 2 * (3 * WARM - 9)


def test_explain_says_what_stood_in_the_way() -> None:
    report = rushlight._dynamo.explain(lambda x: x * x.sum().item())(rushlight.ones(2))
    assert report.replays == 0 and "read on the host" in str(report)
    assert rushlight._dynamo.explain(lambda x: x + 1)(rushlight.ones(2)).replays > 0
