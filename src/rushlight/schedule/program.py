"""Programs as the schedule sees them, and what only it puts into one.  Level 5."""

from __future__ import annotations

from rushlight.tape.program import (  # noqa: F401 - the levels above take them from here
    BUFFER_LEAF,
    OPERATION,
    OUTPUT,
    SCALAR_LEAF,
    Program,
    Value,
    program_of,
)


class Segment:
    """Stands for a primitive in a program alone: a run of a flat value's elements, from `start`."""

    __slots__ = ("start",)
    name = "segment"
    kind = "movement"
    multiple = False
    lowering = "structural"

    def __init__(self, start: int) -> None:
        self.start = start
