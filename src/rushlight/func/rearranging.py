"""`torch.func.rearrange`: axes named, split, joined and reordered by a pattern.

In: a tensor and a pattern such as "b (h w) c -> b c h w".  Out: a view where one is possible.
Level: func.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from rushlight.primitives.movement import concatenate, reshape
from rushlight.tensor.tensor import Tensor

_TOKEN = re.compile(r"\.\.\.|[A-Za-z_]\w*|\d+|[()]|\S")
_ANY = "..."
_APART = "... apart"  # an ellipsis outside parentheses: as many axes


def rearrange(
    tensor: Tensor | list[Tensor] | tuple[Tensor, ...], pattern: str, **axes_lengths: int
) -> Tensor:
    """Reorder, split and join axes: left of "->" stand their names now, right those they shall be.

    Parentheses hold the parts of one axis, "..." stands for any number of axes, 1 for one of
    size 1.
    tensor: a sequence of tensors is stacked along a new first axis.
    axes_lengths: sizes of parts that do not follow from the shape.
    Raises: ValueError for a pattern that is none, or that does not fit the shape.
    Source: torch.func.rearrange.
    """
    x: Any = tensor if isinstance(tensor, Tensor) else _stacked(tensor)
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"rearrange: a pattern has one '->' between its sides, got {pattern!r}")
    left, right = (_groups(side, pattern) for side in sides)
    rest = len(x.shape) - sum(1 for group in left if group != [_APART])
    left, right = (_without_ellipsis(groups, rest, pattern) for groups in (left, right))
    if len(left) != len(x.shape):
        raise ValueError(
            f"rearrange: {pattern!r} names {len(left)} axes, the tensor has {len(x.shape)}"
        )
    sizes = _sizes(left, tuple(x.shape), pattern, axes_lengths)
    given = [name for group in left for name in group]
    wanted = [name for group in right for name in group]
    if len(set(given)) != len(given) or sorted(given) != sorted(wanted):
        raise ValueError(
            f"rearrange: both sides of {pattern!r} must name the same parts, each once"
        )
    apart = x.reshape([sizes[name] for name in given])
    moved = apart.permute([given.index(name) for name in wanted]) if wanted else apart
    return moved.reshape([math.prod(sizes[name] for name in group) for group in right])


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    if not tensors:
        raise ValueError("rearrange: needs at least one tensor")
    rows = tuple(reshape(x, (1, *x.shape)) for x in tensors)
    return rows[0] if len(rows) == 1 else concatenate(rows, 0)


def _groups(side: str, pattern: str) -> list[list[str]]:
    """The names of each axis, without those of axes of size 1."""
    found: list[list[str]] = []
    inside: list[str] | None = None
    for token in _TOKEN.findall(side):
        if token == "(" and inside is None:
            inside = []
        elif token == ")" and inside is not None:
            found.append(inside)
            inside = None
        elif token == _ANY or token == "1" or token.isidentifier():
            if token == "1":
                if inside is None:
                    found.append([])
            elif inside is None:
                found.append([_APART if token == _ANY else token])
            else:
                inside.append(token)
        else:
            raise ValueError(f"rearrange: {token!r} has no meaning in the pattern {pattern!r}")
    if inside is not None:
        raise ValueError(f"rearrange: a parenthesis is not closed in {pattern!r}")
    return found


def _without_ellipsis(groups: list[list[str]], count: int, pattern: str) -> list[list[str]]:
    """The same with an ellipsis replaced by names of `count` axes."""
    if sum(name in (_ANY, _APART) for group in groups for name in group) > 1:
        raise ValueError(f"rearrange: '...' stands twice on one side of {pattern!r}")
    names = [f"...{i}" for i in range(count)]
    found: list[list[str]] = []
    for group in groups:
        if group == [_APART]:
            found.extend([name] for name in names)
        else:
            found.append([n for name in group for n in (names if name == _ANY else [name])])
    return found


def _sizes(
    groups: list[list[str]], shape: tuple, pattern: str, given: dict[str, int]
) -> dict[str, int]:
    sizes = dict(given)
    for group, size in zip(groups, shape):
        unknown = [name for name in group if name not in sizes]
        known = math.prod(sizes[name] for name in group if name in sizes)
        if len(unknown) > 1:
            raise ValueError(
                f"rearrange: the sizes of {', '.join(unknown)} in {pattern!r} do not follow from "
                f"{list(shape)}; give all but one by name"
            )
        if unknown:
            sizes[unknown[0]] = size // known if known else 0
            known *= sizes[unknown[0]]
        if known != size:
            parts = " x ".join(group) or "1"
            raise ValueError(
                f"rearrange: an axis of size {size} is not {parts}, as {pattern!r} says"
            )
    return sizes
