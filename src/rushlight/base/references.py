"""How many owners an object has: CPython's reference counts, read where the language fixes them.

In: a list.  Out: for each element the number of references to it besides the list's own.  Liveness
rests on this, so nothing is assumed about how an interpreter counts a function's own variables:
since 3.14 it borrows most of those references, and the next version may borrow others.  The
elements are fetched by `map`, in C, one at a time; what that adds is measured at import on objects
whose owners are known.  Too many owners would only cost memory, too few would lose values: where
the measurement makes no sense the import is refused.  Level 0.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

# The versions that the tests have run on.
OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 15)

_REPAIR = "rushlight runs on CPython {}.{} to {}.{}, with its global lock on".format(
    *OLDEST_PYTHON, *NEWEST_PYTHON
)


class _Holder:
    """An object with one slot."""

    __slots__ = ("held",)


def _measured(count: Callable[[Any], int]) -> int:
    """What `map(count, list)` adds to the number of owners, the list among them.

    Raises: ImportError where owners of other kinds do not count one each.
    """
    probes = [_Holder() for _ in range(6)]
    named = {"probe": probes[1]}
    twice = (probes[2], probes[2])
    holder = _Holder()
    holder.held = probes[3]  # type: ignore[attr-defined]
    many = [probes[4]] * 1000
    shared = [probes[5]]
    known = [0, len(named), len(twice), 1, len(many), len(shared)]
    found = list(map(count, probes))
    added = found[0]
    if added < 1 or [total - added for total in found] != known:
        raise ImportError(
            "references: an interpreter must count one for each owner, but for objects with"
            f" {known} owners {sys.implementation.name} {sys.version.split()[0]} counts {found};"
            f" {_REPAIR}"
        )
    return added


def _getrefcount() -> Callable[[Any], int]:
    count = getattr(sys, "getrefcount", None)
    if count is None:
        raise ImportError(
            f"references: {sys.implementation.name} does not count references; {_REPAIR}"
        )
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise ImportError(
            "references: this is a free-threaded CPython without its global lock, in which counts"
            f" of references change while they are read; set PYTHON_GIL=1 ({_REPAIR})"
        )
    return count


count_references = _getrefcount()
# What `list(map(count_references, objects))` counts beyond an element's owners other than the list.
ADDED = _measured(count_references)


def owners(objects: list) -> list[int]:
    """For each element the number of references to it besides the list's own."""
    return [count - ADDED for count in map(count_references, objects)]


def first_unshared(objects: list) -> int:
    """Place of the first element that nothing but the list refers to; -1 if there is none."""
    for place, count in enumerate(map(count_references, objects)):
        if count == ADDED:
            return place
    return -1
