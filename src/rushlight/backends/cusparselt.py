"""NVIDIA's cuSPARSELt: not a part of rushlight.  Level 12."""

from __future__ import annotations


def is_available() -> bool:
    """Whether rushlight computes with cuSPARSELt: no."""
    return False


def version() -> int | None:
    """Version of cuSPARSELt: none."""
    return None


def get_max_alg_id() -> int | None:
    """Number of its algorithms: none."""
    return None
