"""`assert_close`: whether two values are equal up to rounding, and where they are not.

In: tensors, numbers, booleans, None, NumPy arrays, sequences and mappings of them.  Out: nothing,
or an AssertionError that says what differs, by how much and where.  Level 12.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rushlight.base.dtypes import (
    HALVES,
    DType,
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    promote_types,
)
from rushlight.tensor.tensor import Tensor

# Relative and absolute tolerance of each dtype, as PyTorch's.
_TOLERANCES: dict[DType, tuple[float, float]] = {
    float16: (1e-3, 1e-5),
    bfloat16: (1.6e-2, 1e-5),
    float32: (1.3e-6, 1e-5),
    float64: (1e-7, 1e-7),
    complex64: (1.3e-6, 1e-5),
    complex128: (1e-7, 1e-7),
}
_NUMBERS = (int, float, complex, np.number)


class _Options:
    """What the comparison was asked to look at."""

    def __init__(self, rtol: float | None, atol: float | None, **flags: bool) -> None:
        if (rtol is None) != (atol is None):
            missing = "rtol" if rtol is None else "atol"
            raise ValueError(
                f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}."
            )
        self.rtol, self.atol = rtol, atol
        self.flags = flags

    def tolerances(self, *dtypes: DType) -> tuple[float, float]:
        """The given ones, or the widest among the dtypes'."""
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        known = [_TOLERANCES.get(dtype, (0.0, 0.0)) for dtype in dtypes]
        return max(r for r, _ in known), max(a for _, a in known)


class _Mismatch(AssertionError):
    """What differs, and at which keys of the containers."""

    def __init__(self, text: str, place: tuple = ()) -> None:
        super().__init__(text)
        self.text, self.place = text, place


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Check that `actual` equals `expected` up to rounding: |a - e| <= atol + rtol * |e|.

    rtol, atol: both or neither; without them the dtype decides.
    allow_subclasses: False asks for equal types.
    msg: the text of the error, or a function of the text.
    Raises: AssertionError where they differ, TypeError for values that cannot be compared,
        ValueError for one tolerance without the other.
    """
    options = _Options(
        rtol, atol, equal_nan=equal_nan, device=check_device, dtype=check_dtype,
        layout=check_layout, stride=check_stride, subclasses=allow_subclasses,
    )  # fmt: skip
    try:
        _compare(actual, expected, options, ())
    except _Mismatch as found:
        text = found.text
        if found.place:
            text += f"\n\nThe failure occurred for item {''.join(f'[{k!r}]' for k in found.place)}"
    else:
        return
    raise AssertionError(text if msg is None else msg(text) if callable(msg) else msg)


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """The former `assert_close`, which converts instead of comparing dtypes and devices."""
    warnings.warn(
        "assert_allclose is deprecated; use torch.testing.assert_close", FutureWarning, stacklevel=2
    )
    actual, expected = _as_tensor(actual), _as_tensor(expected)
    assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=False,
        check_dtype=False, check_stride=False, msg=msg or None,
    )  # fmt: skip


def _as_tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else Tensor(0).new_tensor(value)


def _compare(actual: Any, expected: Any, options: _Options, place: tuple) -> None:
    if isinstance(actual, Tensor) and isinstance(expected, Tensor):
        if not options.flags["subclasses"] and type(actual) is not type(expected):
            _cannot_compare(actual, expected, place)
        _compare_tensors(actual, expected, options, place)
    elif isinstance(actual, np.ndarray) and isinstance(expected, np.ndarray):
        new = Tensor(0).new_tensor
        _compare_tensors(new(actual), new(expected), options, place)
    elif actual is None or expected is None:
        if actual is not expected:
            raise _Mismatch(f"None mismatch: {actual} is not {expected}", place)
    elif _is_bool(actual) and _is_bool(expected):
        if bool(actual) != bool(expected):
            raise _Mismatch(f"Booleans mismatch: {actual} is not {expected}", place)
    elif isinstance(actual, (*_NUMBERS, np.number)) and isinstance(
        expected, (*_NUMBERS, np.number)
    ):
        _compare_numbers(actual, expected, options, place)
    elif _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            text = f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
            raise _Mismatch(text, place)
        for index, (a, e) in enumerate(zip(actual, expected)):
            _compare(a, e, options, (*place, index))
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        _compare_mappings(actual, expected, options, place)
    else:
        _cannot_compare(actual, expected, place)


def _cannot_compare(actual: Any, expected: Any, place: tuple) -> None:
    where = "".join(f"[{key!r}]" for key in place)
    raise TypeError(
        f"No comparison pair was able to handle inputs of type {type(actual)} and "
        f"{type(expected)}{f', at {where}' if where else '.'}"
    )


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _compare_mappings(actual: Any, expected: Any, options: _Options, place: tuple) -> None:
    missing = sorted(set(expected) - set(actual), key=repr)
    additional = sorted(set(actual) - set(expected), key=repr)
    if missing or additional:
        raise _Mismatch(
            "The keys of the mappings do not match:\n"
            f"Missing keys in the actual mapping: {missing}\n"
            f"Additional keys in the actual mapping: {additional}",
            place,
        )
    for key in actual:
        _compare(actual[key], expected[key], options, (*place, key))


def _compare_numbers(actual: Any, expected: Any, options: _Options, place: tuple) -> None:
    if options.flags["dtype"] and type(actual) is not type(expected):
        text = f"The (d)types do not match: {type(actual)} != {type(expected)}."
        raise _Mismatch(text, place)
    kinds = {int: (0.0, 0.0), bool: (0.0, 0.0)}
    pairs = [kinds.get(type(value), (1e-7, 1e-7)) for value in (actual, expected)]
    rtol, atol = options.rtol, options.atol
    if rtol is None or atol is None:
        rtol, atol = max(p[0] for p in pairs), max(p[1] for p in pairs)
    _compare_scalars(actual, expected, rtol, atol, options.flags["equal_nan"], place)


def _compare_scalars(
    a: Any, e: Any, rtol: float, atol: float, equal_nan: bool, place: tuple
) -> None:
    if a == e or (equal_nan and a != a and e != e):
        return
    difference = abs(a - e)
    finite = abs(e) != float("inf") and difference == difference
    if finite and difference <= atol + rtol * abs(e):
        return
    relative = difference / abs(e) if e else float("inf")
    exact = rtol == 0 and atol == 0
    raise _Mismatch(
        f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {e} but got {a}.\n"
        f"Absolute difference: {difference}{'' if exact else f' (up to {atol} allowed)'}\n"
        f"Relative difference: {relative}{'' if exact else f' (up to {rtol} allowed)'}",
        place,
    )


def _compare_tensors(actual: Tensor, expected: Tensor, options: _Options, place: tuple) -> None:
    _compare_attributes(actual, expected, options, place)
    a_dtype, e_dtype = actual.dtype, expected.dtype
    rtol, atol = options.tolerances(a_dtype, e_dtype)
    if a_dtype is not e_dtype:
        common = promote_types(a_dtype, e_dtype)
        actual, expected = actual.to(common), expected.to(common)
    if actual.device.type == "meta" or expected.device.type == "meta":
        return
    a, e = _array(actual), _array(expected)
    if a.ndim == 0 and a.dtype.kind != "b":
        wide = (a.item(), e.item())
        _compare_scalars(*wide, rtol, atol, options.flags["equal_nan"], place)
        return
    with np.errstate(all="ignore"):
        _compare_arrays(a, e, rtol, atol, options.flags["equal_nan"], place)


def _array(x: Tensor) -> Any:
    """The elements as NumPy has them; 16-bit floats in 32."""
    x = x.detach()
    return (x.float() if x.dtype in HALVES else x.resolve_conj()).cpu().numpy()


def _compare_attributes(actual: Tensor, expected: Tensor, options: _Options, place: tuple) -> None:
    checks: list[tuple[str, Any, Any]] = [("shape", actual.shape, expected.shape)]
    if options.flags["layout"]:
        checks.append(("layout", actual.layout, expected.layout))
    if options.flags["device"]:
        checks.append(("device", actual.device, expected.device))
    if options.flags["dtype"]:
        checks.append(("dtype", actual.dtype, expected.dtype))
    for name, a, e in checks:
        if a != e:
            text = f"The values for attribute {name!r} do not match: {a} != {e}."
            raise _Mismatch(text, place)
    if options.flags["stride"] and actual.stride() != expected.stride():
        raise _Mismatch(
            f"The values for attribute 'stride()' do not match: {actual.stride()} != "
            f"{expected.stride()}.",
            place,
        )


def _compare_arrays(
    a: Any, e: Any, rtol: float, atol: float, equal_nan: bool, place: tuple
) -> None:
    exact = a.dtype.kind not in "fc"
    if a.dtype.kind in "biu":
        difference = np.abs(a.astype(object) - e.astype(object)) if a.dtype.itemsize == 8 else (
            np.abs(a.astype(np.int64) - e.astype(np.int64))
        )  # fmt: skip
    else:
        difference = np.abs(a - e)
    magnitude = np.abs(e.astype(np.float64) if a.dtype.kind in "biu" else e)
    close = (a == e) | (np.isfinite(magnitude) & (difference <= atol + rtol * magnitude))
    if equal_nan and not exact:
        close |= np.isnan(a) & np.isnan(e)
    if close.all():
        return
    wrong = ~close
    exact = rtol == 0 and atol == 0
    lines = [f"Tensor-likes are not {'equal' if exact else 'close'}!\n"]
    count = int(wrong.sum())
    lines.append(f"Mismatched elements: {count} / {a.size} ({count / a.size:.1%})")
    relative = difference / magnitude  # in the precision of the operands
    for kind, values, limit in (("absolute", difference, atol), ("relative", relative, rtol)):
        shown = np.where(wrong, np.asarray(values, np.float64), 0.0)
        flat = int(np.argmax(shown))
        index = tuple(int(i) for i in np.unravel_index(flat, a.shape))
        allowed = "" if exact else f" (up to {limit} allowed)"
        worst = values[index] if a.shape else values
        worst = (
            int(worst) if kind == "absolute" and exact and a.dtype.kind in "biu" else float(worst)
        )
        lines.append(f"Greatest {kind} difference: {worst} at index {index}{allowed}")
    raise _Mismatch("\n".join(lines), place)
