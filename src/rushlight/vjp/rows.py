"""Importing this module fills the table of derivatives.  Level 4."""

from rushlight.vjp import (
    contraction,
    elementwise,
    indexing,
    movement,
    ordering,
    reduction,
    source,
)
