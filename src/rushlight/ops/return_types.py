"""Named results of several tensors, as PyTorch's `torch.return_types`.  Level 11."""

from __future__ import annotations

from collections import namedtuple

# Name of the operation -> its result type.
RETURN_TYPES: dict[str, type] = {}


def return_type(name: str, *fields: str) -> type:
    """The named tuple that operation `name` returns; made once for each name."""
    known = RETURN_TYPES.get(name)
    if known is None:
        known = type(name, (namedtuple(name, fields),), {"__slots__": (), "__repr__": _text})
        known.__module__ = "torch.return_types"
        RETURN_TYPES[name] = known
    return known


def _text(self) -> str:
    parts = ",\n".join(f"{field}={value!r}" for field, value in zip(self._fields, self))
    return f"torch.return_types.{type(self).__name__}(\n{parts})"
