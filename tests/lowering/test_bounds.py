"""Indices that an operation of the same program computed are not checked again; others are."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from tests.lowering.executors import compare, run


def data(*shape):
    return rl.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def checks_of(program) -> int:
    """How many checks of indices the plans of a program make."""
    return sum(plan.checks.count for plan in run(program, "compiled")[1])


def sorting():
    x = data(5, 300).requires_grad_()
    values, order = rl.sort(x, 1)
    best, places = rl.topk(x, 7, 1)
    (values.exp().sum() + best.sum()).backward()
    return [values.detach(), order, best.detach(), places, x.grad]


def pooling():
    x = data(2, 3, 9, 9).requires_grad_()
    found = F.max_pool2d(x, 3, 2, 1)
    (found * found).sum().backward()
    return [found.detach(), x.grad]


def chosen_by_argmax():
    x = data(6, 11)
    return [rl.gather(x, 1, rl.argmax(x, 1, keepdim=True))]


@pytest.mark.parametrize("program", [sorting, pooling, chosen_by_argmax])
def test_found_indices_are_not_checked(program) -> None:
    assert checks_of(program) == 0
    compare(program, rtol=1e-6, atol=1e-6)


def test_indices_from_elsewhere_are_checked() -> None:
    x, y = data(6, 11), data(6, 20)

    def too_far():
        return [rl.gather(x, 1, rl.argmax(y, 1, keepdim=True))]

    def computed():
        return [rl.gather(x, 1, rl.argsort(x, 1) * 0)]

    assert checks_of(computed) == 1
    y[2, 19] = 100.0
    with pytest.raises(RuntimeError, match="out of bounds"):
        run(too_far, "compiled")
