"""Questions about sizes that a compiler may not know: here they are numbers.  Level 12.

Source: torch.fx.experimental.symbolic_shapes.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "GuardOnDataDependentSymNode", "free_symbols", "free_unbacked_symbols", "guard_int",
    "guard_or_false", "guard_or_true", "guard_size_oblivious", "has_free_symbols", "is_symbolic",
    "statically_known_true",
]  # fmt: skip


class GuardOnDataDependentSymNode(RuntimeError):
    """A condition depends on values that are not known while tracing."""


def guard_or_false(a: Any) -> bool:
    """Whether a condition holds, False where that is not known."""
    return bool(a)


def guard_or_true(a: Any) -> bool:
    """Whether a condition holds, True where that is not known."""
    return bool(a)


def guard_size_oblivious(expr: Any) -> bool:
    """Whether a condition on sizes holds."""
    return bool(expr)


def guard_int(a: Any) -> int:
    """The number."""
    return int(a)


def statically_known_true(x: Any) -> bool:
    """Whether a condition is known to hold."""
    return bool(x)


def is_symbolic(val: Any) -> bool:
    """Whether a value is not known yet: no."""
    return False


def has_free_symbols(val: Any) -> bool:
    """Whether a value depends on sizes that are not known: no."""
    return False


def free_symbols(val: Any) -> set:
    """The sizes that a value depends on: none."""
    return set()


def free_unbacked_symbols(x: Any) -> set:
    """The sizes without an example that a value depends on: none."""
    return set()
