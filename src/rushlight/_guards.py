"""What PyTorch's compiler assumes of a program while it traces it: nothing, as nothing is traced.

Source: torch._guards.  Level 12.
"""

from __future__ import annotations

from typing import Any

__all__ = ["active_fake_mode", "detect_fake_mode"]


def active_fake_mode() -> None:
    """The mode in which tensors have no values: none is on."""


def detect_fake_mode(inputs: Any = None) -> None:
    """The same, of values: none has one."""
