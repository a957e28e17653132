"""The part of PyTorch's `torch._inductor` that programs set: options, without effect.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight._inductor import config

__all__ = ["config", "cudagraph_mark_step_begin", "list_mode_options", "list_options"]


def cudagraph_mark_step_begin() -> None:
    """A step begins; steps are found by themselves here."""


def list_options() -> list[str]:
    """Names of options."""
    return sorted(name for name, value in vars(config).items() if isinstance(value, (bool, int)))


def list_mode_options(mode: str | None = None, dynamic: bool | None = None) -> dict[str, Any]:
    """The options that a mode of `compile` sets: none."""
    return {}
