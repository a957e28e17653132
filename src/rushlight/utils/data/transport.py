"""Messages between a DataLoader and its workers.  Level 12.

In: any picklable object.  Out: an equal one on the other side.  Tensors and arrays are sent as
buffers of pickle protocol 5: large ones through anonymous shared memory whose descriptor travels
with the message (nothing with a name that a killed process could leave behind), small ones, and
all where there is no such memory, through the pipe.  Received arrays can be written to.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from rushlight.base.dtypes import dtype_by_name
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

# Below this many bytes a copy through the pipe is faster than mapping memory.
SHARED_MINIMUM = 128 * 1024

# Buffers in shared memory start on cache lines.
_ALIGNMENT = 64

_HAS_SHARED_MEMORY = hasattr(os, "memfd_create") and reduction.HAVE_SEND_HANDLE


class _Pickler(pickle.Pickler):
    """Takes plain tensors apart into a NumPy array that travels out of band."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not Tensor:
            return NotImplemented
        if value.requires_grad and not value.is_leaf:
            raise RuntimeError(
                "Cowardly refusing to serialize non-leaf tensor which requires_grad, since "
                "autograd does not support crossing process boundaries; detach it first."
            )
        array = value._materialize()
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        return _tensor_from_message, (array, value.dtype.name, value.requires_grad)


def _tensor_from_message(array: np.ndarray, dtype: str, requires_grad: bool) -> Tensor:
    tensor = tensor_from_numpy(array, dtype_by_name(dtype))
    return tensor.requires_grad_() if requires_grad else tensor


def encode(message: Any) -> tuple[bytes, list[memoryview]]:
    """The pickle of a message, and the buffers it refers to.  Raises: what pickling raises."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(message)
    return stream.getvalue(), [buffer.raw() for buffer in buffers]


def send(connection: Connection, encoded: tuple[bytes, list[memoryview]]) -> None:
    """Send what `encode` gave; it blocks while the pipe is full."""
    body, buffers = encoded
    sizes = [buffer.nbytes for buffer in buffers]
    shared = _HAS_SHARED_MEMORY and sum(sizes) >= SHARED_MINIMUM
    connection.send_bytes(pickle.dumps((shared, sizes)))
    connection.send_bytes(body)
    if shared:
        descriptor = _shared_copy(buffers, sizes)
        try:
            reduction.send_handle(connection, descriptor, None)
        finally:
            os.close(descriptor)
        return
    for buffer in buffers:
        if buffer.nbytes:
            connection.send_bytes(buffer)


def receive(connection: Connection) -> Any:
    """The next message.  Raises: EOFError or OSError when the other side is gone."""
    shared, sizes = pickle.loads(connection.recv_bytes())
    body = connection.recv_bytes()
    if shared:
        buffers: list[Any] = _mapped(reduction.recv_handle(connection), sizes)
    else:
        buffers = [_received(connection, size) for size in sizes]
    return pickle.loads(body, buffers=buffers)


def _received(connection: Connection, size: int) -> bytearray:
    buffer = bytearray(size)
    if size:
        connection.recv_bytes_into(buffer)
    return buffer


def _shared_copy(buffers: list[memoryview], sizes: list[int]) -> int:
    """A descriptor of anonymous shared memory that holds the buffers one after another."""
    descriptor = os.memfd_create("rushlight-batch", os.MFD_CLOEXEC)
    try:
        total, starts = _placed(sizes)
        os.ftruncate(descriptor, total)
        with mmap.mmap(descriptor, total) as memory:
            for buffer, start in zip(buffers, starts):
                memory[start : start + buffer.nbytes] = buffer
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _mapped(descriptor: int, sizes: list[int]) -> list[memoryview]:
    """The buffers in a descriptor's memory, which stays mapped as long as one of them is used."""
    try:
        total, starts = _placed(sizes)
        memory = memoryview(mmap.mmap(descriptor, total))
    finally:
        os.close(descriptor)
    return [memory[start : start + size] for start, size in zip(starts, sizes)]


def _placed(sizes: list[int]) -> tuple[int, list[int]]:
    """Total size, and where each buffer starts."""
    starts = []
    total = 0
    for size in sizes:
        starts.append(total)
        total += -(-size // _ALIGNMENT) * _ALIGNMENT
    return total, starts
