"""Switches of the cuDNN library, kept for the scripts that set them.  Level 12."""

from __future__ import annotations

enabled = True
benchmark = False
benchmark_limit: int | None = None
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """Whether cuDNN computes convolutions: no."""
    return False


def version() -> int | None:
    """Version of cuDNN: none."""
    return None
