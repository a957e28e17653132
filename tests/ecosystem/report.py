"""What a program of the table found: numbers to compare, printed as one line of JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

MARK = "RESULT "
_BEGUN = time.perf_counter()
_STEP: list[float] = []


def timed(call: Callable[[], Any], repeats: int = 10) -> None:
    """Note the least processor time of a call, all threads together, once it has run twice."""
    for _ in range(2):
        call()
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        call()
        times.append(time.process_time() - begun)
    _STEP[:] = [min(times)]


def plain(value: Any) -> Any:
    """Tensors and arrays as lists."""
    if hasattr(value, "detach"):
        return value.detach().tolist()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def report(**found: Any) -> None:
    """Print it, with the time since this module was imported, after the package itself."""
    seconds = time.perf_counter() - _BEGUN
    result = {"found": plain(found), "seconds": seconds}
    if _STEP:
        result["step"] = _STEP[0]
    print(MARK + json.dumps(result), file=sys.stdout)
