"""`torch.ops.profiler`: stretches of a program under a name, begun and ended by two calls.

In: a name; out: a handle, a tensor or an object, which the ending takes.  `record_function` is the
same as a context.  Level 11.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from rushlight.base.dtypes import uint8
from rushlight.base.observe import RANGE, clock, tell, watchers
from rushlight.ops.creation import zeros
from rushlight.tensor.tensor import Tensor

_BYTES = 8
_numbers = count(1)
# What was begun and has not ended, by number.
_begun: dict[int, _RecordFunction] = {}


class _RecordFunction:
    """A stretch that was begun."""

    def __init__(self, name: str, args: str | None) -> None:
        self.name, self.args, self.start = name, args, clock()

    def end(self) -> None:
        """Tell whoever watches."""
        if watchers:
            tell(RANGE, self.name, self.start, self.args)

    def __repr__(self) -> str:
        return "ScriptObject <__torch__.torch.classes.profiler._RecordFunction>"


def enter(name: str, args: str | None = None) -> Tensor:
    """Begin a stretch; returns a handle, a tensor of bytes.  Source: _record_function_enter."""
    number = next(_numbers)
    _begun[number] = _RecordFunction(name, args)
    handle = zeros(_BYTES, dtype=uint8)
    for place, byte in enumerate(number.to_bytes(_BYTES, "little")):
        handle[place] = byte
    return handle


def enter_new(name: str, args: str | None = None) -> _RecordFunction:
    """The same with an object for a handle.  Source: _record_function_enter_new."""
    return _RecordFunction(name, args)


def leave(handle: Any) -> None:
    """End a stretch.  Raises: RuntimeError for a handle of none.  Source: _record_function_exit."""
    if isinstance(handle, Tensor):
        number = int.from_bytes(bytes(handle.tolist()), "little")
        handle = _begun.pop(number, None)
    if not isinstance(handle, _RecordFunction):
        raise RuntimeError(
            "profiler::_record_function_exit: expected what _record_function_enter returned, once"
        )
    handle.end()


RECORDS: dict[str, Callable[..., Any]] = {
    "_record_function_enter": enter,
    "_record_function_enter_new": enter_new,
    "_record_function_exit": leave,
}
