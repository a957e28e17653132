"""A few kernels of every kind, against values worked out by hand.

In: nothing.  Out: one `Check` per kind: passed or not, its largest error, its time.  The expected
values are closed forms or NumPy in double precision; no other part of rushlight is trusted.
Level 14.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import rushlight

# Results are float32: a few units in the last place of numbers of size one.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Check:
    """The outcome of one kind of kernel."""

    name: str
    passed: bool
    error: float
    milliseconds: float
    message: str


Pair = tuple[np.ndarray, np.ndarray]


def _grid(*shape: int) -> np.ndarray:
    """Numbers between -1 and 1 that are exact in float32 and have no symmetry."""
    count = math.prod(shape)
    return ((np.arange(count) * 37 % 101 - 50) / 64.0).reshape(shape)


def _tensor(array: np.ndarray, requires_grad: bool = False) -> rushlight.Tensor:
    return rushlight.tensor(array.tolist(), requires_grad=requires_grad)


def _array(x: rushlight.Tensor | None) -> np.ndarray:
    """The values, wherever they live."""
    assert x is not None
    return x.detach().cpu().numpy()


def elementwise() -> Pair:
    """exp, sine, maximum and arithmetic with broadcasting."""
    a, b = _grid(17, 1), _grid(1, 19)
    x, y = _tensor(a), _tensor(b)
    got = rushlight.maximum(rushlight.exp(x) * y + rushlight.sin(y), x - y) / 2
    return _array(got), np.maximum(np.exp(a) * b + np.sin(b), a - b) / 2


def reduction() -> Pair:
    """The sum of 1..n, and the means and variances of rows."""
    n = 1000
    a = _grid(7, 33)
    x = _tensor(a)
    total = rushlight.arange(1, n + 1).sum().item()
    rows = np.stack([_array(x.mean(dim=1)), _array(x.var(dim=1))])
    got = np.append(rows, total / (n * (n + 1) / 2))
    return got, np.append(np.stack([a.mean(1), a.var(1, ddof=1)]), 1.0)


def matmul() -> Pair:
    """A product of two matrices."""
    a, b = _grid(33, 29), _grid(29, 41)
    return _array(_tensor(a) @ _tensor(b)), a @ b


def convolution() -> Pair:
    """A 3x3 convolution with padding, against a sum of shifted images."""
    image, kernel = _grid(1, 2, 9, 10), _grid(3, 2, 3, 3)
    got = rushlight.nn.functional.conv2d(_tensor(image), _tensor(kernel), padding=1)
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = sum(
        np.einsum("nchw,oc->nohw", padded[:, :, i : i + 9, j : j + 10], kernel[:, :, i, j])
        for i in range(3)
        for j in range(3)
    )
    return _array(got), expected


def indexing() -> Pair:
    """A write through a transposed view reaches the tensor it views."""
    a = _grid(6, 5)
    x = _tensor(a)
    x.t()[1, 2:4] += 1.0
    expected = a.copy()
    expected[2:4, 1] += 1.0
    return _array(x[rushlight.tensor([5, 2, 3])]), expected[[5, 2, 3]]


def gradient() -> Pair:
    """The notes' example: y = x**2 + 3x + 1 has the slope 7 at x = 2; and a softmax's gradient."""
    x = rushlight.tensor([2.0], requires_grad=True)
    y = x**2 + 3 * x + 1
    y.backward()
    a = _grid(4, 5)
    logits = _tensor(a, requires_grad=True)
    labels = [0, 3, 1, 4]
    rushlight.nn.functional.cross_entropy(logits, rushlight.tensor(labels)).backward()
    softmax = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    expected = (softmax - np.eye(5)[labels]) / 4
    return np.append(_array(logits.grad), _array(x.grad)), np.append(expected, 7.0)


def training() -> Pair:
    """Gradient descent on a quadratic bowl, whose steps have a closed form."""
    start = _grid(3)
    x = _tensor(start, requires_grad=True)
    optimizer = rushlight.optim.SGD([x], lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (x * x).sum().backward()
        optimizer.step()
    return _array(x), start * 0.8**5


def random_numbers() -> Pair:
    """The same seed gives the same numbers, and they lie in their interval."""
    rushlight.manual_seed(7)
    first = _array(rushlight.rand(1000)).copy()
    rushlight.manual_seed(7)
    second = _array(rushlight.rand(1000))
    inside = np.array([float(first.min() >= 0.0 and first.max() < 1.0)])
    return np.append(first, inside), np.append(second, 1.0)


CHECKS: dict[str, Callable[[], Pair]] = {
    "elementwise": elementwise,
    "reduction": reduction,
    "matrix product": matmul,
    "convolution": convolution,
    "indexing and views": indexing,
    "gradient": gradient,
    "training step": training,
    "random numbers": random_numbers,
}


def run_checks(checks: dict[str, Callable[[], Pair]] = CHECKS) -> list[Check]:
    """Run every check; a check that raises has failed and says why."""
    return [_run_check(name, check) for name, check in checks.items()]


def run_checks_on(place: Any, checks: dict[str, Callable[[], Pair]] = CHECKS) -> list[Check]:
    """The same with a device as where new tensors live; the checks' names say it."""
    with place:
        return [_run_check(f"{name} on {place}", check) for name, check in checks.items()]


def _run_check(name: str, check: Callable[[], Pair]) -> Check:
    begin = time.perf_counter()
    try:
        got, expected = check()
    except Exception as error:
        return Check(name, False, math.inf, _since(begin), f"{type(error).__name__}: {error}")
    duration = _since(begin)
    if got.shape != expected.shape:
        message = f"has the shape {got.shape}, expected {expected.shape}"
        return Check(name, False, math.inf, duration, message)
    difference = np.abs(np.asarray(got, dtype=np.float64) - expected)
    error_size = float(difference.max()) if np.isfinite(difference).all() else math.inf
    passed = error_size <= TOLERANCE
    message = "" if passed else f"differs by {error_size:.2g} from the value worked out by hand"
    return Check(name, passed, error_size, duration, message)


def _since(begin: float) -> float:
    return (time.perf_counter() - begin) * 1e3
