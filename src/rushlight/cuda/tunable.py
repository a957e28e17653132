"""PyTorch's `torch.cuda.tunable`: choosing among the kernels of a device, of which there is none.

Level 12.
"""

from __future__ import annotations

__all__ = ["enable", "is_enabled", "tuning_enable", "tuning_is_enabled"]

_switches = {"enabled": False, "tuning": True}


def enable(val: bool = True) -> None:
    """Choose whether kernels are tried out; kept, without effect."""
    _switches["enabled"] = bool(val)


def is_enabled() -> bool:
    """What `enable` was given; False at the start."""
    return _switches["enabled"]


def tuning_enable(val: bool = True) -> None:
    """Choose whether unknown shapes are tried out; kept, without effect."""
    _switches["tuning"] = bool(val)


def tuning_is_enabled() -> bool:
    """What `tuning_enable` was given; True at the start."""
    return _switches["tuning"]
