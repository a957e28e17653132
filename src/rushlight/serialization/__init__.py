"""Checkpoints: `save` and `load` in PyTorch's file format, readable in both directions.

`open_gguf` reads language models of that format.

What comes in is not trusted: by default no code of a file runs.  Level: serialization (12).
"""

from collections.abc import Callable
from typing import Any

from rushlight.base.device import device
from rushlight.serialization.gguf import GGUFFile, open_gguf
from rushlight.serialization.inspecting import get_unsafe_globals_in_checkpoint
from rushlight.serialization.loading import load
from rushlight.serialization.names import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from rushlight.serialization.saving import save

# What `load` takes as `map_location`, for annotations.
MAP_LOCATION = Callable[[Any, str], Any] | device | str | dict[str, str] | None
DEFAULT_PROTOCOL = 2

__all__ = [
    "DEFAULT_PROTOCOL",
    "GGUFFile",
    "MAP_LOCATION",
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "open_gguf",
    "safe_globals",
    "save",
]
