"""What runs in a DataLoader's worker process.  Level 12.

A worker answers tasks (a generation and number, and indices) with results, in order, over one
duplex connection that only it and the loader use: a worker that is killed can leave no lock held
and no message of another cut short.  One thread takes tasks in as they come, so that the loader
never blocks when sending, and another sends results while the next batch is fetched.  When the
loader closes the connection or dies, the first of these ends the process.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from rushlight.base.threads import thread_count
from rushlight.ops.generator import Generator
from rushlight.utils.data.datapipes.datapipe import IterDataPipe, MapDataPipe
from rushlight.utils.data.fetch import Fetcher
from rushlight.utils.data.graph_settings import apply_random_seed, apply_sharding
from rushlight.utils.data.seeding import seed_worker
from rushlight.utils.data.transport import Encoded, encode, receive, send

# How long a worker may go on with a sample after the loader has gone.
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class WorkerInfo:
    """What `get_worker_info()` gives in a worker: its number, how many there are, seed, dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


@dataclass(frozen=True)
class Job:
    """What a worker is to do, the same for all workers of a loader but for `worker_id`."""

    dataset: Any
    fetch_options: tuple
    base_seed: int
    init_fn: Callable[[int], None] | None
    worker_id: int
    num_workers: int
    pipe_seed: int | None = None


@dataclass(frozen=True)
class Task:
    """Fetch a batch.  `generation` counts passes over the data: results of old ones are dropped."""

    generation: int
    number: int
    index: Any


@dataclass(frozen=True)
class Restart:
    """Begin a new pass; the seeds of a pipeline's steps come from `pipe_seed`."""

    generation: int
    pipe_seed: int | None = None


@dataclass(frozen=True)
class Ended:
    """A result: this worker's stream is at its end."""


class RaisedMessage(str):
    """Text that prints as it is even where an exception shows its argument's repr (KeyError)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Raised:
    """A result: an exception, as its type and the formatted traceback."""

    kind: type[BaseException]
    text: str
    where: str

    def reraise(self) -> None:
        """Raise the same type with the worker's traceback in its message."""
        message = RaisedMessage(f"Caught {self.kind.__name__} {self.where}.\nOriginal {self.text}")
        try:
            error = self.kind(message)
        except Exception:
            # A type whose constructor wants something else.
            raise RuntimeError(message) from None
        raise error


_worker_info: WorkerInfo | None = None


def seed_pipes(dataset: Any, seed: int | None) -> None:
    """Give a pipeline's steps their seeds, drawn from a generator with this one."""
    if seed is not None:
        apply_random_seed(dataset, Generator().manual_seed(seed))


def get_worker_info() -> WorkerInfo | None:
    """In a worker process: which worker this is; in the main process: None."""
    return _worker_info


# The loader's ends of all connections that are open in this process.  An end leaves this set
# before it is closed: its number may be a new file's as soon as it is.
loader_ends: set[Connection] = set()


def run_worker(job: Job, connection: Connection) -> None:
    """Serve the loader until it closes the connection; the target of the worker process."""
    global _worker_info
    # Copies that a fork made: a worker learns of its loader's death by the last one being closed.
    while loader_ends:
        loader_ends.pop().close()
    # Workers and the loader's process share the cores already.
    thread_count.set(1)
    # Ctrl-C reaches the whole group of processes; the loader alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    seed = seed_worker(job.base_seed, job.worker_id)
    seed_pipes(job.dataset, job.pipe_seed)
    _worker_info = WorkerInfo(job.worker_id, job.num_workers, seed, job.dataset)
    inbox, outbox = _Inbox(connection), _Outbox(connection)
    where = f"in DataLoader worker process {job.worker_id}"
    fetcher = _begin(job, where, first=True)
    while True:
        message = inbox.get()
        if message is None:
            return
        if isinstance(message, Restart):
            seed_pipes(job.dataset, message.pipe_seed)
            fetcher = _begin(job, where, first=False)
        elif message.generation == inbox.generation:
            result = fetcher if isinstance(fetcher, Raised) else _fetched(fetcher, message, where)
            outbox.put(_encoded(message, result, where))


class _Inbox:
    """Messages of the loader, taken from the connection by a thread as they arrive."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._messages: queue.SimpleQueue = queue.SimpleQueue()
        # The newest pass the loader has begun; tasks of older ones need no answer.
        self.generation = 0
        threading.Thread(target=self._take_in, daemon=True).start()

    def get(self) -> Any:
        """The next message, or None when the loader has gone."""
        return self._messages.get()

    def _take_in(self) -> None:
        try:
            while True:
                message = receive(self._connection)
                self.generation = message.generation
                self._messages.put(message)
        except (EOFError, OSError):
            self._messages.put(None)
        time.sleep(_GRACE_SECONDS)
        # The main thread is still in the user's code, and nobody waits for it any more.
        os._exit(0)


class _Outbox:
    """Results on their way to the loader, sent by a thread in order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._results: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._send_out, daemon=True).start()

    def put(self, result: Encoded) -> None:
        """Send later; the loader's limit on tasks bounds how many wait."""
        self._results.put(result)

    def _send_out(self) -> None:
        try:
            while True:
                send(self._connection, self._results.get())
        except OSError:
            # The loader has gone, which the inbox notices as well.
            return


def _begin(job: Job, where: str, first: bool) -> Fetcher | Raised:
    """A fetcher for a new pass, or why there is none."""
    try:
        if first and isinstance(job.dataset, (IterDataPipe, MapDataPipe)):
            apply_sharding(job.dataset, job.num_workers, job.worker_id)
        if first and job.init_fn is not None:
            job.init_fn(job.worker_id)
        return Fetcher.of(job.dataset, *job.fetch_options)
    except Exception as error:
        return _raised(error, where)


def _fetched(fetcher: Fetcher, task: Task, where: str) -> Any:
    try:
        return fetcher.fetch(task.index)
    except StopIteration as error:
        # Of a stream, the end; out of a dataset that is indexed, an error like any other.
        return Ended() if hasattr(fetcher, "iterator") else _raised(error, where)
    except Exception as error:
        return _raised(error, where)


def _raised(error: Exception, where: str) -> Raised:
    return Raised(type(error), "".join(traceback.format_exception(error)), where)


def _encoded(task: Task, result: Any, where: str) -> Encoded:
    """A result, or why it cannot be sent."""
    try:
        return encode((task.generation, task.number, result))
    except Exception as error:
        if isinstance(result, Raised):
            # The exception's type cannot be named in the loader's process.
            result = Raised(RuntimeError, result.text, where)
        else:
            result = _raised(error, where)
        return encode((task.generation, task.number, result))
