"""PyTorch's switch for fused inference of transformer layers; without effect.  Level 12."""

from __future__ import annotations

_switch = {"fastpath": True}


def get_fastpath_enabled() -> bool:
    """What `set_fastpath_enabled` was given."""
    return _switch["fastpath"]


def set_fastpath_enabled(value: bool) -> None:
    """Allow fused inference; every program is fused here."""
    _switch["fastpath"] = bool(value)
