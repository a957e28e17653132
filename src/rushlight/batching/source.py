"""Batching rules of the source primitives, which have no operands.  Level 5."""

from __future__ import annotations

from rushlight.batching.table import never_mapped
from rushlight.primitives import source as p

never_mapped(p.iota, __name__)
