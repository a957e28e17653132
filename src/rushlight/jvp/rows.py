"""Importing this module fills the table of forward derivatives.  Level 5."""

from rushlight.jvp import (  # noqa: F401
    attention,
    contraction,
    elementwise,
    indexing,
    linalg,
    movement,
    ordering,
    recurrence,
    reduction,
    source,
    spectral,
)
