"""Samples of the elementwise primitives."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from rushlight.base.dtypes import ALL_DTYPES
from tests.samples.row import (
    BINARY_SHAPES,
    BOOL,
    COMPLEX,
    EVERY,
    FLOATING,
    INEXACT,
    INTEGER,
    Error,
    Row,
    random_array,
)

_PROMOTION = "was not promoted to floating"
_DIFFERENT = "elementwise operands of dtypes"
_INTEGER_ERROR = (Error((((2,), "int64"),), (), RuntimeError, _PROMOTION),)
_PAIR_ERRORS = (
    Error((((2,), "float32"), ((2,), "float64")), (), RuntimeError, _DIFFERENT),
    Error((((2,), "float32"), ((3,), "float32")), (), RuntimeError, "must match the size"),
)
# NumPy's and PyTorch's approximations of one function differ by a few units in the last place.
_ULPS = {"float32": 4e-6, "complex64": 2e-5, "complex128": 1e-12}
_ULPS_REASON = "each library approximates transcendental functions in its own way"


def _unary(name, function, low=-3.0, high=3.0, dtypes=INEXACT, **more) -> Row:
    more.setdefault("tolerance", _ULPS)
    more.setdefault("reason", _ULPS_REASON)
    more.setdefault("errors", _INTEGER_ERROR)
    return Row(name, function, low=low, high=high, dtypes=dtypes, **more)


def _binary(name, function, dtypes, **more) -> Row:
    more.setdefault("errors", _PAIR_ERRORS)
    more.setdefault("differentiable", (0, 1))
    return Row(name, function, shapes=BINARY_SHAPES, dtypes=dtypes, **more)


def _apart(generator, shapes, dtype, params):
    """Two operands that are nowhere equal, so that extrema and quotients have a derivative."""
    first = random_array(generator, shapes[0], dtype, -3.0, 3.0)
    second = random_array(generator, shapes[1], dtype, -3.0, 3.0)
    if first.dtype.kind == "f":
        second = (second + 1 / 128).astype(first.dtype)
    return [first, second]


def _nonzero_divisor(generator, shapes, dtype, params):
    """The divisor is away from 0, and no quotient is near an integer."""
    first = random_array(generator, shapes[0], dtype, -9.0, 9.0)
    second = random_array(generator, shapes[1], dtype, 1.0, 4.0)
    return [first, np.maximum(second, 1)] if first.dtype.kind in "iu" else [first, second]


def _positive_base(generator, shapes, dtype, params):
    low = 0.25 if dtype.startswith(("float", "complex", "bfloat")) else 0
    return [
        random_array(generator, shapes[0], dtype, low, 3.0),
        random_array(generator, shapes[1], dtype, low, 3.0),
    ]


def _off_integers(generator, shapes, dtype, params):
    """No value is an integer, where rounding jumps."""
    found = random_array(generator, shapes[0], dtype, -3.0, 3.0)
    return [(found + 1 / 128).astype(found.dtype) if found.dtype.kind == "f" else found]


def _shift(generator, shapes, dtype, params):
    return [
        random_array(generator, shapes[0], dtype, -9.0, 9.0),
        random_array(generator, shapes[1], dtype, 0.0, 4.0),
    ]


def _choice(generator, shapes, dtype, params):
    return [
        random_array(generator, shapes[0], "bool", 0, 1),
        random_array(generator, shapes[1], dtype, -3.0, 3.0),
        random_array(generator, shapes[2], dtype, -3.0, 3.0),
    ]


def _converted(x, dtype):
    """PyTorch's dtype of the same name; the real part where a complex number becomes real."""
    target = getattr(torch, dtype.name)
    if x.is_complex() and not target.is_complex:
        x = torch.real(x)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "ComplexHalf support is experimental")
        return x.to(target)


def _every_dtype(shapes: tuple) -> list:
    return [(dtype,) for dtype in ALL_DTYPES]


def _draws(generator, shapes, dtype, params):
    """Numbers of elements, a seed of all 64 bits, calls before, threads, and a span."""
    highest = (1 << 20, None, 1 << 40, 1 << 10, 1 << 20)
    found = []
    for shape, high in zip(shapes, highest):
        low = -(1 << 63) if high is None else 1
        found.append(np.asarray(generator.integers(low, high or 1 << 62, shape), np.int64))
    return found


def _word(seed: int, call: int, thread: int, number: int) -> int:
    """Philox4x32-10 in Python's integers."""
    words = [call % 2**32, call >> 32, thread % 2**32, thread >> 32]
    keys = [seed % 2**32, seed >> 32]
    for _ in range(10):
        first, second = words[0] * 0xD2511F53, words[2] * 0xCD9E8D57
        words = [
            (second >> 32) ^ words[1] ^ keys[0], second % 2**32,
            (first >> 32) ^ words[3] ^ keys[1], first % 2**32,
        ]  # fmt: skip
        keys = [(keys[0] + 0x9E3779B9) % 2**32, (keys[1] + 0xBB67AE85) % 2**32]
    return words[number]


def _word_drawn(index, seed, call, threads, each, run, word) -> int:
    """Element by element, a thread's words in the order in which it takes them."""
    turn, thread = divmod(index // run, threads) if run > 1 else divmod(index, threads)
    if run == 1:
        call, own = call + turn // each, turn % each * (4 // each)
    else:
        call, own = call + turn * max(run // 4, 1) + index % run // 4, index % run % 4
    if word == "number":
        return own
    if not isinstance(word, str):
        own = word
    number = {"first": own // 2 * 2, "second": own // 2 * 2 + 1}.get(word, own)
    return _word(seed % 2**64, call, thread, number)


def _words_drawn(index, seed, call, threads, each, run, word):
    operands = torch.broadcast_tensors(index, seed, call, threads)
    drawn = [_word_drawn(*x, each, run, word) for x in zip(*[y.ravel().tolist() for y in operands])]
    return torch.tensor(drawn, dtype=torch.int64).to(torch.uint32).reshape(operands[0].shape)


def _integers_drawn(index, seed, call, threads, span, each):
    operands = torch.broadcast_tensors(index, seed, call, threads, span)
    drawn = []
    for *place, limit in zip(*[y.ravel().tolist() for y in operands]):
        if each == 4:
            drawn.append(_word_drawn(*place, 4, 1, "own") % limit)
        else:
            pair = [_word_drawn(*place, 2, 1, word) for word in ("first", "second")]
            drawn.append(((pair[0] << 32) + pair[1]) % limit)
    return torch.tensor(drawn, dtype=torch.int64).reshape(operands[0].shape)


_DRAWN_SHAPES = (((7,), (), (), ()), ((2, 3), (), (3,), (2, 1)), ((0, 3), (), (), ()))
_BELOW_SHAPES = tuple((*shapes, ()) for shapes in _DRAWN_SHAPES)
_DRAWN_PARAMS = tuple(
    (each, run, word)
    for each, run in ((4, 1), (2, 1), (4, 2), (4, 4), (4, 8))
    for word in ("own", "first", "second", 3, "number")
)

_NONE = {"differentiable": (), "tolerance": {}, "reason": ""}
_COMPARED = {"differentiable": ()}

ROWS = (
    _unary("neg", torch.neg, dtypes=INTEGER + INEXACT, errors=()),
    _unary("conj", lambda x: torch.conj(x).resolve_conj(), dtypes=EVERY, errors=()),
    _unary("sign", torch.sgn, dtypes=EVERY, errors=(), second_order=False),
    _unary("absolute", torch.abs, dtypes=INTEGER + INEXACT, errors=()),
    _unary("logical_not", torch.logical_not, dtypes=EVERY, errors=(), **_NONE),
    _unary("real", lambda x: torch.real(x).clone(), dtypes=COMPLEX, errors=()),
    _unary("imag", lambda x: torch.imag(x).clone(), dtypes=COMPLEX, errors=()),
    _binary("make_complex", torch.complex, ("float64", "float32")),
    _unary("bitwise_not", torch.bitwise_not, dtypes=BOOL + INTEGER, errors=(), **_NONE),
    _binary("bitwise_and", torch.bitwise_and, BOOL + INTEGER, **_COMPARED),
    _binary("bitwise_or", torch.bitwise_or, BOOL + INTEGER, **_COMPARED),
    _binary("bitwise_xor", torch.bitwise_xor, BOOL + INTEGER, **_COMPARED),
    _binary("shift_left", torch.bitwise_left_shift, INTEGER, operands=_shift, **_COMPARED),
    _binary("shift_right", torch.bitwise_right_shift, INTEGER, operands=_shift, **_COMPARED),
    Row("philox", _words_drawn, _DRAWN_SHAPES, _DRAWN_PARAMS, ("int64",),
        operands=_draws, **_NONE),
    Row("philox_below", _integers_drawn, _BELOW_SHAPES, ((4,), (2,)), ("int64",),
        operands=_draws, **_NONE),
    _binary("gcd", torch.gcd, INTEGER, **_COMPARED),
    _unary("reciprocal", torch.reciprocal, 0.25, 3.0),
    _unary("sqrt", torch.sqrt, 0.0, 4.0),
    _unary("rsqrt", torch.rsqrt, 0.25, 4.0),
    _unary("exp", torch.exp),
    _unary("exp2", torch.exp2),
    _unary("expm1", torch.expm1),
    _unary("log", torch.log, 0.0, 4.0),
    _unary("log2", torch.log2, 0.0, 4.0),
    _unary("log10", torch.log10, 0.0, 4.0),
    _unary("log1p", torch.log1p, -0.75, 4.0),
    _unary("sin", torch.sin),
    _unary("cos", torch.cos),
    _unary("tan", torch.tan, -1.0, 1.0),
    _unary("asin", torch.asin, -0.9, 0.9),
    _unary("acos", torch.acos, -0.9, 0.9),
    _unary("atan", torch.atan),
    _unary("sinh", torch.sinh),
    _unary("cosh", torch.cosh),
    _unary("tanh", torch.tanh),
    _unary("asinh", torch.asinh),
    _unary("acosh", torch.acosh, 1.25, 4.0),
    _unary("atanh", torch.atanh, -0.9, 0.9),
    _unary("sigmoid", torch.sigmoid),
    _unary("erf", torch.erf, dtypes=FLOATING),
    _unary("erfc", torch.erfc, dtypes=FLOATING),
    _unary("erfinv", torch.erfinv, -0.9, 0.9, dtypes=FLOATING),
    _unary("lgamma", torch.lgamma, 0.5, 6.0, dtypes=FLOATING),
    _unary("digamma", torch.digamma, 0.5, 6.0, dtypes=FLOATING),
    _unary(
        "polygamma", lambda x, order: torch.polygamma(order, x), 0.5, 6.0, dtypes=FLOATING,
        params=((1,), (2,), (3,)),
        tolerance={**_ULPS, "float64": 1e-8},
        reason="PyTorch's trigamma has ten correct digits: at 2.5 it differs from pi**2/2 - 40/9",
        errors=(Error((((2,), "int64"),), (1,), RuntimeError, _PROMOTION),),
    ),
    _unary("floor", torch.floor, dtypes=INTEGER + FLOATING, errors=(), operands=_off_integers),
    _unary("ceil", torch.ceil, dtypes=INTEGER + FLOATING, errors=(), operands=_off_integers),
    _unary("trunc", torch.trunc, dtypes=INTEGER + FLOATING, errors=(), operands=_off_integers),
    _unary("round_even", torch.round, dtypes=INTEGER + FLOATING, errors=(), operands=_off_integers),
    _unary("relu", torch.relu, dtypes=INTEGER + FLOATING, errors=()),
    _binary("add", torch.add, EVERY),
    _binary("sub", torch.sub, INTEGER + INEXACT),
    _binary("mul", torch.mul, EVERY),
    _binary("div", torch.div, INEXACT, operands=_nonzero_divisor, tolerance=_ULPS,
            reason="complex quotients are scaled in different ways"),
    _binary("floor_divide", torch.floor_divide, INTEGER + FLOATING, operands=_nonzero_divisor,
            second_order=False, differentiable=()),
    _binary("remainder", torch.remainder, INTEGER + FLOATING, operands=_nonzero_divisor),
    _binary("fmod", torch.fmod, INTEGER + FLOATING, operands=_nonzero_divisor),
    _binary("power", torch.pow, INTEGER + INEXACT, operands=_positive_base, tolerance=_ULPS,
            reason=_ULPS_REASON),
    _binary("maximum", torch.maximum, EVERY[: -len(COMPLEX)], operands=_apart),
    _binary("minimum", torch.minimum, EVERY[: -len(COMPLEX)], operands=_apart),
    _binary("igamma", torch.igamma, ("float64", "float32"), operands=_positive_base,
            differentiable=(1,), second_order=False, tolerance={"float32": 1e-5, "float64": 1e-11},
            reason="sums of many terms"),
    _binary("igammac", torch.igammac, ("float64", "float32"), operands=_positive_base,
            differentiable=(1,), second_order=False, tolerance={"float32": 1e-5, "float64": 1e-11},
            reason="sums of many terms"),
    _binary("atan2", torch.atan2, FLOATING, tolerance=_ULPS, reason=_ULPS_REASON),
    _binary("copysign", torch.copysign, FLOATING),
    _binary("nextafter", torch.nextafter, ("float64", "float32"), differentiable=()),
    _binary("eq", torch.eq, EVERY, **_COMPARED),
    _binary("ne", torch.ne, EVERY, **_COMPARED),
    _binary("lt", torch.lt, EVERY[: -len(COMPLEX)], **_COMPARED),
    _binary("le", torch.le, EVERY[: -len(COMPLEX)], **_COMPARED),
    _binary("gt", torch.gt, EVERY[: -len(COMPLEX)], **_COMPARED),
    _binary("ge", torch.ge, EVERY[: -len(COMPLEX)], **_COMPARED),
    Row(
        "where", torch.where, dtypes=EVERY, operands=_choice, differentiable=(1, 2),
        shapes=(((2, 3), (2, 3), (2, 3)), ((3, 1), (), (4,)), ((), (2, 1), (1, 2)),
                ((0, 2), (0, 2), (2,))),
        errors=(
            Error((((2,), "float32"), ((2,), "float32"), ((2,), "float32")), (), RuntimeError,
                  "condition to be a boolean tensor"),
        ),
    ),
    Row("cast", _converted, dtypes=EVERY, low=0.0, high=4.0, params=_every_dtype,
        finite_differences=False),
)  # fmt: skip
