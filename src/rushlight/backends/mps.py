"""Apple's Metal Performance Shaders: not used by rushlight, on no machine.  Level 12."""

from __future__ import annotations


def is_available() -> bool:
    """Whether tensors can live on an Apple GPU: no."""
    return False


def is_built() -> bool:
    """Whether rushlight has code for Apple GPUs: no."""
    return False


def is_macos_or_newer(major: int, minor: int) -> bool:
    """Whether this is macOS of that version with an Apple GPU in use: no."""
    return False


def is_macos13_or_newer(minor: int = 0) -> bool:
    """Whether this is macOS 13 or newer with an Apple GPU in use: no."""
    return False


def get_name() -> str:
    """The name of the Apple GPU.  Raises: RuntimeError."""
    raise RuntimeError("mps.get_name: no Apple GPU is used; test mps.is_available() first")


def get_core_count() -> int:
    """The number of its cores.  Raises: RuntimeError."""
    raise RuntimeError("mps.get_core_count: no Apple GPU is used; test mps.is_available() first")
