"""Python's multiprocessing, with tensors that travel through shared memory.

In: what `multiprocessing` has (Process, Queue, Pool, Pipe ...), and `spawn`.  Out: the same; a
tensor put in a queue, given to a process or returned from a pool is moved to shared memory, and
both sides see each other's writes.  Source: torch.multiprocessing.  Level: multiprocessing (12).
"""

import multiprocessing
from multiprocessing import *  # noqa: F403

from rushlight.multiprocessing import reductions
from rushlight.multiprocessing.spawn import (
    ProcessContext,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)
from rushlight.multiprocessing.strategies import (
    get_all_sharing_strategies,
    get_sharing_strategy,
    set_sharing_strategy,
)

__all__ = [
    *multiprocessing.__all__,
    "ProcessContext",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "reductions",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]
