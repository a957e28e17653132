"""Calls of functions in other processes, of which there are none.  Level 12.

Source: torch.distributed.rpc, where it is not built in.
"""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Whether functions can be called in other processes: no, rushlight runs one."""
    return False
