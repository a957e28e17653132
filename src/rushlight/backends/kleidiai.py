"""Arm's KleidiAI: not a part of rushlight.  Level 12."""

from __future__ import annotations


def is_available() -> bool:
    """Whether rushlight computes with KleidiAI: no."""
    return False
