"""`_foreach_*`: one operation on each tensor of a list.

What is recorded for the list becomes few kernels by itself; these are the names that optimizers and
averaging code call.  Level 11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.ops.spelling import PUBLIC
from rushlight.tensor.tensor import Tensor

_UNARY = (
    "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg"
    " reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"
).split()
_BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "div", "pow": "pow", "maximum": "maximum",
    "minimum": "minimum", "clamp_min": "clamp_min", "clamp_max": "clamp_max",
}  # fmt: skip


def _check_lists(name: str, *lists: Any) -> None:
    if not lists[0]:
        raise RuntimeError(f"_foreach_{name}: Tensor list must have at least one tensor.")
    lengths = [len(one) for one in lists]
    if len(set(lengths)) > 1:
        raise RuntimeError(
            f"_foreach_{name}: Tensor lists must have the same number of tensors, got "
            f"{' and '.join(map(str, lengths))}"
        )


def _each(name: str, first: Sequence[Any], other: Any) -> Sequence[Any]:
    """The second operand for each tensor: a list of its own, or one value for all."""
    if isinstance(other, (list, tuple)):
        _check_lists(name, first, other)
        return other
    _check_lists(name, first)
    return [other] * len(first)


def _put(targets: Sequence[Any], values: Sequence[Any]) -> None:
    for target, value in zip(targets, values):
        target.copy_(value)


def _both(name: str, listed: Callable[..., list[Any]]) -> None:
    """The function and its form that writes into the first list."""

    def in_place(self: Sequence[Any], *args: Any, **kwargs: Any) -> None:
        _put(self, listed(self, *args, **kwargs))

    listed.__name__ = listed.__qualname__ = f"_foreach_{name}"
    in_place.__name__ = in_place.__qualname__ = f"_foreach_{name}_"
    PUBLIC[listed.__name__] = listed
    PUBLIC[in_place.__name__] = in_place


def _unary(name: str) -> None:
    function: Any = PUBLIC[name]

    def listed(self: Sequence[Tensor]) -> list[Any]:
        _check_lists(name, self)
        return [function(x) for x in self]

    _both(name, listed)


def _binary(name: str, spelled: str) -> None:
    method = f"{spelled}"

    def listed(self: Any, other: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(self, (list, tuple)):  # a number to the power of each
            return [PUBLIC[spelled](self, x) for x in other]  # type: ignore[operator]
        others = _each(name, self, other)
        if method in ("maximum", "minimum"):
            limit = "clamp_min" if method == "maximum" else "clamp_max"
            return [
                getattr(x, method if isinstance(y, Tensor) else limit)(y)
                for x, y in zip(self, others)
            ]
        return [getattr(x, method)(y, **kwargs) for x, y in zip(self, others)]

    _both(name, listed)


def _addc(name: str) -> None:
    def listed(
        self: Sequence[Any], tensor1: Sequence[Any], tensor2: Sequence[Any], value: Any = 1
    ) -> list[Any]:
        _check_lists(name, self, tensor1, tensor2)
        values = value.tolist() if isinstance(value, Tensor) else value  # type: ignore[attr-defined]
        values = _each(name, self, values)
        return [
            getattr(x, name)(a, b, value=v) for x, a, b, v in zip(self, tensor1, tensor2, values)
        ]

    _both(name, listed)


def _lerp(self: Sequence[Any], tensors1: Sequence[Any], weight: Any) -> list[Any]:
    _check_lists("lerp", self, tensors1)
    weights = _each("lerp", self, weight)
    return [x.lerp(y, w) for x, y, w in zip(self, tensors1, weights)]


def _foreach_norm(self: Sequence[Any], ord: Any = 2, dtype: Any = None) -> list[Any]:  # noqa: A002
    """The norm of each tensor."""
    _check_lists("norm", self)
    return [x.reshape(-1).norm(ord, dtype=dtype) for x in self]


def _foreach_max(self: Sequence[Any]) -> list[Any]:
    """The largest element of each tensor."""
    _check_lists("max", self)
    return [x.max() for x in self]


def _foreach_clone(self: Sequence[Any], memory_format: Any = None) -> list[Any]:
    """A copy of each tensor."""
    _check_lists("clone", self)
    return [x.clone() for x in self]


def _foreach_copy_(self: Sequence[Any], src: Sequence[Any], non_blocking: bool = False) -> None:
    """Write the tensors of the second list into those of the first."""
    _check_lists("copy_", self, src)
    _put(self, src)


def _foreach_zero_(self: Sequence[Any]) -> None:
    """Fill each tensor with zeros."""
    for x in self:
        x.zero_()


def _foreach_mm(self: Sequence[Any], mat2: Sequence[Any]) -> list[Any]:
    """The product of each pair of matrices."""
    _check_lists("mm", self, mat2)
    return [x.mm(y) for x, y in zip(self, mat2)]


def _foreach_powsum(self: Sequence[Any], ord: Any = 2, dtype: Any = None) -> list[Any]:  # noqa: A002
    """The sum of powers of magnitudes of each tensor."""
    _check_lists("powsum", self)
    return [x.abs().pow(ord).sum(dtype=dtype) for x in self]


for _name in _UNARY:
    _unary(_name)
for _name, _spelled in _BINARY.items():
    _binary(_name, _spelled)
for _name in ("addcmul", "addcdiv"):
    _addc(_name)
_both("lerp", _lerp)
for _function in (
    _foreach_norm, _foreach_max, _foreach_clone, _foreach_copy_, _foreach_zero_, _foreach_mm,
    _foreach_powsum,
):  # fmt: skip
    PUBLIC[_function.__name__] = _function
