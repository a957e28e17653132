"""Counters of what the tape did, for `rushlight.stats()` and for tests.  Level 0."""

from __future__ import annotations

_COUNTERS = (
    "operations_missed",
    "memo_branches",
    "memo_evictions",
    "flushes",
    "plans_made",
    "plans_replayed",
    "operations_executed",
    "operations_dropped",
    "bytes_materialised",
    "kernels_compiled",
    "fallbacks",
)


class Stats:
    """Counters since the process began or since `reset`.

    operations_missed: recorded operations the memo did not know, so that shapes were inferred.
    memo_branches: recorded operations found on another branch than the one taken last.
    memo_evictions: memo steps forgotten because the memo was full.
    flushes: tapes executed, by reason in `flush_reasons`.
    plans_made, plans_replayed: flushes that met a new, or a known, live set.
    operations_executed, operations_dropped: operations run, or skipped because nothing needed them.
    bytes_materialised: bytes of the values that flushes kept.
    kernels_compiled: kernels made by the compiler (found neither in memory nor on disk).
    fallbacks: operations of compiled plans that were computed by the reference rules.
    """

    __slots__ = (*_COUNTERS, "flush_reasons")

    operations_missed: int
    memo_branches: int
    memo_evictions: int
    flushes: int
    plans_made: int
    plans_replayed: int
    operations_executed: int
    operations_dropped: int
    bytes_materialised: int
    kernels_compiled: int
    fallbacks: int

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        for name in _COUNTERS:
            setattr(self, name, 0)
        self.flush_reasons: dict[str, int] = {}

    def snapshot(self) -> dict[str, object]:
        """A copy as a plain dictionary."""
        values: dict[str, object] = {name: getattr(self, name) for name in _COUNTERS}
        values["flush_reasons"] = dict(self.flush_reasons)
        return values


stats = Stats()
