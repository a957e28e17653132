"""Storages in memory that several processes see.

In: a tensor or storage.  Out: the same one on shared memory, and pickles (multiprocessing's own,
for queues, pipes and the arguments of processes) that name the memory instead of copying it.  On
Unix a block is a file without a name, handed on as a descriptor; on Windows it is a named mapping.
Whoever sends must live until the other side has received.  Level 10.
"""

from __future__ import annotations

import mmap
import os
import secrets
import sys
import tempfile
import weakref
from multiprocessing import reduction
from typing import Any

import numpy as np

from rushlight.base.dtypes import dtype_by_name
from rushlight.tape.tape import unread_node
from rushlight.tensor.graph import AccumulateGrad
from rushlight.tensor.memory import Storage, storage_of
from rushlight.tensor.pickling import storage_array
from rushlight.tensor.storage import current_edge, settle
from rushlight.tensor.tensor import Tensor

_SHM_FOLDER = "/dev/shm"


class Block:
    """One piece of shared memory: a file descriptor, or on Windows a name, and its mapping."""

    __slots__ = ("handle", "memory", "key")

    def __init__(self, handle: Any, size: int) -> None:
        self.handle = handle
        size = max(size, 1)
        if sys.platform == "win32":
            self.memory = mmap.mmap(-1, size, tagname=handle)
            self.key: Any = handle
        else:
            self.memory = mmap.mmap(handle, size)
            status = os.fstat(handle)
            self.key = (status.st_dev, status.st_ino)


_blocks: weakref.WeakKeyDictionary[Storage, Block] = weakref.WeakKeyDictionary()
# A block that arrives twice, or comes back to where it was made, is one storage.
_storages: weakref.WeakValueDictionary[Any, Storage] = weakref.WeakValueDictionary()


def _new_block(size: int) -> Block:
    if sys.platform == "win32":
        return Block(f"rushlight-{os.getpid()}-{secrets.token_hex(8)}", size)
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("rushlight")
    else:
        folder = _SHM_FOLDER if os.path.isdir(_SHM_FOLDER) else None
        descriptor, name = tempfile.mkstemp(dir=folder)
        os.unlink(name)
    os.ftruncate(descriptor, max(size, 1))
    return Block(descriptor, size)


def _keep(storage: Storage, block: Block) -> None:
    _blocks[storage] = block
    _storages[block.key] = storage
    if sys.platform != "win32":
        weakref.finalize(storage, os.close, block.handle).atexit = False


def is_shared(tensor: Tensor) -> bool:
    """Whether other processes can see the tensor's memory."""
    return tensor._storage is not None and tensor._storage in _blocks


def share(storage: Storage) -> Block:
    """Move a storage to shared memory, once; every tensor on it goes along."""
    block = _blocks.get(storage)
    if block is None:
        if storage.pinned is None:
            settle(storage)
        content = storage_array(storage)
        block = _new_block(content.nbytes)
        flat = np.frombuffer(block.memory, storage.dtype.numpy, content.size)
        flat[:] = content
        storage.pinned = flat
        storage.lent = False
        storage.stamp += 1
        _keep(storage, block)
    return block


def share_memory_(self: Tensor) -> Tensor:
    """Move the tensor's storage to memory that other processes can see.  Returns the tensor.

    From then on writes on one side show on the other, so nothing of it can wait: operations on
    it are slower.  Source: torch.Tensor.share_memory_.
    """
    share(storage_of(self))
    return self


# ---- pickles between processes -------------------------------------------------------------------


def _reduce_storage(storage: Storage) -> tuple:
    block = share(storage)
    handle = block.handle if sys.platform == "win32" else reduction.DupFd(block.handle)
    return _rebuild_storage, (storage.dtype.name, handle, storage.size)


def _rebuild_storage(name: str, handle: Any, size: int) -> Storage:
    dtype = dtype_by_name(name)
    if sys.platform != "win32":
        handle = handle.detach()
    block = Block(handle, size * dtype.itemsize)
    known = _storages.get(block.key)
    if known is not None and known.dtype is dtype and known.size == size:
        if sys.platform != "win32":
            os.close(handle)
        return known
    flat = np.frombuffer(block.memory, dtype.numpy, size)
    storage = Storage(unread_node(flat.shape, dtype), dtype, size, flat)
    _keep(storage, block)
    return storage


def _reduce_tensor(tensor: Tensor) -> Any:
    edge = current_edge(tensor)
    if edge is not None and type(edge) is not AccumulateGrad:
        raise RuntimeError(
            "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd "
            "does not support crossing process boundaries; send tensor.detach() instead."
        )
    return tensor.__reduce_ex__(2)


reduction.ForkingPickler.register(Storage, _reduce_storage)
reduction.ForkingPickler.register(Tensor, _reduce_tensor)
