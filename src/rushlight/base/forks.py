"""Locks that no other thread holds at the moment of a fork.

A forked child has one thread, and memory as all threads of its parent left it.  What a lock guards
is whole in the child only if nobody was inside at that moment: so a fork waits for each of these
locks and both sides let go of them afterwards.  They are taken in one order everywhere (LOCKS);
all are reentrant, because a signal handler may fork while its own thread is inside.  Level 0.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

# Whoever holds one of these may take those that stand after it, never one before it.
LOCKS = ("devices", "workers", "flush", "draws", "threads", "kernels", "llvm", "memory")

_locks = {name: threading.RLock() for name in LOCKS}


def lock_known_to_forks(name: str) -> threading.RLock:  # type: ignore[valid-type]
    """The process's one lock of this name."""
    return _locks[name]


_further: list[Callable[[], Iterable[Any]]] = []


def forks_wait_for(locks: Callable[[], Iterable[Any]]) -> None:
    """Forks wait for the locks that this gives, too; their holders take no other lock."""
    _further.append(locks)


_held_by_fork: list[Any] = []


def _before_fork() -> None:
    for lock in _locks.values():
        lock.acquire()
        _held_by_fork.append(lock)
    for locks in _further:
        for lock in locks():
            lock.acquire()
            _held_by_fork.append(lock)


def _after_fork() -> None:
    # An interrupt may have ended the taking midway: only what was taken is given back.
    while _held_by_fork:
        _held_by_fork.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
