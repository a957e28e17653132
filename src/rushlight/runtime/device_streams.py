"""Streams of a device: queues of work that run side by side, and what is known of their order.

A program orders streams by events; what it leaves open and memory needs is ordered here.  Each
stream counts what it was given and remembers how much of every other stream's work comes before its
own next piece (a vector clock).  Memory knows the stream that made it and those that read it, so a
reader waits only if nothing ordered it behind the maker, and memory is given back in a stream that
comes after all of its readers.  Level 8.
"""

from __future__ import annotations

import contextlib
import os
import threading
from sys import is_finalizing
from typing import Any
from weakref import WeakKeyDictionary

# A device that has failed takes nothing back.  Whoever reads from it next is told so; the end of an
# object is no place to raise.
where_it_works = contextlib.suppress(RuntimeError)


class DeviceStream:
    """One queue of a device.

    handle: the driver's; work: pieces that it was given; known: of other streams, how many pieces
    come before whatever it is given next; borrowed: whether another library made it; ended: whether
    the driver has forgotten it.
    """

    __slots__ = (
        "driver", "index", "handle", "work", "known", "borrowed", "process", "ended", "__weakref__",
    )  # fmt: skip

    def __init__(self, driver: Any, index: int, handle: int = 0, borrowed: bool = True) -> None:
        self.driver = driver
        self.index = index
        self.handle = handle
        self.work = 0
        self.known: WeakKeyDictionary[DeviceStream, int] = WeakKeyDictionary()
        self.borrowed = borrowed
        self.process = os.getpid()
        self.ended = False

    def __del__(self) -> None:
        if not self.borrowed and self.process == os.getpid() and not is_finalizing():
            self.ended = True
            with where_it_works:
                self.driver.free_stream(self.index, self.handle)

    def begin(self) -> int:
        """Another piece of work; its number."""
        self.work += 1
        return self.work

    def mark(self) -> Moment:
        """A moment behind the work that it was given."""
        return Moment(self, self.driver.mark(self.index, self.handle))

    def wait(self, moment: Moment) -> None:
        """What it is given from now on comes after a moment of any stream."""
        other = moment.stream
        if other is not self:
            self.driver.follow(self.index, self.handle, moment.mark)
            self._learn(other, moment.work)
        for stream, work in moment.known.items():
            if stream is not self:
                self._learn(stream, work)

    def _learn(self, stream: DeviceStream, work: int) -> None:
        self.known[stream] = max(self.known.get(stream, 0), work)

    def comes_after(self, stream: DeviceStream, work: int) -> bool:
        """Whether what it is given next runs after a piece of a stream."""
        return stream is self or self.known.get(stream, 0) >= work

    def reads(self, memory: Any) -> None:
        """Its next work uses some memory: it comes after what made that, and before its end."""
        maker = memory.stream
        if maker is self:
            return
        if not self.comes_after(maker, memory.made):
            self.wait(maker.mark())
        if memory.readers is None:
            memory.readers = {}
        memory.readers[self] = self.work + 1

    def synchronize(self) -> None:
        """Wait for all of its work."""
        self.driver.synchronize(self.index, self.handle)


class Moment:
    """A mark in a stream, with what came before it."""

    __slots__ = ("stream", "mark", "work", "known")

    def __init__(self, stream: DeviceStream, mark: Any) -> None:
        self.stream = stream
        self.mark = mark
        self.work = stream.work
        self.known = stream.known.copy()

    def reached(self) -> bool:
        """Whether the work before it is done."""
        return self.stream.driver.reached(self.mark)

    def synchronize(self) -> None:
        """Wait for the work before it."""
        self.stream.driver.wait(self.mark)


def stream_behind(memory: Any) -> DeviceStream:
    """A stream of the memory's device whose next work comes after every use of some memory."""
    maker = memory.stream
    uses = [(maker, memory.made), *(memory.readers or {}).items()]
    candidates = [stream for stream, _ in uses if stream.index == maker.index]
    for stream in candidates:
        if all(stream.comes_after(other, work) for other, work in uses):
            return stream
    for other, work in uses:
        if not maker.comes_after(other, work):
            maker.wait(other.mark())
    return maker


class Chosen(threading.local):
    """The stream of a device that work goes to, in each thread; None: the one it starts with."""

    stream: DeviceStream | None = None
