"""The worker pool: a parallel-for over kernels, and plans of several kernels in one native call.

Workers are Python threads that enter machine code once and stay there without the GIL: they spin
for some tens of microseconds after a job and then sleep on a condition variable, so an idle pool
costs nothing.  The number of threads changes speed only, never results.  A launch while another
thread's job runs executes on the calling thread.  A forked child starts with an empty pool and
makes workers when it first needs them.  Level 8.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading

import numpy as np

from rushlight.base.forks import lock_known_to_forks
from rushlight.base.hot import hot
from rushlight.base.threads import thread_count
from rushlight.base.words import call_released
from rushlight.runtime import pool_text
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import Library
from rushlight.runtime.kernel_cache import process_cache

_POINTER = ctypes.c_void_p
_WORD = ctypes.c_int64
_WORKER = ctypes.CFUNCTYPE(None, _POINTER, _WORD, _WORD)
_STOP = ctypes.CFUNCTYPE(None, _POINTER)
_FOR = ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _POINTER, _POINTER, _WORD, _WORD)
_STEPS = ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _WORD)
_LINE = 64


def _address(library: ctypes.CDLL, name: str) -> int:
    address = ctypes.cast(getattr(library, name), _POINTER).value
    assert address is not None
    return address


def _system_calls() -> tuple[list[int], list[tuple[int, int]]]:
    """Addresses of lock, unlock, wait, wake and yield; and (initializer, state offset) pairs."""
    if sys.platform == "win32":
        kernel = ctypes.WinDLL("kernel32")  # a zeroed SRW lock is ready
        names = ("AcquireSRWLockExclusive", "ReleaseSRWLockExclusive",
                 "SleepConditionVariableSRW", "WakeAllConditionVariable",
                 "SwitchToThread")  # fmt: skip
        return [_address(kernel, name) for name in names], []
    process = ctypes.CDLL(None)
    names = ("pthread_mutex_lock", "pthread_mutex_unlock", "pthread_cond_wait",
             "pthread_cond_broadcast", "sched_yield")  # fmt: skip
    initializers = [
        (_address(process, "pthread_mutex_init"), pool_text.MUTEX),
        (_address(process, "pthread_cond_init"), pool_text.CONDITION),
    ]
    return [_address(process, name) for name in names], initializers


class WorkerPool:
    """One pool; the process has a single one, ``pool``."""

    def __init__(self) -> None:
        self._lock = lock_known_to_forks("threads")
        self._code: Library | None = None
        self._reset()
        thread_count.follow(self._resize)

    def _reset(self) -> None:
        """No workers and a fresh state; also what a forked child does."""
        self._workers: list[threading.Thread] = []
        self._state: np.ndarray | None = None
        self.state_address = 0

    @property
    def num_threads(self) -> int:
        """Threads a launch may use, the caller's included."""
        return thread_count.count

    @num_threads.setter
    def num_threads(self, threads: int) -> None:
        if threads < 1:
            raise RuntimeError(f"set_num_threads: expected at least 1 thread, got {threads}")
        thread_count.set(threads)

    def _resize(self) -> None:
        with self._lock:
            if self._state is not None:
                self._grow()

    def start(self) -> int:
        """Makes state and workers if there are none; gives the state's address."""
        with self._lock:
            if self._state is None:
                self._make_state()
                self._grow()
            return self.state_address

    def code(self) -> Library:
        """The pool's machine code."""
        self.start()
        assert self._code is not None
        return self._code

    def _make_state(self) -> None:
        if self._code is None:
            text = pool_text.pool_text(host_target().triple)
            cache = process_cache()
            self._code = cache.get(text, pool_text.FUNCTIONS, lambda: text, host_target())
            self._enter_worker = _WORKER(self._code["worker"])
            self._stop_workers = _STOP(self._code["stop_workers"])
            self._parallel_for = _FOR(self._code["parallel_for"])
            self._run_steps = _STEPS(self._code["run_steps"])
            self._run_steps_address = self._code["run_steps"]
        memory = np.zeros(pool_text.STATE_BYTES + _LINE, np.uint8)
        skip = -memory.ctypes.data % _LINE
        self._memory, self._state = memory, memory[skip : skip + pool_text.STATE_BYTES]
        self.state_address = self._state.ctypes.data
        calls, initializers = _system_calls()
        words = self._state.view(np.int64)
        first = pool_text.LOCK // 8
        words[first : first + len(calls)] = calls
        initialize_type = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER)
        for initializer, offset in initializers:
            initialize_type(initializer)(self.state_address + offset, None)

    def _grow(self) -> None:
        assert self._state is not None
        words = self._state.view(np.int64)
        while len(self._workers) < thread_count.count - 1:
            index = len(self._workers)
            generation = int(words[0]) >> 20
            worker = threading.Thread(
                target=self._enter_worker,
                args=(self.state_address, index, generation),
                name=f"rushlight-worker-{index}",
                daemon=True,
            )
            worker.start()
            self._workers.append(worker)
        words[pool_text.LIMIT // 8] = thread_count.count - 1

    def parallel_for(
        self, function: int, buffers: int, params: int, extent: int, grain: int
    ) -> None:
        """Runs a kernel over range(extent) in pieces of at least ``grain``."""
        state = self.state_address or self.start()
        self._parallel_for(state, function, buffers, params, extent, grain)

    @hot
    def run_steps(self, steps: int, count: int) -> None:
        """Runs a plan: rows of (function, buffers, params, extent, grain), one after another."""
        state = self.state_address or self.start()
        call_released(self._run_steps, self._run_steps_address, state, steps, count)

    def stop(self) -> None:
        """Ends the workers; the next launch makes new ones."""
        with self._lock:
            if self._state is not None:
                self._stop_workers(self.state_address)
                for worker in self._workers:
                    worker.join()
            self._reset()

    def after_fork_in_child(self) -> None:
        """The child has none of the parent's threads: forget them and their state."""
        self._reset()


pool = WorkerPool()
# Workers must have left the machine code before the interpreter frees it.
atexit.register(pool.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.after_fork_in_child)


def set_num_threads(threads: int) -> None:
    """Sets how many threads a launch may use.  Raises: RuntimeError if less than 1."""
    pool.num_threads = threads


def get_num_threads() -> int:
    """How many threads a launch may use."""
    return pool.num_threads
