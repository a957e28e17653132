"""Classes that instances of tensors were made of, and who is told of a new one.  Level 10."""

from __future__ import annotations

from collections.abc import Callable

# Tensor itself, and every subclass from its first instance on: see `torch_function.py`.
KNOWN_CLASSES: set[type] = set()
FIRST_INSTANCE: list[Callable[[type], None]] = []
