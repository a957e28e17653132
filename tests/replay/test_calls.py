"""Any function under `torch.compile` gives what it gives without it; if need be, Python runs."""

from __future__ import annotations

import threading
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from tests.replay.warming import WARM, X, replays, warm, x

FACTOR = 2.0
TABLE = {"scale": 1.5, "names": ["a", "b"]}


def helper(x: Any) -> Any:
    return x * FACTOR


# ---- what is guarded -----------------------------------------------------------------------------


def test_a_changed_global_of_a_function_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    function = torch.compile(lambda t: helper(t) + 1)
    assert warm(function, x()).tolist() == [3.0, -3.0, 7.0, 2.0]
    monkeypatch.setitem(globals(), "FACTOR", 10.0)
    for _ in range(WARM):
        assert function(x()).tolist() == [11.0, -19.0, 31.0, 6.0]
    monkeypatch.setitem(globals(), "helper", lambda t: t)
    assert function(x()).tolist() == [2.0, -1.0, 4.0, 1.5]


def test_a_changed_container(monkeypatch: pytest.MonkeyPatch) -> None:
    function = torch.compile(lambda t: t * TABLE["scale"] + len(TABLE["names"]))
    assert warm(function, x()).tolist()[0] == 3.5
    monkeypatch.setitem(TABLE, "scale", 2.5)
    assert function(x()).tolist()[0] == 4.5
    monkeypatch.setitem(TABLE, "names", ["a"])
    assert function(x()).tolist()[0] == 3.5


def test_a_changed_closure_and_default() -> None:
    shift = 1.0

    def add(t: Any, scale: float = 2.0) -> Any:
        return t * scale + shift

    function = torch.compile(add)
    assert warm(function, x()).tolist()[0] == 3.0
    shift = 5.0
    assert function(x()).tolist()[0] == 7.0
    add.__defaults__ = (3.0,)
    assert function(x()).tolist()[0] == 8.0
    assert function(x(), 0.0).tolist()[0] == 5.0
    assert function(x(), -0.0).tolist()[0] == 5.0


def test_equal_numbers_of_other_kinds() -> None:
    function = torch.compile(lambda t, n: t / n)
    assert warm(function, torch.ones(2), 0.0).tolist() == [np.inf] * 2
    assert function(torch.ones(2), -0.0).tolist() == [-np.inf] * 2
    kind = torch.compile(lambda t, n: t.sum() * n)
    integers = torch.ones(2, dtype=torch.int64)
    assert warm(kind, integers, 1).dtype is torch.int64
    assert kind(integers, 1.0).dtype is torch.float32
    assert kind(integers, True).dtype is torch.int64


class Scaler:
    base = 1.0

    def __init__(self) -> None:
        self.factor = 2.0
        self.unread = object()

    def offset(self) -> float:
        return 1.0

    def __call__(self, t: Any) -> Any:
        return t * self.factor + self.offset() + self.base


class Doubled(Scaler):
    pass


def test_attributes_and_methods_of_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    scaler = Doubled()
    function = torch.compile(scaler)
    assert warm(function, x()).tolist()[0] == 4.0
    scaler.factor = 3.0
    assert function(x()).tolist()[0] == 5.0
    scaler.factor = 2.0
    assert function(x()).tolist()[0] == 4.0
    monkeypatch.setattr(Doubled, "offset", lambda self: 7.0, raising=False)
    assert function(x()).tolist()[0] == 10.0
    scaler.offset = lambda: 0.0  # type: ignore[method-assign]
    assert function(x()).tolist()[0] == 3.0
    Scaler.base = 2.0
    assert function(x()).tolist()[0] == 4.0
    Scaler.base = 1.0
    before = replays(function)
    scaler.unread = object()
    warm(function, x())
    assert replays(function) > before


def test_modes_of_the_thread() -> None:
    weight = torch.ones(4, requires_grad=True)
    function = torch.compile(lambda t: (t * weight).sum())
    with torch.no_grad():
        assert not warm(function, x()).requires_grad
    result = function(x())
    assert result.requires_grad
    result.backward()
    assert weight.grad.tolist() == X
    made = torch.compile(lambda t: torch.zeros(2) + t.sum())
    with torch.no_grad():
        warm(made, x())
        torch.set_default_dtype(torch.float64)
        try:
            assert made(x()).dtype is torch.float64
        finally:
            torch.set_default_dtype(torch.float32)
        with torch.inference_mode():
            assert made(x()).tolist() == [2.5, 2.5]


def test_autocast_inside_and_around() -> None:
    layer = nn.Linear(4, 2)
    function = torch.compile(layer)

    @torch.compile
    def inside(t: Any) -> Any:
        with torch.autocast("cpu"):
            return layer(t)

    with torch.no_grad():
        assert warm(function, torch.ones(1, 4)).dtype is torch.float32
        with torch.autocast("cpu"):
            assert function(torch.ones(1, 4)).dtype is torch.bfloat16
        for _ in range(WARM):
            assert inside(torch.ones(1, 4)).dtype is torch.bfloat16
            layer.weight.add_(1.0)
            assert torch.equal(inside(torch.ones(1, 4)), inside(torch.ones(1, 4)))


def test_shapes_dtypes_layouts_and_classes() -> None:
    function = torch.compile(lambda t: t.reshape(-1)[:3] * 2)
    square = torch.arange(4.0).reshape(2, 2)
    assert warm(function, square).tolist() == [0.0, 2.0, 4.0]
    assert function(square.t()).tolist() == [0.0, 4.0, 2.0]
    assert function(torch.arange(6.0)).tolist() == [0.0, 2.0, 4.0]
    assert function(torch.arange(4).reshape(2, 2)).dtype is torch.int64
    whole = torch.arange(12.0).reshape(6, 2)
    for start in (0, 2, 4, 1, 3):
        assert function(whole[start : start + 2]).tolist() == [
            4.0 * start + 2 * k for k in range(3)
        ]
    assert function(square.to("meta")).device.type == "meta"


def test_containers_and_keywords_of_tensors() -> None:
    function = torch.compile(lambda batch, *, scale: batch["a"][0] * scale + batch["b"])
    batch = {"a": [x()], "b": torch.ones(4)}
    assert warm(function, batch, scale=2).tolist() == [3.0, -3.0, 7.0, 2.0]
    other = {"a": [x() * 2], "b": torch.zeros(4)}
    assert function(other, scale=2).tolist() == [4.0, -8.0, 12.0, 2.0]
    assert function(other, scale=3).tolist() == [6.0, -12.0, 18.0, 3.0]
    with pytest.raises(KeyError):
        function({"a": [x()]}, scale=2)


def test_an_argument_that_requires_a_gradient() -> None:
    def step(t: Any) -> Any:
        loss = t.square().sum()
        loss.backward()
        return loss.detach()

    function = torch.compile(step)
    for number in range(2 * WARM):
        leaf = torch.full((3,), float(number), requires_grad=True)
        assert function(leaf).item() == 3.0 * number**2
        assert leaf.grad.tolist() == [2.0 * number] * 3
        assert function(leaf).item() == 3.0 * number**2
        assert leaf.grad.tolist() == [4.0 * number] * 3


def test_arguments_that_share_memory() -> None:
    def write(t: Any, u: Any) -> Any:
        t.add_(1.0)
        return t + u

    function = torch.compile(write)
    for _ in range(WARM):
        t = x()
        assert function(t, torch.zeros(4)).tolist() == t.tolist() == [2.0, -1.0, 4.0, 1.5]
    assert replays(function) > 0
    t = x()
    assert function(t, t).tolist() == [4.0, -2.0, 8.0, 3.0]
    t = x()
    assert function(t, t.detach()).tolist() == [4.0, -2.0, 8.0, 3.0]
    t = x()
    assert function(t[:2], t[:2]).tolist() == [4.0, -2.0]


def test_an_argument_that_is_the_weight_it_updates() -> None:
    weight = x()

    def update(t: Any) -> Any:
        weight.mul_(2.0)
        return t + weight

    function = torch.compile(update)
    warm(function, torch.zeros(4))
    weight.copy_(x())
    assert function(weight).tolist() == [4.0, -8.0, 12.0, 2.0]
    assert function(weight.detach()).tolist() == [8.0, -16.0, 24.0, 4.0]


def test_indices_below_zero_and_out_of_bounds() -> None:
    function = torch.compile(lambda t, i: t[i])
    assert warm(function, x(), torch.tensor([0, 2])).tolist() == [1.0, 3.0]
    assert function(x(), torch.tensor([-1, -2])).tolist() == [0.5, 3.0]
    with pytest.raises(IndexError):
        function(x(), torch.tensor([0, 9])).tolist()
    assert function(x(), torch.tensor([1, 1])).tolist() == [-2.0, -2.0]


def test_pending_arguments_and_results_of_other_calls() -> None:
    function = torch.compile(lambda t: t * 2 + 1)
    warm(function, x())
    before = replays(function)
    t = x()
    for _ in range(3):
        t = function(t - 1)
    assert t.tolist() == [1.0, -23.0, 17.0, -3.0]
    assert replays(function) == before + 3


def test_large_weights_are_updated_where_they_lie() -> None:
    weight = torch.ones(300, 300, requires_grad=True)

    def step(t: Any) -> Any:
        loss = (weight * t).square().mean()
        loss.backward()
        with torch.no_grad():
            weight.sub_(0.5 * weight.grad)
            weight.grad = None
        return loss.detach()

    function = torch.compile(step)
    t = torch.linspace(0.0, 1.0, 300)
    for _ in range(WARM):
        function(t)
    before = replays(function)
    place = weight._node.pointer
    function(t)
    assert weight._node.pointer == place
    alias, copied, pending = weight.detach(), weight.detach().clone(), weight * 1.0
    function(t)
    assert torch.equal(pending, copied) and torch.equal(alias, weight)
    assert not torch.equal(copied, weight)
    assert replays(function) == before + 2
    shared = weight.detach().numpy()
    held = shared.copy()
    function(t)
    assert (shared != held).any() and (shared == weight.detach().numpy()).all()


# ---- what is random ------------------------------------------------------------------------------


def test_random_numbers_continue_where_they_would() -> None:
    own = torch.Generator()

    def draw(t: Any) -> Any:
        noise = torch.randn(4) + torch.rand(4, generator=own)
        return t + noise + nn.functional.alpha_dropout(t, 0.5, training=True)

    results = []
    for function in (draw, torch.compile(draw)):
        torch.manual_seed(3)
        own.manual_seed(4)
        found = [function(x()).tolist() for _ in range(2 * WARM)]
        results.append([found, torch.rand(2).tolist(), torch.rand(2, generator=own).tolist()])
    assert results[0] == results[1]
    assert replays(function) > 0


def test_a_generator_made_inside() -> None:
    def draw(t: Any) -> Any:
        return t + torch.rand(4, generator=torch.Generator().manual_seed(1))

    function = torch.compile(draw)
    expected = draw(x()).tolist()
    assert all(function(x()).tolist() == expected for _ in range(2 * WARM))
    assert "generator" in torch.compiler.replays(function).reason


def test_a_seed_set_inside() -> None:
    def draw(t: Any) -> Any:
        torch.manual_seed(0)
        return t + torch.rand(4)

    function = torch.compile(draw)
    expected = draw(x()).tolist()
    assert all(function(x()).tolist() == expected for _ in range(2 * WARM))


# ---- what a call returns -------------------------------------------------------------------------

Pair = namedtuple("Pair", "left right")


def test_trees_of_results() -> None:
    def tree(t: Any) -> Any:
        u = t + 1
        return {"pair": Pair(u, [u, 3]), "same": t, "text": f"{t.shape[0]}", "none": None}

    function = torch.compile(tree)
    warm(function, x())
    t = x()
    found = function(t)
    assert found["same"] is t and found["pair"].left is found["pair"].right[0]
    assert found["pair"].left.tolist() == [2.0, -1.0, 4.0, 1.5]
    assert (found["text"], found["none"], found["pair"].right[1]) == ("4", None, 3)
    found["pair"].right.append(4)
    found["pair"].left.zero_()
    again = function(t)
    assert again["pair"].right[1:] == [3] and again["pair"].left.tolist() == [2.0, -1.0, 4.0, 1.5]


def test_containers_that_are_given_changed_and_returned() -> None:
    def count(state: Any, t: Any) -> Any:
        state["n"] = state["n"] + t
        return state["n"]

    def fill(found: Any, t: Any) -> Any:
        found.append(t + 1)
        return found

    counting, filling = torch.compile(count), torch.compile(fill)
    state: dict[str, Any] = {"n": torch.zeros(1)}
    for number in range(2 * WARM):
        assert counting(state, torch.ones(1)).tolist() == [number + 1.0]
        found: list[Any] = []
        assert filling(found, torch.ones(1)) is found and len(found) == 1
    passing = torch.compile(lambda batch: batch)
    twice = torch.compile(lambda t: ([t + 1],) * 2)
    for _ in range(2 * WARM):
        batch = [torch.ones(2)]
        assert passing(batch) is batch
        left, right = twice(batch[0])
        assert left is right
    table = torch.compile(lambda t: TABLE)
    assert all(table(torch.ones(1)) is TABLE for _ in range(2 * WARM))


def test_constants_are_not_shared_between_results() -> None:
    function = torch.compile(lambda t: (torch.tensor([1.0, 2.0]), t + 1))
    warm(function, x())
    first, _ = function(x())
    first.mul_(10.0)
    first.numpy()[0] = 5.0
    second, _ = function(x())
    assert first.tolist() == [5.0, 20.0] and second.tolist() == [1.0, 2.0]


def test_results_written_to_and_read_as_arrays() -> None:
    function = torch.compile(lambda t: t * 2)
    warm(function, x())
    kept = [function(torch.full((4,), float(n))) for n in range(6)]
    arrays = [k.numpy() for k in kept[:3]]
    kept[3].add_(100.0)
    more = [function(torch.full((4,), 50.0 + n)) for n in range(6)]
    assert [a.tolist() for a in arrays] == [[0.0] * 4, [2.0] * 4, [4.0] * 4]
    assert [k[0].item() for k in kept[3:]] == [106.0, 8.0, 10.0]
    assert [m[0].item() for m in more] == [100.0 + 2 * n for n in range(6)]


def test_a_result_with_a_history_is_made_by_python() -> None:
    model = torch.compile(nn.Sequential(nn.Linear(4, 3), nn.Tanh()))
    for _ in range(WARM):
        model.zero_grad()
        model(x()).sum().backward()
        assert model._orig_mod[0].weight.grad is not None
    report = torch.compiler.replays(model)
    assert report.replays == 0 and "history" in report.reason


# ---- around it -----------------------------------------------------------------------------------


def test_nested_and_other_threads() -> None:
    inner = torch.compile(lambda t: t * 3)
    outer = torch.compile(lambda t: inner(t) + 1)
    assert warm(outer, x()).tolist()[0] == 4.0
    assert warm(inner, x()).tolist()[0] == 3.0
    found: list[Any] = []

    def work() -> None:
        found.extend(outer(torch.full((2,), float(n))).tolist()[0] for n in range(20))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted([3.0 * n + 1 for n in range(20)] * 3)


def test_inside_of_transforms() -> None:
    function = torch.compile(lambda t: (t * t).sum())
    warm(function, x())
    assert torch.func.grad(function)(x()).tolist() == [2.0, -4.0, 6.0, 1.0]
    assert torch.vmap(function)(torch.ones(3, 4)).tolist() == [4.0] * 3


def test_reset_and_stance() -> None:
    function = torch.compile(lambda t: t + 1)
    warm(function, x())
    before = replays(function)
    with torch.compiler.set_stance("force_eager"):
        function(x())
    assert replays(function) == before
    torch.compiler.reset()
    function(x())
    assert torch.compiler.replays(function).variants == 0
    with pytest.raises(TypeError, match=r"not under torch\.compile"):
        torch.compiler.replays(len)


def test_verifying_on_request_names_what_differs() -> None:
    box = [torch.ones(2)]
    function = torch.compile(lambda t: t + box[0], options={"verify": True})
    for _ in range(WARM):
        function(torch.ones(2))
    report = torch.compiler.replays(function)
    assert report.replays == 0 and report.variants == 1
    (kind,) = function.kinds.values()
    # What cannot happen: the plan adds another constant.
    kind.variants[0].recipe.constants[:] = []
    kind.variants[0]._read[0] = torch.zeros(2)
    with pytest.warns(Warning, match="result 0 differs"):
        assert function(torch.ones(2)).tolist() == [2.0, 2.0]
