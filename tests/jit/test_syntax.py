"""`jit.script` refuses what PyTorch's compiler cannot parse, where it is scripted."""

from __future__ import annotations

import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

LOCAL = """
def function(x):
    try:
        return x
    except ValueError:
        return x + 1

def lambdas(x):
    f = lambda y: y
    return f(x)

def nested(x):
    def inner():
        return x
    return inner()

def generator(x):
    yield x

def imports(x):
    import math
    return x * math.pi

def sets(x):
    found = {1, 2}
    return x

def walrus(x):
    if (y := x.dim()) > 1:
        return x
    return x

def varargs(*x):
    return x[0]

def keywords(x, *, scale=2):
    return x * scale

def filtered(x):
    return [i for i in range(3) if i > 1]

def for_else(x):
    for i in range(3):
        x = x + i
    else:
        x = x - 1
    return x

def floor_divided(x):
    x //= 2
    return x

def formatted(x: int):
    return f"{x:>10}"

def called(x):
    return lambdas(x) + 1

def taken(x):
    assert x.dim() > 0, "dims"
    total = x.sum()
    for i in range(3):
        if i == 1:
            continue
        total += i
    with torch.no_grad():
        total = total * 2
    names = {f"{i}": i for i in [1, 2]}
    first, (second, third) = 1, (2, 3)
    return total if x.dim() > 1 else -total

@torch.jit.ignore
def left(x):
    return (lambda y: y)(x)

def calls_what_is_left(x):
    return left(x)

class Bad(torch.nn.Module):
    def forward(self, x):
        return self.step(x)

    def step(self, x):
        return (lambda y: y)(x)

class Inner(Bad):
    def forward(self, x):
        x //= 2
        return x

class Outer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def forward(self, x):
        return self.inner(x)

class Good(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())

    def forward(self, x):
        return self.layer(x)

    def never_called(self, x):
        return (lambda y: y)(x)

    @torch.jit.unused
    def replaced(self, x):
        yield x
"""

REFUSED = [
    "function", "lambdas", "nested", "generator", "imports", "sets", "walrus", "varargs",
    "keywords", "filtered", "for_else", "floor_divided", "formatted", "called", "Bad", "Outer",
]  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripted")
    found = {}
    for module in (rl, torch):
        path = folder / f"of_{module.__name__}.py"
        path.write_text(LOCAL)
        names = {"torch": module, "__name__": "of_a_user"}
        exec(compile(LOCAL, str(path), "exec"), names)
        found[module] = names
    return found


def _outcome(module, names, name: str) -> str:
    made = names[name]
    if isinstance(made, type):
        made = made()
    try:
        module.jit.script(made)
    except module.jit.frontend.NotSupportedError as error:
        return type(error).__name__
    return "taken"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_parsed_is_refused_as_in_pytorch(sources, name) -> None:
    found, expected = (_outcome(m, sources[m], name) for m in (rl, torch))
    assert found == expected != "taken"


@pytest.mark.parametrize("name", ["taken", "calls_what_is_left", "Good"])
def test_what_can_be_parsed_is_taken(sources, name) -> None:
    for module in (rl, torch):
        assert _outcome(module, sources[module], name) == "taken"


def test_the_error_says_where_and_what_to_do(sources) -> None:
    with pytest.raises(rl.jit.frontend.UnsupportedNodeError) as caught:
        rl.jit.script(sources[rl]["called"])
    text = str(caught.value)
    assert "Lambda aren't supported" in text and "torch.jit.ignore" in text
    assert "of_rushlight.py" in text and "f = lambda y: y" in text
