"""Sizes that a compiler does not know yet: here all of them are Python's numbers.  Level 12.

Out: the classes, for `isinstance`, which is never true, and the functions, which compute with
numbers.  Source: torch.SymInt, torch.sym_int and their like.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

__all__ = [
    "SymBool", "SymFloat", "SymInt", "sym_float", "sym_fresh_size", "sym_int", "sym_ite",
    "sym_max", "sym_min", "sym_not", "sym_sqrt", "sym_sum",
]  # fmt: skip


class _Symbol:
    def __init__(self, *args: Any) -> None:
        raise NotImplementedError(
            f"{type(self).__name__}: sizes are numbers here, as a program is run, not traced"
        )


class SymInt(_Symbol):
    """A size that is not known yet."""


class SymFloat(_Symbol):
    """A number that is not known yet."""


class SymBool(_Symbol):
    """A condition that is not known yet."""


def sym_int(a: Any) -> int:
    """The number without its fraction."""
    return math.trunc(a)


def sym_float(a: Any) -> float:
    """The number as a float."""
    return float(a)


def sym_not(a: Any) -> bool:
    """The opposite."""
    return not a


def sym_max(a: Any, b: Any) -> Any:
    """The larger one; a float if one of them is."""
    return _promoted(max(a, b), a, b)


def sym_min(a: Any, b: Any) -> Any:
    """The smaller one; a float if one of them is."""
    return _promoted(min(a, b), a, b)


def _promoted(value: Any, *operands: Any) -> Any:
    return float(value) if any(isinstance(one, float) for one in operands) else value


def sym_ite(b: Any, t: Any, f: Any) -> Any:
    """One or the other, by a condition."""
    return t if b else f


def sym_sum(args: Iterable[Any]) -> Any:
    """The sum."""
    return sum(args)


def sym_sqrt(a: Any) -> float:
    """The square root."""
    return math.sqrt(a)


def sym_fresh_size(expr: Any) -> Any:
    """A size that nothing is known of: refused, as all are known."""
    raise NotImplementedError("sym_fresh_size: sizes are numbers here, as a program is run")
