"""Iterating a DataLoader with worker processes.  Level 12.

Each worker is reached over a connection of its own.  Batches are handed out in the order of the
sampler whatever the order in which they arrive (unless in_order is False), at most prefetch_factor
of them ahead for each worker.  A worker's death is noticed by its sentinel; when the iterator is
dropped, exhausted or interrupted, every worker is told to go, then made to.
"""

from __future__ import annotations

import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
import warnings
import weakref
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from rushlight.base.forks import lock_known_to_forks
from rushlight.tape.tape import current_tape
from rushlight.utils.data.transport import encode, receive, send
from rushlight.utils.data.worker import Ended, Job, Raised, Restart, Task, loader_ends, run_worker

# Time given to workers to leave by themselves, and after that to heed a termination signal.
_LEAVE_SECONDS = 1.0
_TERMINATE_SECONDS = 2.0

# A worker that was forked while another is made would keep copies of that one's pipes open, and
# its death would go unnoticed.
_starting = lock_known_to_forks("workers")


class Worker:
    """A worker process as its loader sees it."""

    def __init__(self, context: BaseContext, job: Job) -> None:
        self.active = True
        self.outstanding = 0
        with _starting:
            self.connection, other = context.Pipe(duplex=True)
            loader_ends.add(self.connection)
            self.process: BaseProcess = context.Process(  # type: ignore[attr-defined]
                target=run_worker, args=(job, other), daemon=True
            )
            try:
                with warnings.catch_warnings():
                    # Newer Pythons warn when a process with threads forks; see `default_context`.
                    warnings.filterwarnings("ignore", ".*use of fork.*", DeprecationWarning)
                    self.process.start()
            except BaseException:
                self.close()
                raise
            finally:
                other.close()

    def close(self) -> None:
        """Close the connection, which tells the worker to go."""
        loader_ends.discard(self.connection)
        self.connection.close()

    def send(self, message: Any) -> None:
        """Raises: OSError if the worker is dead."""
        send(self.connection, encode(message))


class ParallelBatches:
    """Batches fetched by worker processes.

    indices: function that gives an iterator of indices for one pass.
    timeout: seconds to wait for a batch; 0 waits as long as the workers live.
    Raises, from `next`: what a worker raised; RuntimeError when a worker dies or time runs out.
    """

    def __init__(
        self,
        jobs: list[Job],
        context: BaseContext,
        prefetch_factor: int,
        timeout: float,
        in_order: bool,
        persistent: bool,
    ) -> None:
        # Nothing is pending when workers start: else each would compute it again.
        current_tape().flush("workers start")
        self._prefetch = prefetch_factor * len(jobs)
        self._timeout = timeout
        self._in_order = in_order
        self._persistent = persistent
        self._generation = 0
        self._workers: list[Worker] = []
        self._finalizer = weakref.finalize(self, _stop, self._workers, os.getpid())
        try:
            for job in jobs:
                self._workers.append(Worker(context, job))
        except BaseException:
            self._finalizer()
            raise

    def begin(self, indices: Any, pipe_seed: int | None = None) -> None:
        """Start a pass over `indices`, an iterator; results of an unfinished pass are dropped.

        pipe_seed: for the steps of a pipeline, from the second pass on.
        """
        self._indices = indices
        self._next_task = 0
        self._next_out = 0
        self._owner: dict[int, Worker] = {}
        self._results: dict[int, Any] = {}
        self._turns = itertools.cycle(self._workers)
        self._generation += 1
        for worker in self._workers:
            worker.active = True
            worker.outstanding = 0
            if self._generation > 1:
                self._send(worker, Restart(self._generation, pipe_seed))
        for _ in range(self._prefetch):
            self._submit()

    def next(self) -> Any:
        """The next batch.  Raises: StopIteration at the end of the pass."""
        try:
            task = self._await_result()
        except KeyboardInterrupt:
            self.stop()
            raise
        if task is None:
            if not self._persistent:
                self.stop()
            raise StopIteration
        result = self._results.pop(task)
        self._owner.pop(task).outstanding -= 1
        self._submit()
        if isinstance(result, Raised):
            result.reraise()
        return result

    def stop(self) -> None:
        """End the workers."""
        self._finalizer()

    def _await_result(self) -> int | None:
        """The number of a task whose result may be handed out; None when no task is left."""
        while True:
            # Tasks of a worker whose stream ended have no owner any more.
            while self._next_out < self._next_task and self._next_out not in self._owner:
                self._next_out += 1
            if self._next_out == self._next_task:
                return None
            if not self._finalizer.alive:
                raise RuntimeError("DataLoader: the workers of this iterator have been stopped")
            if self._results and not self._in_order:
                return next(iter(self._results))
            if self._next_out in self._results:
                return self._next_out
            self._take_in()

    def _submit(self) -> None:
        """Give the next indices to a worker whose turn it is, if there are any left."""
        try:
            index = next(self._indices)
        except StopIteration:
            return
        worker = self._whose_turn()
        if worker is None:
            return
        number = self._next_task
        self._send(worker, Task(self._generation, number, index))
        self._next_task += 1
        self._owner[number] = worker
        worker.outstanding += 1

    def _whose_turn(self) -> Worker | None:
        active = [worker for worker in self._workers if worker.active]
        if not active:
            return None
        if not self._in_order:
            return min(active, key=lambda worker: worker.outstanding)
        return next(worker for worker in self._turns if worker.active)

    def _send(self, worker: Worker, message: Any) -> None:
        try:
            worker.send(message)
        except OSError:
            self._report_death([worker])

    def _take_in(self) -> None:
        """Wait for messages of the workers and note them."""
        by_connection = {worker.connection: worker for worker in self._workers}
        by_sentinel = {worker.process.sentinel: worker for worker in self._workers}
        ready = multiprocessing.connection.wait(
            [*by_connection, *by_sentinel], self._timeout or None
        )
        if not ready:
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        # What a worker sent before it died still counts.
        speaking = [by_connection[end] for end in ready if end in by_connection]
        for worker in speaking:
            try:
                self._note(worker, receive(worker.connection))
            except (EOFError, OSError):
                self._report_death([worker])
        if not speaking:
            self._report_death([by_sentinel[sentinel] for sentinel in ready])  # type: ignore[index]

    def _note(self, worker: Worker, message: tuple[int, int, Any]) -> None:
        generation, number, result = message
        if generation != self._generation:
            return
        if not isinstance(result, Ended):
            self._results[number] = result
            return
        worker.active = False
        lost = [n for n, w in self._owner.items() if w is worker and n not in self._results]
        for task in lost:
            del self._owner[task]
        worker.outstanding -= len(lost)
        self._submit()

    def _report_death(self, workers: list[Worker]) -> None:
        """End everything and raise, saying which workers died and of what."""
        for worker in workers:
            worker.process.join(_LEAVE_SECONDS)
        pids = ", ".join(str(worker.process.pid) for worker in workers)
        causes = ", ".join(_cause(worker.process.exitcode) for worker in workers)
        self.stop()
        raise RuntimeError(
            f"DataLoader worker (pid(s) {pids}) exited unexpectedly: {causes}. A worker that is "
            "killed is often one that ran out of memory; num_workers=0 shows errors in place."
        )


def _cause(exit_code: int | None) -> str:
    if exit_code is None:
        return "it closed its connection"
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"killed by signal {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"killed by signal {-exit_code}"


def _stop(workers: list[Worker], owner: int) -> None:
    """End the processes: by closing their connections, then by signals."""
    for worker in workers:
        worker.close()
    if os.getpid() != owner:
        # A fork's copy of the iterator; the workers are not its children.
        return
    processes = [worker.process for worker in workers]
    if not _joined(processes, _LEAVE_SECONDS):
        for process in processes:
            process.terminate()
        if not _joined(processes, _TERMINATE_SECONDS):
            for process in processes:
                process.kill()
            _joined(processes, _TERMINATE_SECONDS)


def _joined(processes: list[BaseProcess], seconds: float) -> bool:
    """Wait for all to end; whether they did in time."""
    deadline = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    return all(process.exitcode is not None for process in processes)


def default_context() -> BaseContext:
    """How workers are started when neither the loader nor the program says.

    Linux: fork, whatever the Python version.  Programs written for PyTorch rely on it: they have no
    main guard and use lambdas and local classes.  It is safe for what a worker does, which is to
    run Python: our own locks are made anew in the child, nothing is pending on the tape, and
    OpenBLAS and the allocator handle forks.  A program whose datasets use threaded libraries that
    do not can pass multiprocessing_context="spawn".  Elsewhere: Python's default.
    """
    chosen = multiprocessing.get_start_method(allow_none=True)
    if chosen is None and sys.platform == "linux":
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context(chosen)
