"""Importing this module fills the table of batching rules.  Level 5."""

from rushlight.batching import (  # noqa: F401
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
