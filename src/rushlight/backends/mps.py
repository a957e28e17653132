"""Apple's GPUs, by Metal: `torch.backends.mps`.  Level 12."""

from __future__ import annotations

import platform

from rushlight.engine import mps


def is_available() -> bool:
    """Whether tensors can live on an Apple GPU."""
    return bool(mps.kind.backends())


def is_built() -> bool:
    """Whether rushlight has code for Apple GPUs: it has, for macOS."""
    return platform.system() == "Darwin"


def is_macos_or_newer(major: int, minor: int) -> bool:
    """Whether this is macOS of that version or a later one, with an Apple GPU in use."""
    version = [int(part) for part in platform.mac_ver()[0].split(".")[:2] if part]
    return is_available() and tuple(version) >= (major, minor)


def is_macos13_or_newer(minor: int = 0) -> bool:
    """Whether this is macOS 13 or newer with an Apple GPU in use."""
    return is_macos_or_newer(13, minor)


def get_name() -> str:
    """The name of the Apple GPU.  Raises: RuntimeError without one."""
    return mps.kind.backend().facts.name


def get_core_count() -> int:
    """The number of its cores.  Raises: RuntimeError without one, and since Metal does not tell."""
    mps.kind.backend()
    raise RuntimeError("mps.get_core_count: Metal does not tell how many cores its GPU has")
