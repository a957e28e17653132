"""Compiles that no step of a program waits for: a thread of their own makes the object code.

What is made so is something that would serve better than what there is, so that nothing depends on
when it comes: whoever wants it asks now and then whether it is there, and then only links it.
LLVM runs beside Python, for its calls let go of the interpreter's lock.  Level 0.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any


class Later:
    """A call made by another thread.  seconds: what it took, once it is over.

    What it raises is dropped: whoever then makes the same call himself is told.  A thread is not
    there in a forked child, and none can be started while the interpreter ends: the call then
    counts as over.
    """

    __slots__ = ("seconds", "_function", "_thread", "_process")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.seconds = 0.0
        self._function = function
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="rushlight compiler")
        try:
            self._thread.start()
        except RuntimeError:
            self._process = -1

    def _run(self) -> None:
        started = time.perf_counter()
        with contextlib.suppress(Exception):
            self._function()
        self.seconds = time.perf_counter() - started

    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self._process != os.getpid() or not self._thread.is_alive()
