"""Two tensors change places: whoever holds one has what the other was.  Level 10."""

from __future__ import annotations

import weakref
from typing import Any

from rushlight.tensor.graph import AccumulateGrad
from rushlight.tensor.tensor import Tensor

_PARTS = ("_node", "_storage", "_seen", "_layout", "_base", "_grad_fn", "_grad", "__dict__")
_ABSENT = object()


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Exchange values, classes, attributes and history; each object stays where it is held.

    Raises: RuntimeError where the classes keep their attributes in other slots, or where somebody
    refers to one of them weakly.
    """
    for tensor in (t1, t2):
        edge: Any = tensor._grad_fn
        own = int(isinstance(edge, AccumulateGrad) and edge.tensor() is tensor)
        if weakref.getweakrefcount(tensor) > own:
            raise RuntimeError("Cannot swap t1 or t2: one of them has a weakref to it")
    first, second = t1.__class__, t2.__class__
    try:
        t1.__class__, t2.__class__ = second, first
    except TypeError as error:
        t1.__class__, t2.__class__ = first, second
        raise RuntimeError(f"Cannot swap t1 and t2 if they have different slots: {error}") from None
    for part in _PARTS:
        mine, other = getattr(t1, part, _ABSENT), getattr(t2, part, _ABSENT)
        for tensor, value in ((t1, other), (t2, mine)):
            if value is not _ABSENT:
                setattr(tensor, part, value)
    for tensor in (t1, t2):
        edge = tensor._grad_fn
        if isinstance(edge, AccumulateGrad):
            edge.tensor = weakref.ref(tensor)
