"""Ranges, identity matrices, triangles and windows.  Level 11."""

from __future__ import annotations

import math

import numpy as np

from rushlight.base.dtypes import (
    bool_,
    dtype_argument,
    float32,
    get_default_dtype,
    int64,
    narrow,
)
from rushlight.base.limits import iinfo
from rushlight.ops.creation import made
from rushlight.ops.formats import row_major
from rushlight.ops.members import each_member
from rushlight.ops.promotion import check_tensor, refuse_overflow
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as p
from rushlight.primitives.source import iota
from rushlight.tensor.apply import apply_source
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def _number(value):
    return value.item() if isinstance(value, Tensor) else value


def _range_dtype(*bounds):
    for bound in bounds:
        if not isinstance(bound, (int, np.integer)):
            return get_default_dtype()
    return int64


def _named_bounds(keywords: dict) -> dict:
    """Those of the bounds that were given by name, taken out of the keywords."""
    return {n: keywords.pop(n) for n in ("start", "end", "step") if n in keywords}


def _bounds(named: dict, given: tuple, operation: str) -> tuple:
    """(start, end, step) from `f(end)`, `f(start, end)` or `f(start, end, step)`."""
    if not named and 0 < len(given) < 3:
        start, end = given if len(given) == 2 else (0, given[0])
        return _number(start), _number(end), 1
    for name in ("start", "end", "step"):
        if name in named:
            continue
        if not given:
            break
        if name == "start" and len(given) == 1 and "end" not in named:
            named["end"], given = given[0], ()
            continue
        named[name], given = given[0], given[1:]
    if given or "end" not in named:
        raise TypeError(f"{operation}(): expected (end), (start, end) or (start, end, step)")
    return tuple(_number(named.get(n, d)) for n, d in (("start", 0), ("end", 0), ("step", 1)))


@spelled()
def arange(*bounds, out=None, dtype=None, **keywords) -> Tensor:
    """Numbers from start (0) up to, not including, end, by step (1).

    Dtypes: int64 for ints, else the default floating dtype.
    Raises: RuntimeError for a step of 0 or of the wrong sign.  Source: torch.arange.
    """
    named = _named_bounds(keywords) if keywords else {}
    start, end, step = _bounds(named, bounds, "arange")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not math.isfinite(start) or not math.isfinite(end):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    dtype = dtype_argument(dtype)
    if dtype is None:
        dtype = _range_dtype(start, end, step) if out is None else out.dtype
    if dtype is bool_:
        raise RuntimeError("\"arange\" not implemented for 'Bool'")
    count = _arange_count(start, end, step, dtype)
    if dtype is int64 and start == 0 and step == 1:
        return made("arange", apply_source(iota, (count,)), dtype, out=out, **keywords)
    if dtype.is_inexact:
        array = start + np.arange(count, dtype=np.float64) * step
    else:
        array = int(start) + np.arange(count, dtype=np.int64) * int(step)
    return made("arange", narrow(array, dtype), dtype, out=out, **keywords)


def _arange_count(start, end, step, dtype) -> int:
    if dtype is int64:
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError("step must be nonzero: it is rounded towards 0 for int64")
        return max(-((start - end) // step), 0)
    # Other integers are counted before they are rounded, as PyTorch does.
    return max(math.ceil((end - start) / step), 0)


@spelled()
def range(*bounds, out=None, dtype=None, **keywords) -> Tensor:  # noqa: A001 - PyTorch's name
    """Numbers from start to end, end included; deprecated in PyTorch.  Source: torch.range."""
    start, end, step = _bounds(_named_bounds(keywords), bounds, "range")
    dtype = dtype or get_default_dtype()
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    count = math.floor((end - start) / step) + 1
    array = start + np.arange(count) * step
    return made("range", narrow(array, dtype), dtype, out=out, **keywords)


def _spaced(start, end, steps: int) -> np.ndarray:
    """Evenly spaced numbers, computed from both ends as PyTorch does, in float64 or complex128."""
    if steps == 1:
        return np.asarray([start])
    step = (end - start) / (steps - 1)
    index = np.arange(steps)
    return np.where(index < steps // 2, start + step * index, end - step * (steps - 1 - index))


def _spaced_float32(start, end, steps: int) -> np.ndarray:
    """As PyTorch: bounds and step are rounded, each product and sum is rounded once together."""
    start, end = np.float32(start), np.float32(end)
    if steps == 1:
        return np.asarray([start])
    step = np.float64((end - start) / np.float32(steps - 1))
    index = np.arange(steps)
    return np.where(
        index < steps // 2,
        np.float64(start) + step * index,
        np.float64(end) - step * (steps - 1 - index),
    )


def _line(operation: str, start, end, steps, dtype, out) -> tuple:
    for bound in (start, end):
        if isinstance(bound, Tensor) and bound._node.shape:
            raise RuntimeError(
                f"{operation} only supports 0-dimensional start and end tensors, but got "
                f"{bound.ndim} dimension(s)."
            )
    start, end = _number(start), _number(end)
    if steps is None:
        raise TypeError(f"{operation}() missing 1 required positional argument: 'steps'")
    steps = int(_number(steps))
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    has_complex = isinstance(start, complex) or isinstance(end, complex)
    if dtype is None:
        floating = get_default_dtype()
        dtype = out.dtype if out is not None else floating
        if has_complex and out is None:
            dtype = floating.to_complex()
    elif has_complex and not dtype.is_complex:
        raise RuntimeError(f"{operation}(): inferred dtype is complex, which {dtype} cannot hold")
    return start, end, steps, dtype


def _rounded_line(array: np.ndarray, dtype) -> np.ndarray:
    return narrow(np.trunc(array) if not dtype.is_inexact else array, dtype)


@spelled()
@each_member
def linspace(start, end, steps=None, *, out=None, dtype=None, **keywords) -> Tensor:
    """`steps` evenly spaced numbers from start to end, both included.  Source: torch.linspace."""
    start, end, steps, dtype = _line("linspace", start, end, steps, dtype, out)
    if dtype.is_inexact:
        refuse_overflow(start, dtype)
        refuse_overflow(end, dtype)
        spaced = _spaced_float32 if dtype is float32 else _spaced
        array = spaced(start, end, steps)
    else:
        array = _integer_line(_whole(start, dtype), _whole(end, dtype), steps)
    return made("linspace", _rounded_line(array, dtype), dtype, out=out, **keywords)


def _whole(bound, dtype) -> int:
    """A bound of a line in the integer dtype; negative ones wrap in an unsigned dtype."""
    refuse_overflow(bound, dtype)
    return int(bound) if dtype.is_signed else int(bound) % (iinfo(dtype).max + 1)


def _integer_line(start: int, end: int, steps: int) -> np.ndarray:
    """Each result is rounded towards zero."""
    return np.trunc(_spaced(start, end, steps))


@spelled()
@each_member
def logspace(start, end, steps=None, base=10.0, *, out=None, dtype=None, **keywords) -> Tensor:
    """base ** (evenly spaced exponents from start to end).  Source: torch.logspace."""
    start, end, steps, dtype = _line("logspace", start, end, steps, dtype, out)
    if not dtype.is_inexact:
        start, end = _whole(start, dtype), _whole(end, dtype)
    exponents = _spaced(start, end, steps)
    powers = np.power(np.asarray(base, complex if dtype.is_complex else float), exponents)
    return made("logspace", _rounded_line(powers, dtype), dtype, out=out, **keywords)


@spelled()
def eye(n, m=None, *, out=None, dtype=None, **keywords) -> Tensor:
    """The identity matrix of shape (n, m).  Source: torch.eye."""
    columns = n if m is None else m
    if n < 0 or columns < 0:
        wrong = n if n < 0 else columns
        raise RuntimeError(f"n and m must be greater or equal to 0, got {wrong}")
    if dtype is None:
        dtype = get_default_dtype() if out is None else out.dtype
    return made("eye", narrow(np.eye(n, columns), dtype), dtype, out=out, **keywords)


def _triangle(name: str, keep):
    def select(input, diagonal: int = 0) -> Tensor:
        check_tensor(name, input)
        if input.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        rows, columns = input._node.shape[-2:]
        mask = tensor_from_numpy(keep(np.ones((rows, columns), np.bool_), int(diagonal)), bool_)
        found = row_major(p.where(mask, input, input._scalar(0)))
        return named(found, f"{name.capitalize()}Backward0")

    select.__name__ = select.__qualname__ = name
    select.__doc__ = f"The matrices' {name[-1]}-shaped half, the rest 0.  Source: torch.{name}."
    return spelled(method=True, inplace=True, out=True)(select)


tril = _triangle("tril", np.tril)
triu = _triangle("triu", np.triu)


@spelled()
def vander(x, N=None, increasing=False) -> Tensor:  # noqa: N803 - PyTorch's name
    """Powers of a vector as the columns of a matrix.  Source: torch.vander."""
    check_tensor("vander", x)
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    columns = x._node.shape[0] if N is None else N
    if columns < 0:
        raise RuntimeError("N must be non-negative.")
    exponents = np.arange(columns)
    if not increasing:
        exponents = exponents[::-1]
    dtype = x._node.dtype if x._node.dtype.is_inexact else int64
    powers = tensor_from_numpy(narrow(np.array(exponents), dtype), dtype)
    return p.power(p.cast(x, dtype).reshape((-1, 1)), powers.reshape((1, -1)))


# ---- windows -------------------------------------------------------------------------------------


def window(name: str, length: int, weights, *, dtype=None, periodic=True, **keywords) -> Tensor:
    """A window of `length` points; `weights` is a function of (positions, last position).

    Positions come in float64 for a window of float64 and in float32 otherwise, as PyTorch counts
    them: each step of the formula is rounded so.
    """
    dtype = dtype or get_default_dtype()
    if not dtype.is_inexact or dtype.is_complex:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
    if length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got {length}")
    if length <= 1:
        array = np.ones(length)
    else:
        last = length if periodic else length - 1
        counted = np.float64 if dtype.name == "float64" else np.float32
        array = weights(np.arange(length, dtype=counted), last)
    return made(name, narrow(array, dtype), dtype, **keywords)


def _cosine(angles: np.ndarray) -> np.ndarray:
    """Cosines rounded once: NumPy's in float32 are further from PyTorch's."""
    return np.cos(angles.astype(np.float64)).astype(angles.dtype)


def _raised_cosine(alpha: float, beta: float):
    def weights(n, last):
        return _cosine(n * (2.0 * np.pi / last)) * -beta + alpha

    return weights


@spelled()
def hann_window(window_length, periodic=True, **keywords) -> Tensor:
    """Hann window.  Source: torch.hann_window."""
    weights = _raised_cosine(0.5, 0.5)
    return window("hann_window", window_length, weights, periodic=periodic, **keywords)


@spelled()
def hamming_window(window_length, periodic=True, alpha=0.54, beta=0.46, **keywords) -> Tensor:
    """Hamming window.  Source: torch.hamming_window."""
    weights = _raised_cosine(float(alpha), float(beta))
    return window("hamming_window", window_length, weights, periodic=periodic, **keywords)


@spelled()
def blackman_window(window_length, periodic=True, **keywords) -> Tensor:
    """Blackman window.  Source: torch.blackman_window."""

    def weights(n, last):
        half = n * (np.pi / last)
        return _cosine(half * 4) * 0.08 - _cosine(half * 2) * 0.5 + 0.42

    return window("blackman_window", window_length, weights, periodic=periodic, **keywords)


@spelled()
def bartlett_window(window_length, periodic=True, **keywords) -> Tensor:
    """Triangular window.  Source: torch.bartlett_window."""

    def weights(n, last):
        rising = n * (2.0 / last)
        return np.where(n <= last >> 1, rising, rising * -1 + 2)

    return window("bartlett_window", window_length, weights, periodic=periodic, **keywords)


@spelled()
def kaiser_window(window_length, periodic=True, beta=12.0, **keywords) -> Tensor:
    """Kaiser window.  Source: torch.kaiser_window."""

    def weights(n, last):
        middle = n.dtype.type(last / 2)
        inside = np.sqrt(1 - ((n - middle) / middle) ** 2) * n.dtype.type(beta)
        return np.i0(inside.astype(np.float64)) / np.i0(float(beta))

    return window("kaiser_window", window_length, weights, periodic=periodic, **keywords)
