"""The ways in which memory is shared.  In: a name.  Out: whether it is one that exists here.

PyTorch has two on Linux.  A block here is always a file without a name: its memory is given back
by the system however a process ends, which is what PyTorch's second way, files with names, needs a
daemon for.  Both names are accepted and mean the same.  Level: multiprocessing (12).
"""

from __future__ import annotations

import sys

_ALL = (
    {"file_system"} if sys.platform in ("win32", "darwin") else {"file_descriptor", "file_system"}
)
_CHOSEN = ["file_system" if len(_ALL) == 1 else "file_descriptor"]


def get_all_sharing_strategies() -> set[str]:
    """The names that `set_sharing_strategy` accepts here."""
    return set(_ALL)


def get_sharing_strategy() -> str:
    """The name that was chosen last, or the system's usual one."""
    return _CHOSEN[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Choose a way of sharing memory by its name.  Raises: AssertionError for an unknown one."""
    assert new_strategy in _ALL, f"sharing strategies here are {sorted(_ALL)}"
    _CHOSEN[0] = new_strategy
