"""Second and third derivatives: of losses at infinite scores, and of normalisations.

PyTorch's own are NaN for many of the first, and its third derivatives of layer_norm and batch_norm
are wrong; so the judge is mathematics: the limit, and differences of the second derivative.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import rushlight
from rushlight.nn import functional as F

INF = math.inf
FAR = 2000.0  # exp(-FAR) is 0 in float64: what a formula gives here is its limit


def _derivatives(compute, x: np.ndarray, directions) -> list[np.ndarray]:
    """The gradient of the sum of compute(x), then each derivative along one more direction."""
    operand = rushlight.tensor(x, requires_grad=True)
    scalar = compute(operand).sum()
    found = []
    for direction in (*directions, None):
        (slope,) = rushlight.autograd.grad(scalar, operand, create_graph=True, allow_unused=True)
        if slope is None:
            slope = rushlight.zeros_like(operand)
        found.append(slope.detach().numpy().copy())
        if direction is not None and slope.requires_grad:
            scalar = (slope * rushlight.tensor(direction)).sum()
        elif direction is not None:
            scalar = operand.sum() * 0.0
    return found


SCORES = np.array([[-INF, 0.0, 1.0], [0.5, -INF, -INF], [0.0, 1.0, 2.0]])
LINE = np.array([[-INF, -30.0, -1.0, 0.25, 2.0, 30.0, INF]])
AT_LAST = rushlight.tensor([2, 0, 1])
OF_ROWS = {
    "log_softmax": lambda x: F.log_softmax(x, -1)[[0, 1, 2], [2, 0, 1]],
    "softmax": lambda x: F.softmax(x, -1),
    "logsumexp": lambda x: rushlight.logsumexp(x, -1),
    "cross_entropy": lambda x: F.cross_entropy(x, AT_LAST),
    "weighted cross_entropy": lambda x: F.cross_entropy(
        x, AT_LAST, rushlight.tensor([1.0, 2.0, 3.0], dtype=rushlight.float64)
    ),
    "kl_div": lambda x: F.kl_div(
        F.log_softmax(x, -1), F.softmax(rushlight.tensor(SCORES), -1), reduction="sum"
    ),
}
OF_ELEMENTS = {
    "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(
        x, rushlight.full_like(x, 0.25)
    ),
    "soft_margin_loss": lambda x: F.soft_margin_loss(x, rushlight.ones_like(x)),
    "logsigmoid": F.logsigmoid,
    "softplus": F.softplus,
    "sigmoid": rushlight.sigmoid,
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, rushlight.zeros_like(x)),
    "huber_loss": lambda x: F.huber_loss(x, rushlight.zeros_like(x)),
}


@pytest.mark.parametrize("name", [*OF_ROWS, *OF_ELEMENTS])
def test_derivatives_at_infinite_scores_are_the_limits(name):
    compute, x = (OF_ROWS[name], SCORES) if name in OF_ROWS else (OF_ELEMENTS[name], LINE)
    random = np.random.RandomState(0)
    directions = [random.randn(*x.shape) for _ in range(2)]
    found = _derivatives(compute, x, directions)
    limits = _derivatives(compute, np.clip(x, -FAR, FAR), directions)
    for given, right in zip(found, limits):
        np.testing.assert_allclose(given, right, rtol=1e-12, atol=1e-14)


WEIGHTS = np.random.RandomState(1).randn(4, 3)
SIZES = rushlight.tensor([0.5, 1.0, 2.0], dtype=rushlight.float64)
NORMS = {
    "layer_norm": lambda x: F.layer_norm(x, (3,), SIZES),
    "group_norm": lambda x: F.group_norm(x, 1, SIZES),
    "batch_norm": lambda x: F.batch_norm(x, None, None, SIZES, training=True),
    "instance_norm": lambda x: F.instance_norm(x[None]),
    "rms_norm": lambda x: F.rms_norm(x, (3,), SIZES),
}


@pytest.mark.parametrize("name", NORMS)
def test_each_derivative_of_a_normalisation_is_the_slope_of_the_one_before(name):
    def compute(x):
        return NORMS[name](x) * rushlight.tensor(WEIGHTS)

    random = np.random.RandomState(2)
    x, first, second = (random.randn(4, 3) for _ in range(3))
    step = 1e-5
    derivatives = _derivatives(compute, x, (first, second))
    for order in (1, 2):
        # Of order n along v is the slope of the scalar (order n - 1) . v, by central differences.
        along = (first, second)[order - 1]
        slope = np.zeros_like(x)
        for place in np.ndindex(x.shape):
            ahead, behind = x.copy(), x.copy()
            ahead[place] += step
            behind[place] -= step
            values = [
                (_derivatives(compute, y, (first, second)[: order - 1])[-1] * along).sum()
                for y in (ahead, behind)
            ]
            slope[place] = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(derivatives[order], slope, rtol=1e-6, atol=1e-6)
