"""Apple's Metal Performance Shaders: not used by rushlight, on no machine.  Level 12."""

from __future__ import annotations


def is_available() -> bool:
    """Whether tensors can live on an Apple GPU: no."""
    return False


def is_built() -> bool:
    """Whether rushlight has code for Apple GPUs: no."""
    return False
