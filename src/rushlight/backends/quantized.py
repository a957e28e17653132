"""Engines for 8-bit operations: rushlight computes them itself.  Level 12."""

from __future__ import annotations

engine = "none"
supported_engines = ["none"]
