"""What TorchScript's language has is compiled to archives that PyTorch and rushlight read alike."""

# ruff: noqa: UP006, UP007, UP035, UP045 - what TorchScript code writes
from __future__ import annotations

import enum
import io
import math
from typing import Any, Dict, Final, List, NamedTuple, Optional, Tuple, Union

import pytest

pytest.importorskip("torch")

import rushlight
import rushlight as torch
import rushlight.nn.functional as F
from rushlight import Tensor, jit, nn
from tests.jit.written import check, rand

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Pair(NamedTuple):
    first: Tensor
    second: int


class Color(enum.Enum):
    RED = 1
    BLUE = 2


def doubled(x: Tensor, times: int = 2) -> Tensor:
    return x * times


def early(x: Tensor, limit: float) -> Tensor:
    for i in range(5):
        if i == 3:
            continue
        x = x + i
        if float(x.sum()) > limit:
            return x
    while True:
        x = x + 1
        if bool(x.min() > 10):
            break
    return -x


def test_loops_leave_by_break_continue_and_return() -> None:
    x = rushlight.zeros(3)
    check(early, (x, 1.0), (x, 100.0), (x + 20, 1e9))


def optional(x: Tensor, y: Optional[Tensor] = None, n: Optional[int] = None) -> Tensor:
    if y is None:
        y = torch.ones_like(x)
    if n is not None and n > 1:
        x = x * n
    z = y if n is None else y + n
    assert z is not None
    return x + y + z


def test_optional_values_are_narrowed_by_questions() -> None:
    x = rand(2, 3)
    check(optional, (x,), (x, x), (x, x, 3), (x, None, 1))


def containers(x: Tensor, d: Dict[str, Tensor]) -> Tuple[Dict[str, Tensor], List[int], Tensor]:
    out: Dict[str, Tensor] = {}
    sizes: List[int] = []
    for key, value in d.items():
        if key.startswith("skip") or "no" in key:
            continue
        out[key + "_2"] = value * 2
        sizes.append(value.size(0))
    for i, (_key, n) in enumerate(zip(d, [5, 6, 7])):
        sizes.append(i * n)
    sizes.sort()
    sizes += [len(d), sizes[-1], max(sizes), min(3, 2)]
    sizes[0] += 40
    del sizes[1]
    if "a" in d:
        x = x + d["a"].sum()
    rows = [row * 2 for row in x]
    a, b = rows
    return out, sizes, torch.stack([a, b] + rows[:1])


def test_lists_and_dictionaries_are_read_and_changed() -> None:
    d = {"a": rand(4), "skip": rand(1), "b": rand(2, 2)}
    check(containers, (rand(2, 3), d))


def indexing(x: Tensor, i: int, rows: Tensor) -> List[Tensor]:
    y = x.clone()
    y[0, 1:, None] = 5.0
    y[..., -1] += 1
    y[y > 4] = 0
    y[rows] *= 2
    y[i] = x[i - 1]
    return [
        x[0], x[-1, 1], x[:, 1:3], x[..., 0], x[..., None, ::2], x[None], x[i], x[i:, i],
        x[rows], x[:, rows], x[x > 0], x[0, ..., 1:], x[:, :, None], y,
    ]  # fmt: skip


def test_tensors_are_indexed_by_everything() -> None:
    check(indexing, (rand(3, 4), 1, rushlight.tensor([0, 2])))


def texts(x: Tensor, name: str) -> List[str]:
    a, b = x.shape
    parts = f"{name}: {a}x{b}".split(":")
    word = f"{name.upper()} and {a}"
    return [word, parts[1].strip(), name[1:3], name.replace("a", "b"), "-".join(parts), str(b),
            "%s-%d" % (name, a)]  # noqa: UP031  # fmt: skip


def test_texts_are_made_and_taken_apart() -> None:
    check(texts, (rand(2, 3), "banana"))


def numbers(n: int, f: float) -> List[float]:
    q = n // 2 + n % 3 - (-n)
    big = 2.0**n
    return [
        float(q), n / 4, big, math.sqrt(f), math.floor(f) * 1.0, abs(-f), float(n > 2),
        math.pi * f, max(f, 1.0), round(f), float(int(f)), float(n << 1), float(1 < n <= 4),
        float(n != 3), math.log(f + 1), float(bool(n)), f if n > 0 and f > 0 else -f,
    ]  # fmt: skip


def test_numbers_are_computed_as_in_python() -> None:
    check(numbers, (3, 2.5), (4, 0.25))


def raised(x: Tensor, n: int) -> Tensor:
    assert n != 7, f"seven {n}"
    if n > 3:
        raise ValueError("too many")
    elif n == 2:
        y = x + 1
    else:
        y = x - 1
    return y


def test_errors_are_raised_with_their_message() -> None:
    there = check(raised, (rand(2), 2), (rand(2), 1))
    import torch as other

    for n, message in ((5, "too many"), (7, "seven 7")):
        with pytest.raises(Exception, match=message):
            there(other.ones(1), n)


class Options(nn.Module):
    """Constants choose code; attributes are values; other methods are called and exported."""

    scale: Final[float]
    __constants__ = ["kind"]
    table: Dict[str, int]
    names: List[str]
    maybe: Optional[Tensor]

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.scale, self.kind = 0.5, kind
        self.table, self.names, self.maybe = {}, [], None
        self.pair = (2, 3.5)
        self.nested = {"a": [1, 2], "b": [3]}
        self.act = F.relu
        self.count = 0
        self.color = Color.BLUE
        self.dtype = torch.float64
        self.register_buffer("total", torch.zeros(2))
        self.register_buffer("absent", None)
        self.weight = nn.Parameter(torch.ones(2))

    @property
    def doubled_scale(self) -> float:
        return self.scale * 2

    def helper(self, x: Tensor, by: float = 3.0):
        return x * by, by

    @staticmethod
    def shifted(x: Tensor) -> Tensor:
        return x - 0.25

    @jit.unused
    def left_out(self, x: Tensor) -> Tensor:
        import os

        return x * len(os.listdir("."))

    @jit.export
    def other(self, x: Tensor) -> Tensor:
        return self.helper(x)[0]

    def forward(self, x: Tensor) -> Tuple[Tensor, int, float, bool]:
        if self.kind == "linear":
            y = x * self.scale
        else:
            y = self.nowhere(x)
        if self.absent is not None:
            y = y + self.absent.nothing()
        if not torch.jit.is_scripting():
            y = y * len(list(map(str, [1])))
        if float(y.sum()) > 1e9:
            y = self.left_out(y)
        self.total += y.sum(0)
        self.count += 1
        self.maybe = y
        held = self.maybe
        if held is not None:
            y = held + 1
        y, by = self.helper(y, by=2.0)
        y = self.act(self.shifted(y)) + self.weight + self.doubled_scale + self.total
        y = y.to(self.dtype).float()
        if hasattr(self, "missing"):
            y = y * 0
        n = self.nested["a"][1] + self.pair[0]
        return y, self.count + n, by + self.pair[1], self.color == Color.RED


def test_a_module_has_constants_attributes_and_methods() -> None:
    import copy

    module = Options("linear")
    module.nowhere = None
    fresh = copy.deepcopy(module)
    there = check(fresh, (rand(3, 2),))
    import torch as other

    assert there.other(other.ones(2)).tolist() == [3.0, 3.0]


def unions(x: Union[int, Tensor], y: Tensor) -> Tensor:
    if isinstance(x, int):
        return y + x
    return y * x


def test_a_union_is_told_apart_by_isinstance() -> None:
    check(unions, (2, rand(3)), (rand(3), rand(3)))


def tuples(x: Tensor) -> Tuple[Tensor, int, Pair, Tuple[int, int]]:
    pair = Pair(x, second=3)
    _a, (b, c) = x, (1, 2)
    b, c = c, b
    _first, *rest = (x, x + 1, x + 2)
    values, places = x.max(dim=0)
    best = torch.sort(x, 0)
    total = values + places + best.values.sum() + best[1].sum() + rest[1]
    return total + pair.first, pair.second + b, pair, (b, c)


def test_tuples_are_unpacked_and_named() -> None:
    check(tuples, (rand(4),))


def listed(x: Tensor) -> Tuple[List[float], Tensor]:
    values: List[float] = x.tolist()
    with torch.no_grad():
        y = x * 2
    with torch.enable_grad():
        y = y + 1
    return values, y


def test_with_and_tolist_are_written() -> None:
    check(listed, (rand(4),))


def calling(x: Tensor) -> Tensor:
    def_ = doubled(x)
    return doubled(doubled(def_), 1) + doubled(x, times=3)


def test_functions_call_functions() -> None:
    check(calling, (rand(2),))


def commented(x, n, flag):
    # type: (Tensor, int, bool) -> Tensor
    if flag:
        n = n + 1
    return x * n


def test_types_in_comments_are_read() -> None:
    check(commented, (rand(2), 3, True), (rand(2), 3, False))


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin(x)


class Derived(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + super(Derived, self).forward(x * 2)  # noqa: UP008


def test_super_is_called() -> None:
    check(Derived(), (rand(2, 3),))


class Modules(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)])
        self.named = nn.ModuleDict({"a": nn.ReLU(), "b b": nn.Tanh()})
        self.body = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.GELU(), nn.Dropout(0.5)))
        self.shared = self.layers[0]
        self.maybe: Any = None

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(x) + i
        for layer in self.layers[1:]:
            x = layer(x)
        for name, layer in self.named.items():
            if name == "a":
                x = layer(x)
            else:
                x = x + layer(x)
        for layer, by in zip(self.layers, (1.0, 2.0, 3.0)):
            x = layer(x) * by
        for layer in reversed(self.layers):
            x = layer(x)
        for m in self.body:
            x = m(x)
        if self.maybe is not None:
            x = self.maybe(x)
        first = self.layers[0]
        return self.body(x) + first(x) + self.layers[-1](x) + self.named["a"](x) + len(self.layers)


def test_containers_of_modules_are_unrolled_and_shared_modules_stay_shared() -> None:
    there = check(Modules().eval(), (rand(2, 3),))
    state = dict(there.named_parameters(remove_duplicate=False))
    assert state["shared.weight"].data_ptr() == state["layers.0.weight"].data_ptr()


class Typed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.names = jit.Attribute({}, Dict[str, int])

    def forward(self, x: Tensor) -> Tensor:
        self.names["a"] = 2
        return x * self.names["a"]


def test_an_attribute_keeps_the_type_it_was_given() -> None:
    buffer = io.BytesIO()
    jit.save(jit.script(Typed()), buffer)
    buffer.seek(0)
    import torch as other

    assert other.jit.load(buffer)(other.ones(1)).tolist() == [2.0]


class Drawing(nn.Module):
    """Counts its calls: what is taken apart is computed once."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.layers = nn.ModuleList([nn.Identity(), nn.ReLU()])

    def pair(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        self.calls += 1
        return x, x * 2

    def listed(self, x: Tensor) -> List[Tensor]:
        self.calls += 1
        return [x, x * 2]

    def forward(self, x: Tensor) -> Tuple[Tensor, int]:
        for part in self.pair(x):
            x = x + part
        for layer, part in zip(self.layers, self.listed(x)):
            x = layer(x) + part
        y = torch.add(*self.pair(x))
        z = torch.stack([part + 1 for part in self.pair(x)]).sum(0)
        a, *b = self.pair(x)
        return x + y + z + a + b[0], self.calls


def test_what_is_taken_apart_is_computed_once() -> None:
    x = rushlight.ones(2)
    there = check(Drawing(), (x,))
    assert there.calls == 5


def augmented(x: Tensor, n: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    y = x.clone()
    z = y
    y += 1
    y *= x
    y -= 0.5
    y /= 2
    m = n.clone()
    m |= 4
    m &= n
    m ^= 1
    return y, z, m


def test_augmented_assignments_write_in_place() -> None:
    check(augmented, (rand(3), rushlight.tensor([1, 6, 7])))
