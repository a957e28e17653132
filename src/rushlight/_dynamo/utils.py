"""Counters of PyTorch's tracer: empty, as nothing is traced.  Level 12."""

from __future__ import annotations

from collections import Counter, defaultdict

counters: defaultdict[str, Counter[str]] = defaultdict(Counter)


def is_compile_supported(device_type: str) -> bool:
    """Whether programs on this device are compiled."""
    return device_type == "cpu"
