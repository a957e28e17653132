"""Nested tuples, lists and dictionaries as flat lists of leaves, and back.

In: what functions take and give.  Out: leaves in order, and a structure that puts others in their
places.  Named tuples, dictionaries of any class and registered types keep their type; everything
else is a leaf, None included.  Level: transform.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

# Type -> (to children and what else it needs, back); see `register`.
_registered: dict[type, tuple[Callable, Callable]] = {}


class Structure(NamedTuple):
    """What remains of a tree without its leaves.  kind: None for a leaf.

    rest: keys, or whatever puts the children together again.
    """

    kind: Any
    rest: Any
    children: tuple[Structure, ...]

    @property
    def leaves(self) -> int:
        """How many there are."""
        if self.kind is None:
            return 1
        return sum(child.leaves for child in self.children)


LEAF = Structure(None, None, ())


def register(kind: type, flatten: Callable, unflatten: Callable) -> None:
    """Let trees contain `kind`: flatten(x) -> (children, rest), unflatten(children, rest) -> x."""
    _registered[kind] = (flatten, unflatten)


def _opened(value: Any) -> tuple[Any, list, Any] | None:
    """(kind, children, rest) of a tree's node; None for a leaf."""
    kind = type(value)
    if kind in (tuple, list):
        return kind, list(value), None
    if kind in _registered:
        children, rest = _registered[kind][0](value)
        return kind, list(children), rest
    if kind in (dict, OrderedDict):
        return kind, list(value.values()), list(value)
    if kind is defaultdict:
        return kind, list(value.values()), (value.default_factory, list(value))
    if kind is deque:
        return kind, list(value), value.maxlen
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return kind, list(value), None
    return None


def flatten(value: Any) -> tuple[list, Structure]:
    """(leaves in order, structure)."""
    opened = _opened(value)
    if opened is None:
        return [value], LEAF
    kind, children, rest = opened
    leaves: list = []
    structures = []
    for child in children:
        found, structure = flatten(child)
        leaves.extend(found)
        structures.append(structure)
    return leaves, Structure(kind, rest, tuple(structures))


def unflatten(leaves: list, structure: Structure) -> Any:
    """The tree of this structure with these leaves."""
    if structure.kind is None:
        return leaves[0]
    children = []
    start = 0
    for child in structure.children:
        count = child.leaves
        children.append(unflatten(leaves[start : start + count], child))
        start += count
    kind, rest = structure.kind, structure.rest
    if kind in (tuple, list):
        return kind(children)
    if kind in _registered:
        return _registered[kind][1](children, rest)
    if kind in (dict, OrderedDict):
        return kind(zip(rest, children))
    if kind is defaultdict:
        return defaultdict(rest[0], zip(rest[1], children))
    if kind is deque:
        return deque(children, rest)
    return kind(*children)


def tree_map(function: Callable, value: Any) -> Any:
    """The tree with `function` applied to each leaf."""
    leaves, structure = flatten(value)
    return unflatten([function(leaf) for leaf in leaves], structure)


def broadcast_prefix(prefix: Any, structure: Structure, is_leaf: Callable) -> list | None:
    """One entry for each leaf of `structure`, from a tree that may end earlier.

    is_leaf: whether a value of `prefix` stands for all leaves below its place.
    None: the two do not fit.
    """
    if is_leaf(prefix):
        return [prefix] * structure.leaves
    opened = _opened(prefix)
    if opened is None or structure.kind is None:
        return None
    kind, children, rest = opened
    if len(children) != len(structure.children):
        return None
    if kind is not structure.kind and not {kind, structure.kind} <= {tuple, list}:
        if not (issubclass(kind, dict) and issubclass(structure.kind, dict)):
            return None
    if issubclass(kind, dict) and kind is not defaultdict and structure.kind is not defaultdict:
        if set(rest) != set(structure.rest):
            return None
        children = [prefix[key] for key in structure.rest]
    found: list = []
    for child, below in zip(children, structure.children):
        part = broadcast_prefix(child, below, is_leaf)
        if part is None:
            return None
        found.extend(part)
    return found
