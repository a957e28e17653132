"""Machine code for long draws, from whoever can make it (level 1).

In: the name of a function of `codegen/draws.py`, arrays and numbers.  Out: the filled array.
`make` is set by `engine/`, which lies above; without it, for short draws, and where the reference
executor was asked for, NumPy computes everything, and is the judge of the machine code.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rushlight.base.config import config

Draw = Callable[..., None]

#: name -> function of (source address, target address, count, k, p, q, r); set by `engine/`.
make: Callable[[str], Draw] | None = None

#: Whether machine code can be made at all; set by `engine/`.
is_available: Callable[[], bool] | None = None

#: Values from which on the call pays; below it NumPy takes less time than finding the code.
LEAST = 1 << 8


def is_worth(count: int) -> bool:
    """Whether a draw of `count` values goes through machine code."""
    if count < LEAST or is_available is None or config.executor == "reference":
        return False
    return is_available()


def run(
    name: str,
    source: np.ndarray,
    target: np.ndarray,
    count: int,
    p: float = 0.0,
    q: float = 0.0,
    r: float = 0.0,
    *,
    k: int = 0,
) -> np.ndarray:
    """Call a function on contiguous arrays; returns the target."""
    assert make is not None
    make(name)(source.ctypes.data, target.ctypes.data, count, k, p, q, r)
    return target
