"""Run one expression in rushlight and in PyTorch, and compare everything that can be seen.

A case is a function of the module that plays `torch`.  Operands are made inside it, so both sides
see the same literal values.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest

import rushlight
from rushlight.tensor.tensor import Tensor

torch = pytest.importorskip("torch")

TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 2e-6, "complex64": 5e-6}


def assert_agree(case: Callable, *, rtol: float | None = None) -> None:
    """Same structure, shapes, dtypes and values; or errors of the same type."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, expected_error = outcome(case, torch)
        actual, actual_error = outcome(case, rushlight)
    if expected_error is not None:
        assert actual_error is not None, f"PyTorch raises {expected_error!r}, we gave {actual}"
        same_name = type(actual_error).__name__ == type(expected_error).__name__.lstrip("_")
        assert same_name or isinstance(actual_error, type(expected_error)), repr(actual_error)
        return
    if actual_error is not None:
        raise actual_error
    compare(actual, expected, rtol)


def outcome(case: Callable, module) -> tuple:
    """(result, None) or (None, error)."""
    try:
        return case(module), None
    except Exception as error:  # noqa: BLE001 - whatever PyTorch raises is the expectation
        return None, error


def compare(actual, expected, rtol: float | None) -> None:
    """Recursively, through tuples and lists."""
    if isinstance(expected, torch.Tensor):
        assert isinstance(actual, Tensor), f"expected a tensor, got {actual!r}"
        assert str(actual.dtype) == str(expected.dtype)
        assert tuple(actual.shape) == tuple(expected.shape)
        assert actual.requires_grad == expected.requires_grad
        name = str(expected.dtype).removeprefix("torch.")
        tolerance = TOLERANCE.get(name, 1e-10) if rtol is None else rtol
        ours, theirs = actual.detach(), expected.detach()
        if name == "bfloat16":
            ours, theirs = ours.float(), theirs.float()
        np.testing.assert_allclose(
            ours.numpy(), theirs.resolve_conj().numpy(), rtol=tolerance, atol=tolerance
        )
    elif isinstance(expected, (tuple, list)):
        assert len(actual) == len(expected)
        if type(expected).__module__ == "torch.return_types":
            for field in actual._fields:  # the same names for the same places
                compare(getattr(actual, field), getattr(expected, field), rtol)
            assert type(actual).__name__ == type(expected).__name__
        for a, e in zip(actual, expected):
            compare(a, e, rtol)
    elif isinstance(expected, torch.dtype):
        assert str(actual) == str(expected)
    elif isinstance(expected, float):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)
    else:
        assert actual == expected


def gradients(module, function, *arrays):
    """(value, gradients) of a function of float64 tensors, weighted so that no symmetry hides."""
    operands = [module.tensor(a, dtype=module.float64, requires_grad=True) for a in arrays]
    result = function(*operands)
    weight = module.linspace(0.5, 1.5, max(result.numel(), 1), dtype=module.float64)
    (result * weight[: result.numel()].reshape(result.shape)).sum().backward()
    return result.detach(), [x.grad for x in operands]
