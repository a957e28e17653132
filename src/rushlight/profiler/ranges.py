"""`record_function`: a stretch of a program under a name, for profilers and traces.

Outside a profiler it costs a reading of the clock.  Level: profiler (12).
"""

from __future__ import annotations

from contextlib import ContextDecorator

from rushlight.base.observe import RANGE, clock, tell, watchers


class record_function(ContextDecorator):
    """Name a block, or as a decorator each call of a function.

    name: how profilers and traces call it; args: kept with it.
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._start = 0.0

    def _recreate_cm(self) -> record_function:
        """A fresh one for each call of a decorated function, which may call itself."""
        return type(self)(self.name, self.args)

    def __enter__(self) -> record_function:
        self._start = clock()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if watchers:
            tell(RANGE, self.name, self._start, self.args)
