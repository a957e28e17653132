"""Line search for the strong Wolfe conditions.  Level 12.

Bracketing and zooming with cubic interpolation (Nocedal and Wright, section 3.5; the safeguards
are those of Schmidt's minFunc, which PyTorch's numbers follow).  In: a function of the step length
giving loss and gradient.  Out: loss, gradient, step length, evaluations used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rushlight.primitives.reduction import reduce_max
from rushlight.tensor.tensor import Tensor

# Sufficient decrease and curvature constants of the Wolfe conditions.
_DECREASE = 1e-4
_CURVATURE = 0.9

# Extrapolation stays within these multiples; a trial this near an end of the bracket is moved.
_LEAST_GROWTH = 0.01
_MOST_GROWTH = 10
_EDGE = 0.1


@dataclass
class _Point:
    """A trial: step length, loss, gradient and slope along the direction."""

    t: Any
    loss: float
    grad: Tensor
    slope: Any


def strong_wolfe(
    evaluate: Callable[[Any], tuple[float, Tensor]],
    t: Any,
    direction: Tensor,
    loss: float,
    grad: Tensor,
    slope: Any,
    tolerance_change: float = 1e-9,
    max_evaluations: int = 25,
) -> tuple[float, Tensor, Any, int]:
    """Search from `t` along `direction` for a step with enough decrease and a small slope.

    Returns the best point met when `max_evaluations` trials did not find one.
    """
    start = _Point(0, loss, grad.clone(), slope)

    def trial(length: Any) -> _Point:
        value, gradient = evaluate(length)
        return _Point(length, value, gradient.clone(), gradient.dot(direction))

    bracket, trials, done = _bracket(trial, start, t, max_evaluations)
    extent = reduce_max(direction.abs(), (0,), False)
    stuck = False
    low, high = _order(bracket)
    while not done and trials < max_evaluations:
        first, second = bracket
        if abs(second.t - first.t) * extent < tolerance_change:
            break
        t, stuck = _trial_inside(first, second, stuck)
        new = trial(t)
        trials += 1
        if new.loss > start.loss + _DECREASE * t * slope or new.loss >= bracket[low].loss:
            bracket[high] = new
            low, high = _order(bracket)
            continue
        if abs(new.slope) <= -_CURVATURE * slope:
            done = True
        elif new.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = new
    best = bracket[low]
    return best.loss, best.grad, best.t, trials + 1


def _bracket(
    trial: Callable[[Any], _Point], start: _Point, t: Any, max_evaluations: int
) -> tuple[list[_Point], int, bool]:
    """Grow the step until it holds a good point: (bracket, further trials, found outright)."""
    previous, new = start, trial(t)
    trials = 0
    while trials < max_evaluations:
        rises = new.loss > start.loss + _DECREASE * new.t * start.slope
        if rises or (trials > 1 and new.loss >= previous.loss):
            return [previous, new], trials, False
        if abs(new.slope) <= -_CURVATURE * start.slope:
            return [new], trials, True
        if new.slope >= 0:
            return [previous, new], trials, False
        least = new.t + _LEAST_GROWTH * (new.t - previous.t)
        t = _cubic_minimum(previous, new, (least, new.t * _MOST_GROWTH))
        previous, new = new, trial(t)
        trials += 1
    return [start, new], trials, False


def _order(bracket: list[_Point]) -> tuple[int, int]:
    """Positions of the lower and the higher end."""
    return (0, 1) if bracket[0].loss <= bracket[-1].loss else (1, 0)


def _trial_inside(first: _Point, second: _Point, stuck: bool) -> tuple[Any, bool]:
    """The next step length, and whether it barely moves away from an end of the bracket.

    Twice in a row near an end, or on it, and the step is put a tenth of the bracket inside.
    """
    t = _cubic_minimum(first, second)
    lower, upper = min(first.t, second.t), max(first.t, second.t)
    margin = _EDGE * (upper - lower)
    if min(upper - t, t - lower) >= margin:
        return t, False
    if not stuck and lower < t < upper:
        return t, True
    if abs(t - upper) < abs(t - lower):
        return upper - margin, False
    return lower + margin, False


def _cubic_minimum(a: _Point, b: _Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """Where the cubic through both points and slopes is least, within the bounds."""
    if a.t > b.t:
        a, b = b, a
    lower, upper = bounds if bounds is not None else (a.t, b.t)
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:  # also when an infinite loss made it NaN
        return (lower + upper) / 2.0
    d2 = square**0.5
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, lower), upper)
