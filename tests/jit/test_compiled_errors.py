"""What TorchScript does not have is refused when it is saved, with file, line, rule and repair."""

# ruff: noqa: UP006, UP035, UP045 - what TorchScript code writes
from __future__ import annotations

import io
from typing import Any, Dict, List, Optional

import pytest

import rushlight as torch
from rushlight import Tensor, jit, nn
from rushlight.jit.frontend import NotSupportedError


def _save(program: Any) -> None:
    jit.save(jit.script(program), io.BytesIO())


def with_lambda(x: Tensor) -> Tensor:
    return (lambda y: y + 1)(x)


def with_stars(x: Tensor, *rest: Tensor) -> Tensor:
    return x


def with_try(x: Tensor) -> Tensor:
    try:
        return x + 1
    except ValueError:
        return x


def with_condition(x: Tensor) -> List[int]:
    return [i for i in range(3) if i]


def with_generator(x: Tensor) -> Tensor:
    yield x


def with_unknown_annotation(x: List) -> Tensor:

    return x


def with_set(x: Tensor) -> Tensor:
    y = {1, 2}
    return x * len(y)


UNSUPPORTED = [with_lambda, with_stars, with_try, with_condition, with_set, with_generator]


@pytest.mark.parametrize("function", UNSUPPORTED, ids=lambda f: f.__name__)
def test_constructs_that_torchscript_has_not_are_named(function: Any) -> None:
    with pytest.raises(NotSupportedError, match=r'File ".*test_compiled_errors.py", line \d+'):
        _save(function)


VALUES = [1, 2]


def of_optional(x: Optional[Tensor]) -> Tensor:
    return x + 1


def of_attribute(x: Optional[Tensor]) -> Tensor:
    return x.sum()


def of_types(x: Tensor, n: int) -> Tensor:
    return x + [n]


def scaled(x: Tensor, n: int) -> Tensor:
    return x * n


def of_return(x: Tensor) -> int:
    return x


def of_paths(x: Tensor, n: int) -> Tensor:
    if n > 2:
        y = x
    return y


def of_branches(x: Tensor, n: int) -> Tensor:
    if n > 2:
        y = x
    else:
        y = 3
    return y


def of_loop(x: Tensor, n: int) -> Tensor:
    y = 0
    for i in range(n):
        y = x * i
    return y


def of_missing_return(x: Tensor, n: int) -> Tensor:
    if n > 2:
        return x


def of_global(x: Tensor) -> Tensor:
    return x * VALUES[0]


def of_undefined(x: Tensor) -> Tensor:
    return x + nowhere  # noqa: F821


def of_call(x: Tensor) -> Tensor:
    return scaled(x)


def of_keyword(x: Tensor) -> Tensor:
    return scaled(x, m=3)


def of_argument(x: Tensor) -> Tensor:
    return scaled(x, x)


def of_method(x: Tensor) -> Tensor:
    return x.frobnicate()


def of_recursion(x: Tensor, n: int) -> Tensor:
    return of_recursion(x, n - 1) if n else x


def of_append(x: Tensor) -> List[Tensor]:
    items = []
    items.append(3)
    return items


def of_builtin(x: Tensor) -> Tensor:
    return x * len(open("x").read())


@jit.ignore
def left_to_python(x: Tensor) -> Tensor:
    return x


def of_ignored(x: Tensor) -> Tensor:
    return left_to_python(x)


def of_unpacking(x: Tensor) -> Tensor:
    a, _b = x, x, x
    return a


RULES = [
    (of_optional, r"not valid: add\(Optional\[Tensor\], int\)"),
    (of_attribute, r"'Optional\[Tensor\]' object has no attribute or method 'sum'"),
    (of_types, r"Arguments for call are not valid: add\(Tensor, List\[int\]\)"),
    (of_return, "annotated as having type int but is actually of type Tensor"),
    (of_paths, "y is not defined in all paths"),
    (of_branches, "Type mismatch: y is set to type Tensor in the true branch and type int"),
    (of_loop, "'y' previously had type int but is now being assigned to a value of type Tensor"),
    (of_missing_return, "does not return along all paths"),
    (of_global, "python value of type 'list' cannot be used as a value"),
    (of_undefined, "undefined value nowhere"),
    (of_call, r"scaled\(\) is missing value for argument 'n'"),
    (of_keyword, "Unknown keyword argument 'm'"),
    (of_argument, "Expected a value of type 'int' for argument 'n' but instead found type"),
    (of_method, "Unknown builtin op: aten::frobnicate"),
    (of_recursion, "is called recursively"),
    (of_append, r"Could not match type int to Tensor in a call of append: annotate the list"),
    (of_builtin, "Python builtin <built-in function open> is currently not supported"),
    (of_ignored, "Could not export Python function call 'left_to_python'"),
    (of_unpacking, "need 2 values to unpack, found a tuple of 3"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "rule"), RULES, ids=lambda v: getattr(v, "__name__", ""))
def test_wrong_types_and_names_are_refused(function: Any, rule: str) -> None:
    with pytest.raises(RuntimeError, match=rule) as caught:
        _save(function)
    assert "test_compiled_errors.py" in str(caught.value)


class Wrong(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.empty: Dict[str, int] = {}
        self.thing = object()
        self.kind: jit.Final[str] = kind

    __constants__ = ["kind"]

    def forward(self, x: Tensor, i: int = 0) -> Tensor:
        if self.kind == "index":
            return self.layers[i](x)
        elif self.kind == "object":
            return x * self.thing.value
        elif self.kind == "empty":
            return x * len(self.empty)
        elif self.kind == "break":
            for layer in self.layers:
                x = layer(x)
                if i > 0:
                    break
            return x
        elif self.kind == "new":
            self.new = x
            return x
        elif self.kind == "constant":
            self.kind = "other"
            return x
        return self.missing(x)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("index", "Expected integer literal for index"),
        ("object", "'thing'.*failed to convert Python type: 'object'"),
        ("empty", "has no attribute 'empty'"), ("break", "unrolled loops"),
        ("new", "Tried to set nonexistent attribute: new"),
        ("constant", "is a constant and cannot be set"), ("none", "has no attribute 'missing'"),
    ],
)  # fmt: skip
def test_modules_say_what_they_have_not(kind: str, rule: str) -> None:
    with pytest.raises(RuntimeError, match=rule):
        _save(Wrong(kind))


def test_hooks_and_foreign_modules_are_refused() -> None:
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda *_: None)
    with pytest.raises(RuntimeError, match="has forward hooks, which are not written"):
        _save(nn.Sequential(layer))
    traced = jit.trace(nn.Linear(2, 2), torch.ones(1, 2))
    with pytest.raises(RuntimeError, match="a traced module cannot be part of a scripted one"):
        _save(nn.Sequential(traced))


def test_code_is_the_text_of_the_archive() -> None:
    made = jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    assert made.code.startswith("def forward(self") and 'getattr(self, "0")' in made.code
    assert "torch.linear(input, self.weight, self.bias)" in jit.script(made[0]).code
    with pytest.raises(NotSupportedError):
        _ = jit.script(with_lambda).code


def test_a_frozen_module_is_saved_with_the_values_it_had() -> None:
    module = nn.Linear(2, 1).eval()
    frozen = jit.freeze(jit.script(module))
    before = module(torch.ones(1, 2)).item()
    with torch.no_grad():
        module.weight.add_(1.0)
    buffer = io.BytesIO()
    jit.save(frozen, buffer)
    buffer.seek(0)
    assert jit.load(buffer)(torch.ones(1, 2)).item() == before != module(torch.ones(1, 2)).item()


def test_a_class_of_script_methods_is_saved() -> None:
    class Own(jit.ScriptModule):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(2, 2)

        @jit.script_method
        def forward(self, x: Tensor) -> Tensor:
            return self.lin(x)

    module, buffer = Own(), io.BytesIO()
    module.save(buffer)
    buffer.seek(0)
    x = torch.ones(1, 2)
    assert bool((jit.load(buffer)(x) == module(x)).all())
