"""`with rushlight.debug(3):` shows what one block of a program does.  Level: viz (12)."""

from __future__ import annotations

from rushlight.engine.report import set_debug
from rushlight.tape.tape import local

LEVELS = range(7)


class debug:
    """Print to the standard error what a block does, as the variable `RUSHLIGHT_DEBUG` would.

    level: 1 flushes and memo misses with their reasons; 2 kernels with their times; 3 tapes and
    fused groups; 4 loop nests; 5 LLVM IR; 6 assembly; each with all before it.
    kernels: only kernels with this in their names.

    What was recorded before the block is computed first, and what the block recorded is computed
    at its end.  Raises: ValueError for another level.
    """

    def __init__(self, level: int = 1, kernels: str = "") -> None:
        if level not in LEVELS:
            raise ValueError(f"debug: level {level!r} is not one of 0 to {LEVELS[-1]}")
        self.level = int(level)
        self.kernels = kernels

    def __enter__(self) -> debug:
        local.tape.flush("debug begins")
        self.before = set_debug(self.level, self.kernels)
        return self

    def __exit__(self, error_type: object, *exc_info: object) -> None:
        try:
            if error_type is None:
                local.tape.flush("debug ends")
        finally:
            set_debug(*self.before)
