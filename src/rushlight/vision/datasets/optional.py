"""The one place that imports what only a few datasets need: PyAV (videos) and LMDB (LSUN).

Out: the modules, or None; `require`.  Level 14.
"""

from __future__ import annotations

from typing import Any

try:
    import av
except ImportError:
    av: Any = None  # type: ignore[no-redef]

try:
    import lmdb
except ImportError:
    lmdb: Any = None  # type: ignore[no-redef]

_MODULES = {"av": lambda: av, "lmdb": lambda: lmdb}


def require(name: str, what: str) -> None:
    """Raises: ImportError that says what to install, where a package is not there."""
    if _MODULES[name]() is None:
        raise ImportError(
            f"{what} needs the package {name}, which is not installed: pip install {name}",
            name=name,
        )
