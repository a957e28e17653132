"""Importing this module fills the table of derivatives.  Level 4."""

from rushlight.vjp import (  # noqa: F401
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
