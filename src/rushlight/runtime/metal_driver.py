"""Apple's GPUs by Metal, through libobjc: text in, memory that the processor shares.

In: what `devices.Driver` asks for.  Out: messages to Metal's objects.  Memory is shared by the
processor and the GPU, so an address is the processor's; a stream is a command queue, whose work is
encoded into a command buffer until somebody waits for it.  Kernels are Metal's language
(`codegen/device_c.py`), which the system compiles; without double, so what needs it goes through
the host.  Tested on a stand-in for libobjc; no Mac has run it.  Level 8.
"""

from __future__ import annotations

import bisect
import ctypes
from collections.abc import Sequence
from ctypes import byref, c_void_p
from sys import is_finalizing
from typing import Any

import numpy as np

from rushlight.codegen.device_c import METAL, device_text
from rushlight.codegen.grid import GridKernel, NoKernel
from rushlight.runtime.cuda_library import NoDriver
from rushlight.runtime.devices import Facts, OutOfDeviceMemory
from rushlight.runtime.objc import BOOL, DOUBLE, ID, UNSIGNED, Messages
from rushlight.runtime.text_driver import Function, TextDriver


class Size(ctypes.Structure):
    """MTLSize."""

    _fields_ = [("width", UNSIGNED), ("height", UNSIGNED), ("depth", UNSIGNED)]


# Selector -> (type of the result, types of the arguments).
SELECTORS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "alloc": (ID, ()),
    "init": (ID, ()),
    "retain": (ID, ()),
    "release": (None, ()),
    "initWithUTF8String:": (ID, (ctypes.c_char_p,)),
    "UTF8String": (ctypes.c_char_p, ()),
    "name": (ID, ()),
    "localizedDescription": (ID, ()),
    "recommendedMaxWorkingSetSize": (UNSIGNED, ()),
    "maxThreadgroupMemoryLength": (UNSIGNED, ()),
    "currentAllocatedSize": (UNSIGNED, ()),
    "newCommandQueue": (ID, ()),
    "newBufferWithLength:options:": (ID, (UNSIGNED, UNSIGNED)),
    "contents": (c_void_p, ()),
    "setFastMathEnabled:": (None, (BOOL,)),
    "newLibraryWithSource:options:error:": (ID, (ID, ID, c_void_p)),
    "newFunctionWithName:": (ID, (ID,)),
    "newComputePipelineStateWithFunction:error:": (ID, (ID, c_void_p)),
    "maxTotalThreadsPerThreadgroup": (UNSIGNED, ()),
    "newSharedEvent": (ID, ()),
    "commandBuffer": (ID, ()),
    "computeCommandEncoder": (ID, ()),
    "setComputePipelineState:": (None, (ID,)),
    "setBuffer:offset:atIndex:": (None, (ID, UNSIGNED, UNSIGNED)),
    "setBytes:length:atIndex:": (None, (c_void_p, UNSIGNED, UNSIGNED)),
    "dispatchThreadgroups:threadsPerThreadgroup:": (None, (Size, Size)),
    "endEncoding": (None, ()),
    "encodeSignalEvent:value:": (None, (ID, UNSIGNED)),
    "encodeWaitForEvent:value:": (None, (ID, UNSIGNED)),
    "commit": (None, ()),
    "waitUntilCompleted": (None, ()),
    "status": (UNSIGNED, ()),
    "error": (ID, ()),
    "GPUEndTime": (DOUBLE, ()),
}
# MTLResourceStorageModeShared; MTLCommandBufferStatus: completed, failed.
SHARED_STORAGE = 0
COMPLETED, FAILED = 4, 5
# Of a kernel: entries of Metal's table of buffers, but for the one of its words.
MOST_BUFFERS = 30
# Launches that are encoded before the GPU is given them.
LAUNCHES_OF_BUFFER = 32
# Metal does not tell how many cores there are; random numbers follow this number.
MULTIPROCESSORS, THREADS = 16, 1024


class Libraries:
    """What is called: libobjc, and the two functions of Metal's framework."""

    def __init__(self, objc: Any, metal: Any) -> None:
        self.objc = objc
        self.metal = metal


def open_libraries() -> Libraries:
    """libobjc and Metal's framework.  Raises: NoDriver."""
    folder = "/System/Library/Frameworks"
    try:
        # NSString and its like live in Foundation.
        ctypes.CDLL(f"{folder}/Foundation.framework/Foundation")
        metal = ctypes.CDLL(f"{folder}/Metal.framework/Metal")
        return Libraries(ctypes.CDLL("/usr/lib/libobjc.A.dylib"), metal)
    except OSError as error:
        raise NoDriver(f"Metal cannot be loaded ({error})") from None


class Mark:
    """A command buffer that ends some work, and the event that it signals."""

    __slots__ = ("driver", "commands", "event")

    def __init__(self, driver: MetalDriver, commands: int, event: int) -> None:
        self.driver = driver
        self.commands = commands
        self.event = event

    def __del__(self) -> None:
        if not is_finalizing():
            self.driver.release(self.commands)
            self.driver.release(self.event)


class _Queue:
    """A stream.  commands, encoder: what is being encoded, or 0; last: what was committed last."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.commands = self.encoder = self.last = 0
        self.launches = 0


class MetalDriver(TextDriver):
    """The GPU of this Mac.  Raises: NoDriver if there is none."""

    def __init__(self, libraries: Libraries) -> None:
        super().__init__()
        self._objc = Messages(libraries.objc, SELECTORS)
        self._send = self._objc.send
        make = libraries.metal.MTLCreateSystemDefaultDevice
        make.argtypes, make.restype = (), c_void_p
        self._device = make()
        if not self._device:
            raise NoDriver("Metal knows no device")
        send = self._send
        with self._objc.pool():
            self._facts = Facts(
                name=self._text(send(self._device, "name")),
                capability=(0, 0),
                multiprocessors=MULTIPROCESSORS,
                threads=THREADS,
                shared_bytes=send(self._device, "maxThreadgroupMemoryLength"),
                total_bytes=send(self._device, "recommendedMaxWorkingSetSize"),
            )
        first = _Queue(send(self._device, "newCommandQueue"))
        self._first = first
        self._queues: dict[int, _Queue] = {0: first, first.handle: first}
        # Address of the first byte -> (buffer, size); and those that no work was given yet.
        self._buffers: dict[int, tuple[int, int]] = {}
        self._starts: list[int] = []
        self._fresh: set[int] = set()

    # ---- words ---------------------------------------------------------------------------------

    def _text(self, string: int) -> str:
        return (self._send(string, "UTF8String") or b"").decode(errors="replace")

    def _string(self, text: str) -> int:
        made = self._send(self._objc.class_named("NSString"), "alloc")
        return self._send(made, "initWithUTF8String:", text.encode())

    def release(self, thing: int) -> None:
        """The end of a reference to an object."""
        self._send(thing, "release")

    # ---- facts ---------------------------------------------------------------------------------

    def device_count(self) -> int:
        """One: that of the system."""
        return 1

    def facts(self, index: int) -> Facts:
        """What it is."""
        return self._facts

    # ---- memory --------------------------------------------------------------------------------

    def allocate(self, index: int, nbytes: int, stream: int = 0) -> int:
        """Address of new memory.  Raises: OutOfDeviceMemory."""
        buffer = None
        free, _ = self.memory_info(index)
        if nbytes <= free:
            buffer = self._send(
                self._device, "newBufferWithLength:options:", nbytes, SHARED_STORAGE
            )
        if not buffer:
            raise OutOfDeviceMemory
        address = self._send(buffer, "contents")
        self._buffers[address] = (buffer, nbytes)
        bisect.insort(self._starts, address)
        self._fresh.add(address)
        return address

    def free(self, index: int, address: int, stream: int = 0) -> None:
        """Give memory back; work that was encoded keeps it until it is done."""
        buffer, _ = self._buffers.pop(address)
        del self._starts[bisect.bisect_left(self._starts, address)]
        self._fresh.discard(address)
        self.release(buffer)

    def memory_info(self, index: int) -> tuple[int, int]:
        """(free, total) bytes; the system's recommendation counts as all there is."""
        total = self._facts.total_bytes
        return max(total - self._send(self._device, "currentAllocatedSize"), 0), total

    def _start_of(self, address: int) -> int:
        place = bisect.bisect_right(self._starts, address) - 1
        return self._starts[place]

    def _ready(self, address: int, stream: int) -> None:
        """Wait until no work of a stream uses some memory; what is new is not waited for."""
        if self._start_of(address) not in self._fresh:
            self.synchronize(0, stream)

    def copy_in(
        self, index: int, address: int, source: np.ndarray, stream: int = 0, locked: bool = False
    ) -> None:
        """Copy from the host."""
        self._ready(address, stream)
        ctypes.memmove(address, source.ctypes.data, source.nbytes)

    def copy_out(self, index: int, target: np.ndarray, address: int, stream: int = 0) -> None:
        """Copy to the host, after all work of the stream."""
        self.synchronize(index, stream)
        ctypes.memmove(target.ctypes.data, address, target.nbytes)

    def copy_over(
        self, index: int, address: int, origin: int, source: int, nbytes: int, stream: int = 0
    ) -> None:
        """Copy within the memory of the one device."""
        self.synchronize(index, stream)
        ctypes.memmove(address, source, nbytes)

    def clear(self, index: int, address: int, nbytes: int, stream: int = 0) -> None:
        """Set bytes to zero."""
        self._ready(address, stream)
        ctypes.memset(address, 0, nbytes)

    # ---- kernels -------------------------------------------------------------------------------

    def load(self, index: int, kernel: GridKernel) -> Function:
        """Let the system compile a kernel's text.

        Raises: NoKernel where Metal has no words for it, or it has too many arguments.
        """
        buffers = kernel.buffers + kernel.scratch
        if buffers > MOST_BUFFERS:
            raise NoKernel(f"Metal has no kernels of {buffers} buffers")
        text = device_text(kernel, METAL)
        send, error = self._send, c_void_p()
        with self._objc.pool():
            options = send(send(self._objc.class_named("MTLCompileOptions"), "alloc"), "init")
            # Or sums would be reordered, divisions and square roots rounded otherwise.
            send(options, "setFastMathEnabled:", False)
            source, name = self._string(text.text), self._string(kernel.name)
            library = send(
                self._device, "newLibraryWithSource:options:error:", source, options, byref(error)
            )
            if not library:
                raise self._refused(kernel, error)
            function = send(library, "newFunctionWithName:", name)
            state = send(
                self._device, "newComputePipelineStateWithFunction:error:", function, byref(error)
            )
            if not state:
                raise self._refused(kernel, error)
            for thing in (options, source, name, library, function):
                self.release(thing)
        if send(state, "maxTotalThreadsPerThreadgroup") < text.local:
            self.release(state)
            raise NoKernel(f"{kernel.name} takes too many registers for {text.local} threads")
        return Function(kernel, text, state)

    def _refused(self, kernel: GridKernel, error: c_void_p) -> RuntimeError:
        why = self._text(self._send(error.value, "localizedDescription"))
        return RuntimeError(f"Metal error: {kernel.name} was not compiled\n{why}")

    def launch(
        self, index: int, function: Function, blocks: int, addresses: Sequence[int],
        words: Sequence[int], stream: int = 0,
    ) -> None:  # fmt: skip
        """Encode a launch; the GPU is given it when there are some, or when somebody waits."""
        queue, send = self._queues[stream], self._send
        with self._objc.pool():
            encoder = self._encoder(queue)
            send(encoder, "setComputePipelineState:", function.handle)
            for place, address in enumerate(addresses):
                start = self._start_of(address)
                self._fresh.discard(start)
                buffer, _ = self._buffers[start]
                send(encoder, "setBuffer:offset:atIndex:", buffer, address - start, place)
            floating = (*function.kernel.params, False)
            given = np.array(words, np.int64)
            for place, is_floating in enumerate(floating):
                if is_floating:
                    single = given[place : place + 1].view(np.float64).astype(np.float32)
                    given[place] = single.view(np.uint32)[0]
            send(
                encoder, "setBytes:length:atIndex:", given.ctypes.data, given.nbytes,
                len(addresses),
            )  # fmt: skip
            text = function.text
            send(
                encoder, "dispatchThreadgroups:threadsPerThreadgroup:",
                Size(blocks * text.split, 1, 1), Size(text.local, 1, 1),
            )  # fmt: skip
        queue.launches += 1
        if queue.launches >= LAUNCHES_OF_BUFFER:
            self._commit(queue)

    # ---- command buffers -----------------------------------------------------------------------

    def _commands(self, queue: _Queue) -> int:
        """The command buffer that is being encoded."""
        if not queue.commands:
            made = self._send(queue.handle, "commandBuffer")
            queue.commands = self._send(made, "retain")
        return queue.commands

    def _encoder(self, queue: _Queue) -> int:
        """Its encoder of launches, which run one after another."""
        if not queue.encoder:
            made = self._send(self._commands(queue), "computeCommandEncoder")
            queue.encoder = self._send(made, "retain")
        return queue.encoder

    def _end_encoding(self, queue: _Queue) -> None:
        if queue.encoder:
            self._send(queue.encoder, "endEncoding")
            self.release(queue.encoder)
            queue.encoder = 0

    def _commit(self, queue: _Queue) -> None:
        """Give the GPU what was encoded."""
        if not queue.commands:
            return
        self._end_encoding(queue)
        self._send(queue.commands, "commit")
        if queue.last:
            self.release(queue.last)
        queue.last, queue.commands, queue.launches = queue.commands, 0, 0

    def _wait_for(self, commands: int) -> None:
        """Raises: RuntimeError if the work failed."""
        self._send(commands, "waitUntilCompleted")
        if self._send(commands, "status") == FAILED:
            with self._objc.pool():
                error = self._send(commands, "error")
                why = self._text(self._send(error, "localizedDescription"))
            raise RuntimeError(f"Metal error: {why}")

    def synchronize(self, index: int, stream: int | None = None) -> None:
        """Wait for all work.  Raises: RuntimeError if some of it failed."""
        queues = self._queues.values() if stream is None else (self._queues[stream],)
        with self._objc.pool():
            for queue in set(queues):
                self._commit(queue)
                if queue.last:
                    self._wait_for(queue.last)

    # ---- streams -------------------------------------------------------------------------------

    def new_stream(self, index: int, priority: int = 0) -> int:
        """Another command queue; priorities make no difference."""
        made = _Queue(self._send(self._device, "newCommandQueue"))
        self._queues[made.handle] = made
        return made.handle

    def free_stream(self, index: int, stream: int) -> None:
        """The end of a queue, once its work is done."""
        queue = self._queues.pop(stream)
        self._commit(queue)
        if queue.last:
            self.release(queue.last)
        self.release(queue.handle)

    def mark(self, index: int, stream: int = 0) -> Mark:
        """An event behind the work that a stream was given, which the GPU gets."""
        queue, send = self._queues[stream], self._send
        with self._objc.pool():
            commands = send(self._commands(queue), "retain")
            self._end_encoding(queue)
            event = send(self._device, "newSharedEvent")
            send(commands, "encodeSignalEvent:value:", event, 1)
            self._commit(queue)
        return Mark(self, commands, event)

    def follow(self, index: int, stream: int, mark: Mark) -> None:
        """Further work of a stream waits for a mark."""
        queue = self._queues[stream]
        with self._objc.pool():
            self._end_encoding(queue)
            self._send(self._commands(queue), "encodeWaitForEvent:value:", mark.event, 1)

    def reached(self, mark: Mark) -> bool:
        """Whether the work before a mark is done."""
        return self._send(mark.commands, "status") >= COMPLETED

    def wait(self, mark: Mark) -> None:
        """Wait for the work before a mark."""
        self._wait_for(mark.commands)

    def milliseconds(self, start: Mark, end: Mark) -> float:
        """Time between two marks that were reached."""
        times = [self._send(mark.commands, "GPUEndTime") for mark in (start, end)]
        return (times[1] - times[0]) * 1e3
