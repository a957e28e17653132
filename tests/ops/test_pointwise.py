"""Elementwise functions on every kind of input, at their edges, against PyTorch."""

from __future__ import annotations

import pytest

from tests.ops.both import assert_agree, gradients

NAN, INF = float("nan"), float("inf")

INPUTS = {
    "floats": lambda t: t.tensor([-2.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.0]),
    "edges": lambda t: t.tensor([NAN, INF, -INF, 1e30, -1e-30, 1.0]),
    "integers": lambda t: t.tensor([-3, 0, 1, 7]),
    "bool": lambda t: t.tensor([True, False]),
    "bfloat16": lambda t: t.tensor([-1.5, 0.25, 3.0], dtype=t.bfloat16),
    "complex": lambda t: t.tensor([1 + 2j, -0.5j, 0j, -3 + 0j]),
    "scalar": lambda t: t.tensor(0.75),
    "empty": lambda t: t.zeros(2, 0),
}

UNARY = (
    "abs acos acosh angle asin asinh atan atanh bitwise_not ceil conj cos cosh deg2rad digamma "
    "erf erfc erfinv exp exp2 expm1 floor frac isfinite isinf isnan isneginf isposinf isreal "
    "lgamma log log10 log1p log2 logical_not logit nan_to_num neg positive rad2deg reciprocal "
    "relu round rsqrt sgn sigmoid sign signbit sin sinc sinh sqrt square tan tanh trunc"
).split()


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("given", INPUTS)
def test_functions_of_one_tensor_agree_with_torch(name: str, given: str) -> None:
    assert_agree(
        lambda t: getattr(t, name)(INPUTS[given](t)), rtol=2e-2 if given == "bfloat16" else 5e-6
    )


PAIRS = {
    "floats": lambda t: (t.tensor([[1.0, -2.0, 3.5]]), t.tensor([[2.0], [-0.5]])),
    "edges": lambda t: (t.tensor([NAN, INF, 0, -0.0]), t.tensor([1.0, INF, 0, NAN])),
    "integers": lambda t: (t.tensor([7, -7, 0]), t.tensor([2, 3, -4])),
    "integer and float": lambda t: (t.tensor([1, 2]), t.tensor([0.5, 2.5])),
    "tensor and number": lambda t: (t.tensor([1.5, -2.0]), 2),
    "integers and float number": lambda t: (t.tensor([1, 4]), 2.5),
    "bool": lambda t: (t.tensor([True, False]), t.tensor([True, True])),
    "uint8 and int8": lambda t: (t.tensor([200], dtype=t.uint8), t.tensor([5], dtype=t.int8)),
    "half and float scalar": lambda t: (t.tensor([1.5], dtype=t.float16), t.tensor(2.5)),
    "half and bfloat16": lambda t: (t.ones(2, dtype=t.float16), t.ones(2, dtype=t.bfloat16)),
    "empty": lambda t: (t.zeros(0, 2), t.ones(2)),
    "shapes that do not fit": lambda t: (t.zeros(2), t.zeros(3)),
}

BINARY = (
    "add sub mul div true_divide floor_divide remainder fmod pow maximum minimum fmax fmin atan2 "
    "copysign hypot logaddexp logaddexp2 xlogy eq ne lt le gt ge logical_and logical_or "
    "logical_xor "
    "bitwise_and bitwise_or bitwise_xor gcd lcm heaviside float_power ldexp"
).split()


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("given", PAIRS)
def test_functions_of_two_tensors_agree_with_torch(name: str, given: str) -> None:
    assert_agree(lambda t: getattr(t, name)(*PAIRS[given](t)), rtol=5e-6)


OTHERS = {
    "clamp": lambda t: t.tensor([NAN, -3.0, 0.5, 9.0]).clamp(-1, 1),
    "clamp one side": lambda t: t.tensor([-3, 5]).clamp(max=2.5),
    "clamp with tensors": lambda t: t.tensor([1.0, 5.0]).clamp(t.tensor([2.0, NAN]), t.tensor(4.0)),
    "clamp without bounds": lambda t: t.ones(2).clamp(),
    "clamp crossing": lambda t: t.ones(2).clamp(3.0, 2.0),
    "round decimals": lambda t: t.tensor([1.2345, -0.555]).round(decimals=2),
    "round to tens": lambda t: t.tensor([123.0, 155.0]).round(decimals=-1),
    "div trunc": lambda t: t.div(t.tensor([7, -7]), t.tensor([2, 2]), rounding_mode="trunc"),
    "div floor": lambda t: t.div(t.tensor([7.0, -7.0]), 2.0, rounding_mode="floor"),
    "div wrong mode": lambda t: t.div(t.ones(1), 2.0, rounding_mode="up"),
    "lerp": lambda t: t.lerp(t.tensor([1.0, 2.0]), t.tensor([3.0, 5.0]), 0.75),
    "addcmul": lambda t: t.addcmul(
        t.ones(2), t.tensor([2.0, 3.0]), t.tensor([4.0, 5.0]), value=0.5
    ),
    "addcdiv of integers": lambda t: t.addcdiv(t.ones(1), t.tensor([1]), t.tensor([2])),
    "add with alpha": lambda t: t.add(t.tensor([1, 2]), t.tensor([3, 4]), alpha=2),
    "add with float alpha": lambda t: t.add(t.tensor([1, 2]), t.tensor([3, 4]), alpha=2.5),
    "isclose": lambda t: t.isclose(t.tensor([1.0, NAN, INF]), t.tensor([1.0 + 1e-9, NAN, INF])),
    "allclose": lambda t: t.allclose(t.tensor([1.0, NAN]), t.tensor([1.0, NAN]), equal_nan=True),
    "equal": lambda t: (t.equal(t.ones(2), t.ones(2)), t.equal(t.ones(2), t.ones(3))),
    "where": lambda t: t.where(t.tensor([True, False]), t.tensor([1, 2]), 0.5),
    "where of numbers": lambda t: t.where(t.tensor([True, False]), 1.0, 2),
    "where alone": lambda t: t.where(t.tensor([[True, False], [False, True]])),
    "negative power": lambda t: t.tensor([2, 3]) ** -1,
    "number to a power": lambda t: 2 ** t.tensor([1.5, 2.0]),
    "in place keeps the dtype": lambda t: t.tensor([1, 2]).add_(0.5),
    "in place keeps the shape": lambda t: t.ones(2).add_(t.ones(3, 2)),
    "minus of bool": lambda t: t.tensor([True]) - t.tensor([True]),
    "frexp": lambda t: t.frexp(t.tensor([0.0, 1.0, -6.5])),
    "shift": lambda t: (t.tensor([1, 2]) << 3, t.tensor([-16, 9]) >> 2),
    "polar": lambda t: t.polar(t.tensor([1.0, 2.0]), t.tensor([0.5, -1.0])),
    "complex": lambda t: t.complex(t.tensor([1.0]), t.tensor([2.0])),
    "view as real": lambda t: t.view_as_real(t.tensor([1 + 2j, 3j])),
    "result type": lambda t: (t.result_type(t.ones(2), 1), t.result_type(t.tensor(1), 1.5)),
    "nan_to_num": lambda t: t.nan_to_num(t.tensor([NAN, INF, -INF]), 1.0, posinf=2.0),
    "nextafter": lambda t: t.nextafter(t.tensor([1.0]), t.tensor([2.0])),
    "polygamma": lambda t: t.polygamma(2, t.tensor([0.5, 3.0])),
}


@pytest.mark.parametrize("name", OTHERS)
def test_calls_agree_with_torch(name: str) -> None:
    assert_agree(OTHERS[name], rtol=5e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.clamp(-1, 1), lambda x: x.clamp(min=0), lambda x: x.abs(), lambda x: x.relu(),
        lambda x: x.clamp(x.detach() * 0 - 1, x.detach() * 0 + 1), lambda x: x.sinc(),
        lambda x: x.square(), lambda x: x**3, lambda x: x**0, lambda x: x.sign(),
        lambda x: x.maximum(-x), lambda x: x.fmin(x * 0), lambda x: x.hypot(x * 0 + 1),
        lambda x: x.logaddexp(x), lambda x: x.xlogy(x * 0 + 2), lambda x: x.round(),
        lambda x: x.atan2(x * 0 + 1), lambda x: x.floor(), lambda x: x.copysign(-x),
    ],
)  # fmt: skip
def test_slopes_at_the_edges_are_those_of_torch(function) -> None:
    assert_agree(lambda t: gradients(t, function, [-2.0, -1.0, 0.0, 1.0, 1.5]))


def test_a_derivative_reads_the_value_before_an_in_place_write() -> None:
    def case(t):
        x = t.tensor([1.0, 2.0], requires_grad=True)
        y = x * 1
        y.sin_().mul_(y.detach()).pow_(2)
        y.sum().backward()
        return x.grad

    assert_agree(case)
