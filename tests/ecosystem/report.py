"""What a program of the table found: numbers to compare, printed as one line of JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

MARK = "RESULT "
_BEGUN = time.perf_counter()


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
    print(MARK + json.dumps({"found": plain(found), "seconds": seconds}), file=sys.stdout)
