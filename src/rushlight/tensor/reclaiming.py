"""Memory that came from outside or was handed out, and that nobody outside holds any longer.

What is shared with the outside may change unseen, so each read takes a snapshot, a copy of
everything.  Most such memory is left alone soon: `from_numpy` of an array that the program made on
the way, the tensors of a file that was mapped.  Whether it was is counted: an array's memory cannot
be reached by anybody else if every reference to it, to what it is a window of, and so on down to
the memory's owner, is one of ours.  Several storages may be windows of one memory, as the weights
of one file are; they are looked at together, each from its first read on.  Level 10.
"""

from __future__ import annotations

import itertools
import mmap
import weakref
from typing import Any

import numpy as np

from rushlight.base.references import owners
from rushlight.tape.tape import leaf_node
from rushlight.tensor.memory import Storage

# Owners of memory whose storages are remembered; those without a living storage are forgotten.
_MOST_OWNERS = 64

_waiting: dict[int, list[weakref.ref[Storage]]] = {}


def reclaim(storage: Storage) -> bool:
    """Make the memory the storage's own, and that of all storages on it; False if it may not be."""
    if not storage.lent:
        return False
    # Counted below: no name here may refer to the memory.
    if storage.pinned.base is None and storage.pinned.flags.owndata:
        if owners([storage.pinned])[0] > 1 + _held_by_value(storage):  # the storage itself is one
            return False
        _own([storage])
        return True
    key = _owner_of(storage.pinned)
    if key is None:
        storage.lent = False
        return False
    return _reclaim_together(_storages_on(key, storage), key)


def _held_by_value(storage: Storage) -> bool:
    return storage.value.value is storage.pinned


def _own(storages: list[Storage]) -> None:
    for storage in storages:
        storage.value = leaf_node(storage.pinned, storage.dtype)
        storage.pinned = None
        storage.lent = False
        storage.stamp += 1


def _owner_of(memory: Any) -> int | None:
    """The identity of the object at the end of the chain of windows.

    None where the memory may be written to without a reference to it: by another process, through
    an object that is no array; or not at all.
    """
    private = False
    while True:
        if isinstance(memory, mmap.mmap):
            return id(memory) if private else None
        if not (isinstance(memory, np.ndarray) or type(memory).__name__ == _WINDOW):
            return None
        if memory.base is None:
            flags = getattr(memory, "flags", None)
            # Memory that an array does not own may belong to the C library that made the array.
            return id(memory) if flags and flags.writeable and flags.owndata else None
        private = isinstance(memory, np.memmap) and memory.mode == "c"
        memory = memory.base


# What NumPy puts between an array and its window with other strides.
_WINDOW = "DummyArray"


def _storages_on(key: int, storage: Storage) -> list[Storage]:
    """The living storages seen so far on the memory of one owner, this one among them."""
    if key not in _waiting and len(_waiting) >= _MOST_OWNERS:
        for other in [k for k, refs in _waiting.items() if not any(ref() for ref in refs)]:
            del _waiting[other]
        if len(_waiting) >= _MOST_OWNERS:
            _waiting.pop(next(iter(_waiting)))
    found = [one for one in (ref() for ref in _waiting.get(key, ())) if one is not None]
    found = [one for one in found if one.pinned is not None and one is not storage]
    found.append(storage)
    _waiting[key] = [weakref.ref(one) for one in found]
    return found


def _reclaim_together(storages: list[Storage], key: int) -> bool:
    """The same for all storages on the memory of one owner."""
    if not all(one.lent and _owner_of(one.pinned) == key for one in storages):
        return False
    if not _is_closed(storages) or _overlap([one.pinned for one in storages]):
        return False
    _own(storages)
    del _waiting[key]
    return True


def _is_closed(storages: list[Storage]) -> bool:
    """Whether every reference to the memory, and to what shows it, is one of these storages'."""
    links: list[Any] = []
    expected: list[int] = []
    places: dict[int, int] = {}
    for storage in storages:
        links.append(storage.pinned)
        expected.append(1 + _held_by_value(storage))
        while links[-1].base is not None:
            mapped = isinstance(links[-1], np.memmap)
            place = places.get(id(links[-1].base))
            if place is not None:
                expected[place] += 1
                break
            places[id(links[-1].base)] = len(links)
            links.append(links[-1].base)
            expected.append(1)
            if isinstance(links[-1], mmap.mmap):
                expected[-1] += mapped  # a `memmap` names its mapping twice
                break
    return owners(links) == expected


def _overlap(memories: list[np.ndarray]) -> bool:
    spans = sorted((m.__array_interface__["data"][0], m.nbytes) for m in memories)
    return any(at + size > after for (at, size), (after, _) in itertools.pairwise(spans))
