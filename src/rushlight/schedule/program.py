"""The names of `tape.program` that `engine/compiled.py` still takes from here.  Level 5."""

from __future__ import annotations

from rushlight.tape.program import OPERATION, OUTPUT, program_of  # noqa: F401
