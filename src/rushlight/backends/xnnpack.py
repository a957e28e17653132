"""XNNPACK: not a part of rushlight.  Level 12."""

from __future__ import annotations

enabled = False
