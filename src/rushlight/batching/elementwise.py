"""Batching rules of the elementwise primitives: all of them broadcast.  Level 5."""

from __future__ import annotations

from rushlight.batching.table import broadcasting
from rushlight.primitives import elementwise  # noqa: F401  (defines the family)
from rushlight.tape.primitive import of_family

for _primitive in of_family("elementwise"):
    broadcasting(_primitive, __name__)
