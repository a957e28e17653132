"""Overwriting a value is an error in backward only where PyTorch's derivative reads it."""

from __future__ import annotations

import pytest

import rushlight


def _operands():
    x = rushlight.tensor([1.0, -2.0], requires_grad=True)
    y = rushlight.tensor([4.0, 0.5], requires_grad=True)
    return x, y


def test_a_quotient_may_be_overwritten():
    x, y = _operands()
    quotient = x / y
    quotient.mul_(3.0)
    quotient.sum().backward()
    assert y.grad.tolist() == [-0.1875, 24.0]


def test_an_operand_of_sign_may_be_overwritten():
    x, _ = _operands()
    doubled = x * 2
    total = doubled.sign().sum()
    doubled.mul_(3.0)
    total.backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_a_divisor_may_not_be_overwritten():
    x, y = _operands()
    divisor = y * 2
    total = (x / divisor).sum()
    divisor.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()
