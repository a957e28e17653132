"""How transforms read their arguments: sizes, ranges, angles.

Level 14.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

TWO_DIMENSIONS = "Please provide only two dimensions (h, w) for size."


def pair_of_sizes(size: Any, message: str) -> Sequence[int]:
    """(height, width) from a number or one or two numbers.  Raises: ValueError with `message`."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(message)
    return size


def check_sequence(x: Any, name: str, sizes: tuple[int, ...]) -> None:
    """Raises: TypeError, ValueError unless `x` is a sequence of one of the lengths."""
    allowed = str(sizes[0]) if len(sizes) == 1 else " or ".join(str(s) for s in sizes)
    if not isinstance(x, Sequence):
        raise TypeError(f"{name} should be a sequence of length {allowed}.")
    if len(x) not in sizes:
        raise ValueError(f"{name} should be a sequence of length {allowed}.")


def angle_range(x: Any, name: str, sizes: tuple[int, ...] = (2,)) -> list[float]:
    """(-x, x) of a number, or the given numbers.  Raises: ValueError for a negative number."""
    if isinstance(x, numbers.Number):
        if x < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive.")
        x = [-x, x]  # type: ignore[operator]
    else:
        check_sequence(x, name, sizes)
    return [float(d) for d in x]


def factor_range(
    value: Any, name: str, center: float = 1.0, bound: tuple[float, float] = (0.0, float("inf")),
    clip_first: bool = True,
) -> tuple[float, float] | None:  # fmt: skip
    """The range of a factor, None where it never changes.  Raises: TypeError, ValueError."""
    if isinstance(value, numbers.Number):
        if value < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        low, high = center - float(value), center + float(value)  # type: ignore[arg-type]
        if clip_first:
            low = max(low, 0.0)
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        low, high = float(value[0]), float(value[1])
    else:
        raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
    if not bound[0] <= low <= high <= bound[1]:
        raise ValueError(f"{name} values should be between {bound}, but got {[low, high]}.")
    return None if low == high == center else (low, high)
