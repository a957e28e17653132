"""Counters of what the tape did, for `rushlight.stats()` and for tests.  Level 0."""

from __future__ import annotations

from rushlight.base.hot import hot

_COUNTERS = (
    "operations_missed",
    "memo_branches",
    "memo_evictions",
    "blocks_replayed",
    "calls_replayed",
    "flushes",
    "plans_made",
    "plans_replayed",
    "plans_resized",
    "operations_executed",
    "operations_dropped",
    "bytes_materialised",
    "kernels_compiled",
    "kernels_from_disk",
    "kernels_reused",
    "compile_seconds",
    "kernel_launches",
    "fallbacks",
    "functions_compiled",
    "device_copies",
    "bytes_to_devices",
    "graph_launches",
    "host_steps",
)


@hot
class Stats:
    """Counters since the process began or since `reset`.

    operations_missed: recorded operations the memo did not know, so that shapes were inferred.
    memo_branches: recorded operations found on another branch than the one taken last.
    memo_evictions: memo steps forgotten because the memo was full.
    blocks_replayed: losses, backwards and updates put on a tape as a whole.
    calls_replayed: calls of `torch.compile`d functions that ran their plan without their Python.
    flushes: tapes executed, by reason in `flush_reasons`.
    plans_made, plans_replayed: flushes that met a new, or a known, live set.
    plans_resized: known programs met with sizes they never had, which a template served.
    operations_executed, operations_dropped: operations run, or skipped because nothing needed them.
    bytes_materialised: bytes of the values that flushes kept.
    kernels_compiled: kernels made by the compiler (found neither in memory nor on disk).
    kernels_from_disk, kernels_reused: kernels of new plans found on disk, or in memory.
    compile_seconds: seconds spent making new plans into machine code, loading included.
    kernel_launches: kernels run.
    fallbacks: operations of compiled plans that were computed by the reference rules, by
        operation and reason in `fallback_reasons`.
    functions_compiled: functions of this package that run as machine code (`selfcompile/`).
    device_copies: values that went from one device to another; bytes_to_devices: copied to them.
    graph_launches: plans of devices that one launch ran, a graph of all their kernels.
    host_steps: operations of devices that went through the host, also counted as fallbacks.
    memo_hits (of the snapshot): operations of flushed tapes that the memo expected.
    """

    __slots__ = (*_COUNTERS, "flush_reasons", "fallback_reasons")

    operations_missed: int
    memo_branches: int
    memo_evictions: int
    blocks_replayed: int
    calls_replayed: int
    flushes: int
    plans_made: int
    plans_replayed: int
    plans_resized: int
    operations_executed: int
    operations_dropped: int
    bytes_materialised: int
    kernels_compiled: int
    kernels_from_disk: int
    kernels_reused: int
    compile_seconds: float
    functions_compiled: int
    kernel_launches: int
    fallbacks: int
    device_copies: int
    bytes_to_devices: int
    graph_launches: int
    host_steps: int

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        for name in _COUNTERS:
            setattr(self, name, 0)
        self.flush_reasons: dict[str, int] = {}
        self.fallback_reasons: dict[str, int] = {}

    def snapshot(self) -> dict[str, object]:
        """A copy as a plain dictionary."""
        values: dict[str, object] = {name: getattr(self, name) for name in _COUNTERS}
        values["flush_reasons"] = dict(self.flush_reasons)
        values["fallback_reasons"] = dict(self.fallback_reasons)
        recorded = self.operations_executed + self.operations_dropped
        values["memo_hits"] = max(recorded - self.operations_missed - self.memo_branches, 0)
        return values


stats = Stats()
