"""Scripted and traced modules call what they wrap and share its parameters."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple  # noqa: UP035 - what TorchScript code writes

import pytest

import rushlight
from rushlight import jit, nn


def test_a_scripted_module_shares_parameters_and_is_one() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    made = jit.script(module)
    x = rushlight.ones(4, 2)
    assert isinstance(made, jit.ScriptModule) and isinstance(made, nn.Module)
    assert bool((made(x) == module(x)).all()) and list(made.state_dict()) == list(
        module.state_dict()
    )
    made(x).sum().backward()
    assert module[0].weight.grad is not None
    made.eval()
    assert not module.training and not made.training and not made[0].training
    assert made.original_name == "Sequential" and len(made) == 3
    assert jit.script(made) is made


def test_methods_and_attributes_of_the_module_are_there() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = 2.0

        def forward(self, x):
            for _ in range(2):
                x = x * self.factor
            return x

        @jit.export
        def other(self, x):
            return x + self.factor

        @jit.unused
        def unused(self, x):
            return x

    made = jit.script(Own())
    assert made(rushlight.ones(1)).tolist() == [4.0] and "for" in made.code
    assert made.other(rushlight.ones(1)).tolist() == [3.0]
    made.factor = 3.0
    assert made(rushlight.ones(1)).tolist() == [9.0]


def test_functions_are_wrapped_and_stay_branching() -> None:
    def f(x, n: int):
        return x * n if x.sum() > 0 else -x

    made = jit.script(f)
    traced = jit.trace(f, (rushlight.ones(1), 2))
    for call in (made, traced):
        assert call(rushlight.ones(1), 3).tolist() == [3.0]
        assert call(-rushlight.ones(1), 3).tolist() == [1.0]
    assert made.name == "f" and "sum" in made.code and "f" in str(made.graph)


def test_a_frozen_module_keeps_the_values_it_had() -> None:
    module = nn.Linear(2, 1)
    with pytest.raises(RuntimeError, match="eval mode"):
        jit.freeze(jit.script(module))
    x = rushlight.ones(1, 2)
    before = float(module(x))
    frozen = jit.freeze(jit.script(module.eval()))
    with rushlight.no_grad():
        module.weight.add_(1.0)
    assert float(frozen(x)) == before != float(module(x))
    assert list(frozen.parameters()) == [] and jit.optimize_for_inference(frozen) is frozen


def test_questions_have_the_answers_of_python() -> None:
    assert not jit.is_scripting() and not jit.is_tracing()
    assert jit.annotate(List[int], []) == []  # noqa: UP006
    assert jit.isinstance([1, 2], List[int]) and not jit.isinstance([1, "a"], List[int])  # noqa: UP006
    assert jit.isinstance({"a": (1, 2.0)}, Dict[str, Tuple[int, float]])  # noqa: UP006
    assert jit.isinstance(None, Optional[int])  # noqa: UP045

    @jit.ignore
    def f() -> int:
        return 1

    @jit.ignore(drop=True)
    def g() -> int:
        return 2

    assert (f(), g()) == (1, 2)


def test_calls_can_run_beside_one_another() -> None:
    futures = [jit.fork(lambda n: n * 2, n) for n in range(4)]
    assert [jit.wait(future) for future in futures] == [0, 2, 4, 6]


def _with_attributes(torch_: Any) -> list[Any]:
    class Typed(torch_.nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch_.jit.Attribute(3, int)
            self.names = torch_.jit.Attribute({"a": 1}, dict[str, int])

        def forward(self, x):  # type: ignore[no-untyped-def]
            return x * self.factor

    class Scripted(torch_.jit.ScriptModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch_.jit.Attribute(4, int)

        @torch_.jit.script_method
        def forward(self, x):  # type: ignore[no-untyped-def]
            return x * self.factor

    x = torch_.ones(2)
    inner = torch_.jit.script(torch_.nn.Sequential(Typed()))
    first, second = torch_.jit.script(Typed()), Scripted()
    return [first.factor, first.names, second.factor,
            first(x).tolist(), second(x).tolist(), inner(x).tolist()]  # fmt: skip


def test_attributes_with_a_type_are_their_values() -> None:
    torch = pytest.importorskip("torch")
    assert _with_attributes(rushlight) == _with_attributes(torch)


def test_a_fusion_strategy_is_given_back_by_the_next() -> None:
    before = jit.set_fusion_strategy([("STATIC", 1)])
    assert before == [("STATIC", 2), ("DYNAMIC", 10)]
    assert jit.set_fusion_strategy(before) == [("STATIC", 1)]
