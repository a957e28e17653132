"""The operations of random programs whose results are exact: no rounding on any library.

A rule is (when it applies, function of the library, operands and two integers).  Operations with
jumps or kinks are only used on exact tensors; those in `EVERYWHERE` are used on all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rule = tuple[Callable[[Any], bool], Callable[..., Any]]


def axis_of(x: Any, number: int) -> int:
    """An axis of `x`, from either end."""
    rank = max(x.ndim, 1)
    return number % (2 * rank) - rank


# ---- when an operation applies: functions of a tensor --------------------------------------------


def always(x: Any) -> bool:
    return True


def real(x: Any) -> bool:
    return x.is_floating_point()


def boolean(x: Any) -> bool:
    return str(x.dtype).endswith("bool")


def number(x: Any) -> bool:
    return not boolean(x)


def integer(x: Any) -> bool:
    return number(x) and not real(x)


def discrete(x: Any) -> bool:
    return not real(x)


def signed(x: Any) -> bool:
    return number(x) and not str(x.dtype).endswith("uint8")


def ranked(x: Any) -> bool:
    return x.ndim > 0


def matrix(x: Any) -> bool:
    return x.ndim >= 2


def filled(x: Any) -> bool:
    return x.numel() > 0


def filled_number(x: Any) -> bool:
    return filled(x) and number(x)


def has_rows(x: Any) -> bool:
    return ranked(x) and filled(x)


def number_rows(x: Any) -> bool:
    return has_rows(x) and number(x)


def long(x: Any) -> bool:
    return ranked(x) and x.shape[-1] > 1


def filled_matrix(x: Any) -> bool:
    return matrix(x) and filled(x)


def two_rows(x: Any) -> bool:
    return ranked(x) and x.shape[0] >= 2


def two_elements(x: Any) -> bool:
    return x.numel() >= 2


def two_numbers(x: Any) -> bool:
    return two_elements(x) and real(x)


# ---- functions of one tensor ---------------------------------------------------------------------


def to_bfloat16_and_back(t: Any, x: Any, a: int, b: int) -> Any:
    return x.clamp(-8, 8).to(t.bfloat16).to(t.float64)


def rows_selected(t: Any, x: Any, a: int, b: int) -> Any:
    return x.index_select(0, t.tensor([a % x.shape[0], 0]))


def sorted_stably(t: Any, x: Any, a: int, b: int) -> Any:
    return x.sort(dim=axis_of(x, a), descending=bool(b % 2), stable=True)[0]


def gathered_in_order(t: Any, x: Any, a: int, b: int) -> Any:
    axis = axis_of(x, a)
    return x.gather(axis, x.argsort(dim=axis, stable=True, descending=bool(b % 2)))


def scattered(t: Any, x: Any, a: int, b: int) -> Any:
    places = t.arange(x.shape[0]) * (a % 3 + 1) % 3
    places = places.reshape(-1, *[1] * (x.ndim - 1)).expand(x.shape)
    zeros = t.zeros(3, *x.shape[1:], dtype=x.dtype)
    return zeros.scatter_add(0, places, x) if b % 2 else zeros.scatter(0, places[:1], x[:1])


def positions(t: Any, x: Any, a: int, b: int) -> Any:
    return t.searchsorted(t.tensor([-1.0, 0.25, 2.0]), x.to(t.float32), right=bool(a % 2))


def counted(t: Any, x: Any, a: int, b: int) -> Any:
    classes = x.reshape(-1).to(t.int64).abs() % 4
    return t.nn.functional.one_hot(classes, 4).sum(0) if b % 2 else t.bincount(classes, minlength=3)


def largest_in_windows(t: Any, x: Any, a: int, b: int) -> Any:
    return t.nn.functional.max_pool1d(x.reshape(1, 1, -1), 2, 1 + a % 2, padding=b % 2)[0, 0]


def looked_up(t: Any, x: Any, a: int, b: int) -> Any:
    table = x.reshape(x.shape[0], -1)
    return t.nn.functional.embedding(t.tensor([[0, a % x.shape[0]], [b % x.shape[0], 0]]), table)


def chosen_by_lists(t: Any, x: Any, a: int, b: int) -> Any:
    return x[t.tensor([a % x.shape[0], -1]), ..., t.tensor([0, b % x.shape[-1]])]


def to_narrow_integer(t: Any, x: Any, a: int, b: int) -> Any:
    kinds = (t.int8, t.int16, t.int32, t.uint8)
    small = x.to(t.float64).clamp(-100, 100)
    return (small.abs() if a % 4 == 3 else small).to(kinds[a % 4])


def with_itself_shifted(t: Any, x: Any, a: int, b: int) -> Any:
    return t.cat([x[1:], x[:1]]) - x


EXACT_UNARY: dict[str, Rule] = {
    "neg": (number, lambda t, x, a, b: -x),
    "invert": (discrete, lambda t, x, a, b: ~x),
    "abs": (number, lambda t, x, a, b: x.abs()),
    "relu": (real, lambda t, x, a, b: x.relu()),
    "sign": (always, lambda t, x, a, b: x.sign()),
    "floor": (real, lambda t, x, a, b: x.floor()),
    "ceil": (real, lambda t, x, a, b: x.ceil()),
    "trunc": (real, lambda t, x, a, b: x.trunc()),
    "round": (real, lambda t, x, a, b: x.round()),
    "clamp": (signed, lambda t, x, a, b: x.clamp(a % 3 - 1, 2 + b % 2)),
    "hardtanh": (real, lambda t, x, a, b: t.nn.functional.hardtanh(x, -1.5, a % 3)),
    "leaky": (real, lambda t, x, a, b: t.nn.functional.leaky_relu(x, 0.25)),
    "shift": (real, lambda t, x, a, b: x + (a % 5 - 2) / 4),
    "nextafter": (real, lambda t, x, a, b: t.nextafter(x.detach(), x.detach() + (a % 3 - 1))),
    "count": (always, lambda t, x, a, b: x + a % 3),
    "double": (number, lambda t, x, a, b: x * 2),
    "halve": (always, lambda t, x, a, b: x / 2),
    "negate_from": (signed, lambda t, x, a, b: a % 5 - x),
    "floor_divide": (number, lambda t, x, a, b: x.detach() // (2 + a % 2 * 2)),
    "remainder": (number, lambda t, x, a, b: x % (1 + a % 3)),
    "fmod": (number, lambda t, x, a, b: t.fmod(x, 2 + a % 2)),
    "bit_and": (discrete, lambda t, x, a, b: x & (a % 4) if integer(x) else x & True),
    "bit_or": (discrete, lambda t, x, a, b: x | (a % 4) if integer(x) else x | bool(a % 2)),
    "bit_xor": (integer, lambda t, x, a, b: x ^ (a % 8)),
    "shift_left": (integer, lambda t, x, a, b: x << (a % 3)),
    "shift_right": (integer, lambda t, x, a, b: x >> (a % 3)),
    "gcd": (integer, lambda t, x, a, b: t.gcd(x, t.ones_like(x) * 6)),
    "not": (always, lambda t, x, a, b: x.logical_not()),
    "is_nan": (real, lambda t, x, a, b: x.isnan()),
    "sum": (always, lambda t, x, a, b: x.sum(axis_of(x, a), keepdim=bool(b % 2))),
    "sum_two": (matrix, lambda t, x, a, b: x.sum((0, -1) if a % 2 else (-2, -1))),
    "total": (always, lambda t, x, a, b: x.sum()),
    "amax": (filled, lambda t, x, a, b: x.amax(axis_of(x, a), keepdim=bool(b % 2))),
    "amin": (filled, lambda t, x, a, b: x.amin(axis_of(x, a), keepdim=bool(b % 2))),
    "max": (has_rows, lambda t, x, a, b: x.max(axis_of(x, a))[0]),
    "argmin": (filled_number, lambda t, x, a, b: x.argmin(axis_of(x, a))),
    "argmax": (filled_number, lambda t, x, a, b: x.argmax(axis_of(x, a), keepdim=bool(b % 2))),
    "any": (signed, lambda t, x, a, b: (x > a % 3 - 1).any(axis_of(x, b))),
    "all": (always, lambda t, x, a, b: (x != a % 3).all(axis_of(x, b))),
    "cumsum": (always, lambda t, x, a, b: x.cumsum(axis_of(x, a))),
    "cummax": (filled, lambda t, x, a, b: x.cummax(axis_of(x, a))[b % 2]),
    "cummin": (filled, lambda t, x, a, b: x.cummin(axis_of(x, a))[b % 2]),
    "sort": (always, sorted_stably),
    "argsort": (always, lambda t, x, a, b: x.argsort(dim=axis_of(x, a), stable=True)),
    "topk": (number_rows, lambda t, x, a, b: x.detach().topk(1, axis_of(x, a))[0]),
    "compare": (signed, lambda t, x, a, b: x > a % 3 - 1),
    "unequal": (always, lambda t, x, a, b: x != a % 3),
    "flip": (ranked, lambda t, x, a, b: x.flip(axis_of(x, a))),
    "roll": (ranked, lambda t, x, a, b: x.roll(a % 3 - 1, axis_of(x, b))),
    "repeat": (always, lambda t, x, a, b: x.repeat(2, *[1] * x.ndim)),
    "interleave": (ranked, lambda t, x, a, b: x.repeat_interleave(2, axis_of(x, a))),
    "triu": (matrix, lambda t, x, a, b: x.triu(a % 3 - 1)),
    "tril": (matrix, lambda t, x, a, b: x.tril(a % 3 - 1)),
    "rot90": (matrix, lambda t, x, a, b: x.rot90(a % 4, (0, 1))),
    "movedim": (ranked, lambda t, x, a, b: x.movedim(axis_of(x, a), axis_of(x, b))),
    "pad": (long, lambda t, x, a, b: t.nn.functional.pad(x, (a % 3 - 1, b % 2))),
    "take": (has_rows, lambda t, x, a, b: x[[0, -1, 0]]),
    "lists": (filled_matrix, chosen_by_lists),
    "gather": (has_rows, gathered_in_order),
    "scatter": (number_rows, scattered),
    "embedding": (has_rows, looked_up),
    "max_pool": (two_numbers, largest_in_windows),
    "mask": (signed, lambda t, x, a, b: x[x > a % 3 - 1]),
    "nonzero": (always, lambda t, x, a, b: x.nonzero()),
    "count_nonzero": (always, lambda t, x, a, b: x.count_nonzero(axis_of(x, a))),
    "searchsorted": (always, positions),
    "bincount": (always, counted),
    "where": (signed, lambda t, x, a, b: t.where(x > a % 3 - 1, x, x * 0)),
    "masked_fill": (signed, lambda t, x, a, b: x.masked_fill(x > a % 3 - 1, b % 2)),
    "index_select": (has_rows, rows_selected),
    "clone": (always, lambda t, x, a, b: x.clone()),
    "to_double": (always, lambda t, x, a, b: x.to(t.float64)),
    "to_float": (always, lambda t, x, a, b: x.to(t.float32)),
    "to_int": (always, lambda t, x, a, b: x.to(t.int64)),
    "to_narrow": (always, to_narrow_integer),
    "to_half": (real, to_bfloat16_and_back),
    "unbind": (has_rows, lambda t, x, a, b: x.unbind(0)[a % x.shape[0]].clone()),
    "chunk": (has_rows, lambda t, x, a, b: x.chunk(2, axis_of(x, a))[0].clone()),
    "diff": (number_rows, lambda t, x, a, b: x.diff(dim=axis_of(x, a))),
    "difference": (number_rows, with_itself_shifted),
    "tile": (always, lambda t, x, a, b: x.tile(2)),
    "range": (has_rows, lambda t, x, a, b: t.arange(x.shape[0]) + a % 3),
    "ones": (always, lambda t, x, a, b: t.ones_like(x) + x),
}  # fmt: skip
# Linear, or nearly: nothing jumps, so values that rounding touched may pass through.
EVERYWHERE = {
    "neg", "shift", "double", "halve", "sum", "sum_two", "total", "cumsum", "flip", "roll",
    "repeat", "interleave", "triu", "tril", "rot90", "movedim", "pad", "take", "lists", "scatter",
    "embedding", "index_select", "clone", "unbind", "chunk", "diff", "difference", "tile", "ones",
    "to_double", "is_nan",
}  # fmt: skip


# ---- functions of two tensors of one dtype -------------------------------------------------------


def joined(t: Any, x: Any, y: Any, a: int, b: int) -> Any:
    return t.cat([x.reshape(-1), y.reshape(-1), x.reshape(-1)])


def stacked(t: Any, x: Any, y: Any, a: int, b: int) -> Any:
    return t.stack(t.broadcast_tensors(x, y), a % 2)


def selected_by_sign(t: Any, x: Any, y: Any, a: int, b: int) -> Any:
    return x.masked_fill(y > a % 3, b % 2)


def rows_times_rows(t: Any, x: Any, y: Any, a: int, b: int) -> Any:
    n = max(x.shape[-1] if x.ndim else 1, 1)
    whole = y.reshape(-1)[: y.numel() // n * n].reshape(-1, n)
    return x.reshape(-1, n) @ (whole.mT if a % 2 else whole.t())


# Exact where both operands are; a product of exact tensors is exact while it is small.
EXACT_BINARY: dict[str, Rule] = {
    "add": (always, lambda t, x, y, a, b: x + y),
    "sub": (number, lambda t, x, y, a, b: x - y),
    "and": (discrete, lambda t, x, y, a, b: x & y),
    "or": (discrete, lambda t, x, y, a, b: x | y),
    "xor": (discrete, lambda t, x, y, a, b: x ^ y),
    "mul": (always, lambda t, x, y, a, b: x * y),
    "maximum": (always, lambda t, x, y, a, b: t.maximum(x, y)),
    "minimum": (always, lambda t, x, y, a, b: t.minimum(x, y)),
    "less": (always, lambda t, x, y, a, b: x < y),
    "at_least": (always, lambda t, x, y, a, b: x >= y),
    "equal": (always, lambda t, x, y, a, b: x == y),
    "logical_or": (always, lambda t, x, y, a, b: t.logical_or(x, y)),
    "choose": (always, lambda t, x, y, a, b: t.where(x > y, x, y)),
    "fill_where": (signed, selected_by_sign),
    "copysign": (real, lambda t, x, y, a, b: t.copysign(x, y.abs() * (a % 2 * 2 - 1) - 0.25)),
    "heaviside": (real, lambda t, x, y, a, b: t.heaviside(x.detach(), y.detach())),
    "cat": (always, joined),
    "stack": (always, stacked),
    "lerp": (real, lambda t, x, y, a, b: t.lerp(x, y, 0.5)),
    "addcmul": (real, lambda t, x, y, a, b: t.addcmul(x, y, y, value=0.5)),
    "matmul": (filled_number, rows_times_rows),
}  # fmt: skip
KINKED_BINARY = {
    "maximum", "minimum", "less", "at_least", "equal", "choose", "logical_or", "fill_where",
    "copysign", "heaviside",
}  # fmt: skip
PRODUCTS = {"mul", "lerp", "addcmul", "matmul"}

# Of two tensors of any dtypes that broadcast.
MIXED: dict[str, Rule] = {
    "mixed_add": (always, lambda t, x, y, a, b: x + y),
    "mixed_mul": (always, lambda t, x, y, a, b: x * y),
    "mixed_less": (always, lambda t, x, y, a, b: x < y),
    "mixed_where": (always, lambda t, x, y, a, b: t.where(t.ones_like(x) > 0, x, y)),
    "mixed_cat": (always, lambda t, x, y, a, b: t.cat([x.reshape(-1), y.reshape(-1)])),
}
PRODUCTS.add("mixed_mul")
KINKED_BINARY.add("mixed_less")

# ---- views and writes ----------------------------------------------------------------------------

VIEWS: dict[str, Rule] = {
    "transpose": (always, lambda t, x, a, b: x.transpose(axis_of(x, a), axis_of(x, b))),
    "select": (has_rows, lambda t, x, a, b: x.select(axis_of(x, a), b % x.shape[axis_of(x, a)])),
    "slice": (ranked, lambda t, x, a, b: x[a % 3 :: 1 + b % 2]),
    "narrow": (ranked, lambda t, x, a, b: x[..., a % 2 : 1 + a % 2 + b % 2]),
    "strided": (ranked, lambda t, x, a, b: x[..., a % 2 :: 2 + b % 3]),
    "flatten": (always, lambda t, x, a, b: x.reshape(-1)),
    "column": (always, lambda t, x, a, b: x.reshape(-1, 1)),
    "unsqueeze": (always, lambda t, x, a, b: x.unsqueeze(a % (x.ndim + 1))),
    "squeeze": (always, lambda t, x, a, b: x.squeeze()),
    "expand": (always, lambda t, x, a, b: x.expand(2, *x.shape)),
    "diagonal": (matrix, lambda t, x, a, b: x.diagonal(a % 3 - 1)),
    "unfold": (two_rows, lambda t, x, a, b: x.unfold(0, 2, 1 + a % 2)),
    "detach": (always, lambda t, x, a, b: x.detach()),
    "permute": (always, lambda t, x, a, b: x.permute(tuple(range(x.ndim)[::-1]))),
    "rows": (has_rows, lambda t, x, a, b: x.contiguous().view(x.shape[0], -1)),
}  # fmt: skip


def add_ones_twice(t: Any, x: Any, y: Any, a: int, b: int) -> None:
    ones = t.ones_like(x[:1]).expand(2, *x.shape[1:])
    x.index_add_(0, t.tensor([0, 0]), ones)


def add_without_history(t: Any, x: Any, y: Any, a: int, b: int) -> None:
    with t.no_grad():
        x.add_(y) if a % 2 else x.sub_(y, alpha=2)


def set_without_history(t: Any, x: Any, y: Any, a: int, b: int) -> None:
    with t.no_grad():
        x[a % x.shape[0]] = b % 3


def fill_row(t: Any, x: Any, y: Any, a: int, b: int) -> None:
    x.index_fill_(0, t.tensor([a % x.shape[0]]), 1)


WRITES: dict[str, Rule] = {
    "add_": (always, lambda t, x, y, a, b: x.add_(y)),
    "mul_": (always, lambda t, x, y, a, b: x.mul_(y)),
    "copy_": (always, lambda t, x, y, a, b: x.copy_(y)),
    "fill_": (always, lambda t, x, y, a, b: x.fill_(a % 3)),
    "zero_": (always, lambda t, x, y, a, b: x.zero_()),
    "set_first": (has_rows, lambda t, x, y, a, b: x.__setitem__(0, a % 2)),
    "set_tail": (ranked, lambda t, x, y, a, b: x.__setitem__((..., slice(a % 2, None)), b % 3)),
    "set_mask": (always, lambda t, x, y, a, b: x.__setitem__(x > 0, a % 2)),
    "set_list": (has_rows, lambda t, x, y, a, b: x.__setitem__([0, -1], a % 2)),
    "clamp_": (signed, lambda t, x, y, a, b: x.clamp_(-1, 2)),
    "relu_": (real, lambda t, x, y, a, b: x.relu_()),
    "index_add_": (number_rows, add_ones_twice),
    "index_fill_": (has_rows, fill_row),
    "masked_fill_": (signed, lambda t, x, y, a, b: x.masked_fill_(x > a % 3, b % 2)),
    "add_apart_": (number, add_without_history),
    "set_apart_": (has_rows, set_without_history),
}  # fmt: skip
KINKED_WRITES = {"set_mask", "clamp_", "relu_", "masked_fill_"}


def overlaps_itself(x: Any) -> bool:
    """Whether two elements of `x` share memory."""
    places = [0]
    for n, stride in zip(x.shape, x.stride()):
        places = [place + i * stride for place in places for i in range(n)]
    return len(set(places)) < len(places)
