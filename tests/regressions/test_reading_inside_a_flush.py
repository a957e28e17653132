"""A finalizer or a signal handler may run in the middle of a flush, and read a tensor.

What is pending then cannot be had, as the kernels' memory is in use.  It was reported as a fault of
the library, or, for a value of another thread's tape, computed over that memory.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading

import numpy as np
import pytest

import rushlight as rl
from rushlight.base.errors import InternalError
from rushlight.tape.tape import Tape

MESSAGE = "a pending value cannot be read while a flush is under way"


def _attempt(read) -> object:
    """What reading gives, or its exception."""
    try:
        return read()
    except RuntimeError as error:
        return error


@pytest.fixture
def inside(monkeypatch):
    """A function that has another one called in the middle of the next flush."""

    def plan(callback) -> None:
        execute = Tape.execute

        def interrupted(*args):
            monkeypatch.setattr(Tape, "execute", staticmethod(execute))
            callback()
            return execute(*args)

        monkeypatch.setattr(Tape, "execute", staticmethod(interrupted))

    return plan


class _Cycle:
    """Is finalized by the garbage collector, whenever that runs."""

    def __init__(self, callback) -> None:
        self.itself = self
        self.callback = callback

    def __del__(self) -> None:
        self.callback()


def test_a_finalizer_is_refused_a_pending_value_and_the_flush_goes_on(inside) -> None:
    x = rl.tensor([1.0, 2.0])
    y, z = x * 2, x * 3
    found: list = []
    _Cycle(lambda: found.append(_attempt(z.tolist)))
    inside(gc.collect)
    assert y.tolist() == [2.0, 4.0]
    assert MESSAGE in str(found[0])
    assert not isinstance(found[0], InternalError)
    assert z.tolist() == [3.0, 6.0]


def test_a_value_that_is_there_can_be_read(inside) -> None:
    x = rl.tensor([1.0, 2.0])
    ready = x + 1
    ready.tolist()
    y = x * 2
    found: list = []
    inside(lambda: found.append(ready.tolist()))
    assert y.tolist() == [2.0, 4.0]
    assert found == [[2.0, 3.0]]


def test_what_is_recorded_meanwhile_can_be_read_later(inside) -> None:
    x = rl.tensor([1.0, 2.0])
    y = x * 2
    found: list = []
    inside(lambda: found.append(x + y))
    assert y.tolist() == [2.0, 4.0]
    assert found[0].tolist() == [3.0, 6.0]
    assert (found[0] * y).tolist() == [6.0, 24.0]


@pytest.mark.skipif(sys.platform == "win32", reason="uses signals of POSIX")
def test_a_handler_that_reads_ends_the_flush_as_an_interrupt_does(inside) -> None:
    x = rl.tensor([1.0, 2.0])
    y, z = x * 2, x * 3
    before = signal.signal(signal.SIGUSR1, lambda *_: z.tolist())
    try:
        inside(lambda: signal.raise_signal(signal.SIGUSR1))
        with pytest.raises(RuntimeError, match=MESSAGE):
            y.tolist()
        assert (y.tolist(), z.tolist()) == ([2.0, 4.0], [3.0, 6.0])
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_value_of_another_threads_tape_is_refused_too(inside) -> None:
    theirs: list = []
    thread = threading.Thread(target=lambda: theirs.append(rl.tensor([1.0]) + 1))
    thread.start()
    thread.join()
    y = rl.tensor([1.0, 2.0]) * 2
    found: list = []
    inside(lambda: found.append(_attempt(theirs[0].tolist)))
    assert y.tolist() == [2.0, 4.0]
    assert MESSAGE in str(found[0])
    assert theirs[0].tolist() == [2.0]


def test_a_value_is_refused_while_another_threads_is_computed(inside) -> None:
    theirs: list = []
    thread = threading.Thread(target=lambda: theirs.append(rl.tensor([1.0]) + 1))
    thread.start()
    thread.join()
    y = rl.tensor([1.0, 2.0]) * 2
    found: list = []
    inside(lambda: found.append(_attempt(y.tolist)))
    assert theirs[0].tolist() == [2.0]
    assert MESSAGE in str(found[0])
    assert y.tolist() == [2.0, 4.0]


def test_memory_that_is_let_go_after_a_flush_may_be_followed_by_a_read() -> None:
    """Its finalizer runs when the next segment begins: everything has its value by then."""

    class Memory(np.ndarray):
        def __del__(self) -> None:
            if self.base is None:
                found.append((y + 1).tolist())

    found: list = []
    memory = Memory(2, np.float32)
    memory[:] = 1.0
    y = rl.tensor([1.0, 2.0])
    x = rl.from_numpy(memory) * y
    del memory
    assert x.tolist() == [1.0, 2.0]
    assert found == [[2.0, 3.0]]
