"""Gradient clipping and parameter vectors equal PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn.utils.weight_norm import norm_except_dim

torch = pytest.importorskip("torch")

from tests.nn.matching import array, assert_same_start, to_rushlight, uniform  # noqa: E402


def with_gradients() -> tuple[Any, Any]:
    ours, theirs = assert_same_start(lambda lib: lib.Sequential(lib.Linear(3, 4), lib.Linear(4, 2)))
    x = uniform(5, 3, grad=False).float()
    (ours(to_rushlight(x)) ** 2).sum().backward()
    (theirs(x) ** 2).sum().backward()
    return ours, theirs


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, float("inf")])
@pytest.mark.parametrize("max_norm", [0.1, 1e6])
def test_clipping_by_norm_equals_torch(norm_type: float, max_norm: float) -> None:
    ours, theirs = with_gradients()
    found = nn.utils.clip_grad_norm_(ours.parameters(), max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm, norm_type)
    np.testing.assert_allclose(array(found), array(expected), rtol=1e-5)
    for p, q in zip(ours.parameters(), theirs.parameters()):
        np.testing.assert_allclose(array(p.grad), array(q.grad), rtol=1e-5, atol=1e-7)


def test_clipping_by_value_equals_torch() -> None:
    ours, theirs = with_gradients()
    nn.utils.clip_grad_value_(ours.parameters(), 0.2)
    torch.nn.utils.clip_grad_value_(theirs.parameters(), 0.2)
    for p, q in zip(ours.parameters(), theirs.parameters()):
        np.testing.assert_allclose(array(p.grad), array(q.grad), rtol=1e-5, atol=1e-7)
        assert p.grad.abs().max().item() <= np.float32(0.2)


def test_a_non_finite_norm_is_an_error_on_request() -> None:
    parameter = nn.Parameter(rl.ones(2))
    parameter.grad = rl.tensor([1.0, float("inf")])
    with pytest.raises(RuntimeError, match=r"is non-finite, so it cannot be clipped"):
        nn.utils.clip_grad_norm_([parameter], 1.0, error_if_nonfinite=True)


def test_nothing_to_clip_has_norm_zero() -> None:
    assert nn.utils.clip_grad_norm_([nn.Parameter(rl.ones(2))], 1.0).item() == 0.0
    with pytest.warns(UserWarning, match=r"empty generator"):
        nn.utils.clip_grad_norm_((p for p in ()), 1.0)


def test_parameters_become_a_vector_and_come_back() -> None:
    ours, theirs = assert_same_start(lambda lib: lib.Linear(3, 2))
    vector = nn.utils.parameters_to_vector(ours.parameters())
    expected = torch.nn.utils.parameters_to_vector(theirs.parameters())
    np.testing.assert_array_equal(array(vector), array(expected))
    nn.utils.vector_to_parameters(vector.detach() * 2, ours.parameters())
    np.testing.assert_array_equal(array(ours.weight), 2 * array(theirs.weight))
    with pytest.raises(TypeError, match=r"expected torch.Tensor, but got: list"):
        nn.utils.vector_to_parameters([1.0], ours.parameters())


MIXTURES = [
    [("float16", 100.0, 30), ("float32", 10.0, 20), ("float64", 1.0, 10)],
    [("float64", 1.0, 10), ("float16", 300.0, 30)],
    [("bfloat16", 3.0, 50), ("float16", 3.0, 20)],
    [("float16", 100.0, 50)],
]


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("order", [2.0, 1.0, float("inf")])
def test_norms_of_mixed_dtypes_are_summed_in_a_wide_one(mixture, order) -> None:
    for limit in (1.0, 1e6):
        seen = []
        for lib in (rl, torch):
            parameters = []
            for name, size, count in mixture:
                p = lib.zeros(count, dtype=getattr(lib, name)).requires_grad_(True)
                values = np.random.RandomState(count).randn(count) * size
                p.grad = lib.tensor(values).to(p.dtype)
                parameters.append(p)
            norm = lib.nn.utils.get_total_norm([p.grad for p in parameters], order)
            clipped = lib.nn.utils.clip_grad_norm_(parameters, limit, order)
            seen.append((norm, clipped, *(p.grad for p in parameters)))
        for ours, theirs in zip(*seen):
            assert str(ours.dtype) == str(theirs.dtype)
            np.testing.assert_allclose(
                ours.double().numpy(), theirs.double().numpy(), rtol=1e-2, atol=1e-7
            )


def test_a_large_half_gradient_does_not_silence_the_others() -> None:
    parameters = [nn.Parameter(rl.zeros(4, dtype=d)) for d in (rl.float16, rl.float32, rl.float64)]
    for p in parameters:
        p.grad = rl.full_like(p, 150.0)
    norm = nn.utils.clip_grad_norm_(parameters, 1.0)
    assert norm.dtype is rl.float64
    assert norm.item() == pytest.approx(150 * 12**0.5)
    assert all(p.grad.abs().min().item() > 0.28 for p in parameters)


@pytest.mark.parametrize("dim", [0, -1])
def test_the_norm_of_a_zero_weight_has_slope_0_and_halves_do_not_overflow(dim: int) -> None:
    v = rl.zeros(2, 3, requires_grad=True)
    norm_except_dim(v, dim).sum().backward()
    assert v.grad is not None and v.grad.abs().max().item() == 0.0
    assert norm_except_dim(rl.full((2, 3), 300.0, dtype=rl.float16), dim).isfinite().all()
