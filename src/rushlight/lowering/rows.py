"""Importing this module fills the table of lowerings.  Level 6."""

from rushlight.lowering import (  # noqa: F401
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
