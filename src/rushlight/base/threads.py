"""How many threads kernels may use: set before there is a pool, which is then told.  Level 0."""

from __future__ import annotations

import os
from collections.abc import Callable


def usable_cores() -> int:
    """Cores this process may run on, which in a container is fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_at_start() -> int:
    """OMP_NUM_THREADS if it is set to a number, as PyTorch honors it; else every usable core."""
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if text.isdigit() and int(text) > 0:
        return int(text)
    return usable_cores()


class ThreadCount:
    """The number, and the pool that follows it once there is one."""

    def __init__(self) -> None:
        self.count = threads_at_start()
        self._tell: Callable[[], None] | None = None

    def follow(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever the number changes."""
        self._tell = tell

    def set(self, count: int) -> None:
        """Change the number."""
        self.count = count
        if self._tell is not None:
            self._tell()


thread_count = ThreadCount()
