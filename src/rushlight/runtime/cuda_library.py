"""The library that the driver of CUDA cards installs.  It is looked for, and nothing else loaded.

Level 8.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any


class NoDriver(Exception):
    """No card can be used; the message says why."""


def library_name() -> str:
    """What the library is called on this system."""
    return "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def open_library() -> Any:
    """The library.  Raises: NoDriver."""
    try:
        return ctypes.CDLL(library_name())
    except OSError as error:
        raise NoDriver(f"{library_name()} cannot be loaded ({error})") from None
