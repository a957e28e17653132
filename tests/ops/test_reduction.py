"""Reductions, extrema, scans and statistics at their edges: NaN, infinities, empty, 0-d, out, dtype."""

from __future__ import annotations

import pytest

import rushlight
from tests.ops.both import assert_agree, gradients

NAN, INF = float("nan"), float("inf")
ROWS = [[1.0, 5.0, 2.0], [4.0, NAN, 4.0], [-INF, 0.0, INF]]

INPUTS = {
    "floats": lambda t: t.tensor([[1.5, -2.0, 3.0], [0.25, 8.0, -1.0]]),
    "nan": lambda t: t.tensor(ROWS),
    "ties": lambda t: t.tensor([[2.0, 2.0, 1.0], [1.0, 3.0, 3.0]]),
    "integers": lambda t: t.tensor([[3, -1, 2], [7, 0, 7]]),
    "bytes": lambda t: t.tensor([[250, 20], [3, 0]], dtype=t.uint8),
    "bool": lambda t: t.tensor([[True, False], [True, True]]),
    "half": lambda t: t.tensor([[1.5, 2.5], [0.25, 4.0]], dtype=t.float16),
    "bfloat16": lambda t: t.tensor([[1.5, 2.5], [0.25, 4.0]], dtype=t.bfloat16),
    "complex": lambda t: t.tensor([[1 + 2j, 0.5j], [3.0, -1j]]),
    "scalar": lambda t: t.tensor(2.5),
    "empty": lambda t: t.zeros(0, 3),
    "empty vector": lambda t: t.zeros(0),
}

CALLS = {
    "sum": lambda t, x: t.sum(x),
    "sum over an axis": lambda t, x: x.sum(-1, keepdim=True),
    "sum over no axes is all": lambda t, x: x.sum(()),
    "sum as float64": lambda t, x: x.sum(0, dtype=t.float64),
    "numpy names": lambda t, x: t.sum(x, axis=0, keepdims=True),
    "mean": lambda t, x: x.mean(),
    "mean over an axis": lambda t, x: x.mean(0),
    "prod": lambda t, x: x.prod(),
    "prod over an axis": lambda t, x: x.prod(-1, True),
    "any": lambda t, x: (x.any(), x.any(0)),
    "all": lambda t, x: (x.all(), x.all(-1, keepdim=True)),
    "nansum": lambda t, x: x.nansum(0),
    "nanmean": lambda t, x: x.nanmean(),
    "count_nonzero": lambda t, x: t.count_nonzero(x, -1),
    "max": lambda t, x: x.max(),
    "min": lambda t, x: x.min(),
    "max along an axis": lambda t, x: x.max(-1),
    "min along an axis": lambda t, x: x.min(0, keepdim=True),
    "amax": lambda t, x: x.amax(0),
    "amin over all": lambda t, x: x.amin(),
    "aminmax": lambda t, x: t.aminmax(x, dim=-1),
    "argmax": lambda t, x: x.argmax(),
    "argmin along an axis": lambda t, x: x.argmin(-1, keepdim=True),
    "logsumexp": lambda t, x: x.logsumexp(-1),
    "cumsum": lambda t, x: x.cumsum(-1),
    "cumprod": lambda t, x: x.cumprod(0),
    "cummax": lambda t, x: x.cummax(-1).values,
    "cummin": lambda t, x: x.cummin(-1).values,
    "logcumsumexp": lambda t, x: x.logcumsumexp(-1),
    "var": lambda t, x: x.var(-1),
    "biased var of all": lambda t, x: t.var(x, False),
    "std with correction": lambda t, x: x.std(-1, correction=2),
    "var_mean": lambda t, x: t.var_mean(x),
    "median": lambda t, x: x.median(),
    "median along an axis": lambda t, x: x.median(-1).values,
    "nanmedian": lambda t, x: x.nanmedian(),
    "mode": lambda t, x: x.mode(-1).values,
    "quantile": lambda t, x: t.quantile(x, 0.3, -1),
    "several quantiles": lambda t, x: t.quantile(x, t.tensor([0.0, 0.5, 1.0]), 0),
    "nanquantile": lambda t, x: t.nanquantile(x, 0.5),
    "norm": lambda t, x: x.norm(),
    "1-norm": lambda t, x: x.norm(1, -1),
    "largest norm": lambda t, x: x.norm(INF, 0),
    "3-norm": lambda t, x: x.norm(3.0),
    "diff": lambda t, x: t.diff(x),
    "axis out of range": lambda t, x: x.sum(5),
    "repeated axis": lambda t, x: x.sum((0, 0)),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("given", INPUTS)
def test_reductions_agree_with_torch(call: str, given: str) -> None:
    assert_agree(lambda t: CALLS[call](t, INPUTS[given](t)))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.max(), lambda x: x.amax(1), lambda x: x.max(1).values, lambda x: x.std(1),
        lambda x: x.std(), lambda x: x.norm(), lambda x: x.norm(1), lambda x: x.norm(3, 1),
        lambda x: x.prod(1), lambda x: x.prod(), lambda x: x.cumprod(1), lambda x: x.cummax(1).values,
        lambda x: x.logsumexp(1), lambda x: x.logcumsumexp(1), lambda x: x.var(1),
        lambda x: x.quantile(0.3, 1), lambda x: x.median(1).values, lambda x: x.nansum(),
    ],
)  # fmt: skip
def test_slopes_at_zeros_and_ties_are_those_of_torch(function) -> None:
    values = [[2.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, -3.0, 0.0]]
    assert_agree(lambda t: gradients(t, function, values))


def test_a_result_goes_into_a_given_tensor_of_any_shape() -> None:
    assert_agree(lambda t: t.sum(t.ones(2, 3), 0, out=t.empty(3)))
    assert_agree(lambda t: t.cumsum(t.ones(2, 3), 0, out=t.empty(0)))


def test_a_named_result_prints_like_torch() -> None:
    assert_agree(lambda t: repr(t.max(t.tensor([[1.0, 2.0]]), 1)))


def test_a_float_result_does_not_fit_an_integer_tensor() -> None:
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
        rushlight.mean(rushlight.ones(2), out=rushlight.empty(0, dtype=rushlight.int64))


def test_the_mean_of_halves_does_not_overflow() -> None:
    assert_agree(lambda t: t.full((100,), 60000.0, dtype=t.float16).mean())
