"""Messages between a DataLoader and its workers.  Level 12.

In: any picklable object.  Out: an equal one on the other side.  The data of tensors and arrays
travels beside the pickle (its protocol 5), written from and read into their own memory.  Measured
against anonymous shared memory, which a message would only name: the pipe costs the loader 0.45 ms
and the worker 0.11 ms of processor time for each MiB, mapped memory 0.8 ms on both sides, since
every page of it is faulted in twice; below 1 MiB the pipe's lead is larger still.  Received arrays
can be written to.
"""

from __future__ import annotations

import io
import os
import pickle
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from rushlight.base.dtypes import dtype_by_name
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

Encoded = tuple[bytes, list[memoryview]]

# Where connections are file descriptors, data goes through them without the copies that
# Connection.send_bytes and recv_bytes make.
_RAW = hasattr(os, "readv")


class _Pickler(pickle.Pickler):
    """Takes plain tensors apart into a NumPy array whose data travels beside the pickle."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is np.ndarray and not value.dtype.hasobject:
            # The user may write to it while it waits to be sent.
            return value.copy().__reduce_ex__(5)
        if type(value) is not Tensor:
            return NotImplemented
        if value.requires_grad and not value.is_leaf:
            raise RuntimeError(
                "Cowardly refusing to serialize non-leaf tensor which requires_grad, since "
                "autograd does not support crossing process boundaries; detach it first."
            )
        array = value._materialize()
        storage = value._storage
        if storage is not None and storage.pinned is not None:
            array = np.array(array, order="C")
        return _tensor_from_message, (_Own(array), value.dtype.name, value.requires_grad)


class _Own:
    """An array that nobody writes to: sent without a copy."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = np.ascontiguousarray(array).reshape(array.shape)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.array.__reduce_ex__(5)


def _tensor_from_message(array: np.ndarray, dtype: str, requires_grad: bool) -> Tensor:
    tensor = tensor_from_numpy(array, dtype_by_name(dtype))
    return tensor.requires_grad_() if requires_grad else tensor


def encode(message: Any) -> Encoded:
    """The pickle of a message, and the data it refers to.  Raises: what pickling raises."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(message)
    return stream.getvalue(), [buffer.raw() for buffer in buffers]


def send(connection: Connection, encoded: Encoded) -> None:
    """Send what `encode` gave; it blocks while the pipe is full."""
    body, buffers = encoded
    sizes = [buffer.nbytes for buffer in buffers]
    connection.send_bytes(pickle.dumps((sizes, body)))
    for buffer in buffers:
        if _RAW:
            _write(connection.fileno(), buffer)
        elif buffer.nbytes:
            connection.send_bytes(buffer)


def receive(connection: Connection) -> Any:
    """The next message.  Raises: EOFError or OSError when the other side is gone."""
    sizes, body = pickle.loads(connection.recv_bytes())
    buffers = [np.empty(size, np.uint8) for size in sizes]
    for buffer in buffers:
        if _RAW:
            _read(connection.fileno(), buffer.data)
        elif buffer.size:
            connection.recv_bytes_into(buffer)
    return pickle.loads(body, buffers=buffers)


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _read(descriptor: int, data: memoryview) -> None:
    while data:
        count = os.readv(descriptor, [data])
        if count == 0:
            raise EOFError
        data = data[count:]
