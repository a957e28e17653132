"""Lowerings of the source primitives.  Level 6."""

from __future__ import annotations

from rushlight.lowering.table import STRUCTURAL, define
from rushlight.primitives import source as p

define(p.iota, __name__, STRUCTURAL)
