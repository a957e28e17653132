"""Which types are nodes of a tree, and the steps of paths through one.  Level 12.

In: types and functions that take their objects apart. Out: the table that `_pytree` reads.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

PyTree = Any
Context = Any


@dataclasses.dataclass(frozen=True)
class SequenceKey:
    """A step by position."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        """The child there."""
        return sequence[self.idx]


@dataclasses.dataclass(frozen=True)
class MappingKey:
    """A step by key."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        """The child there."""
        return mapping[self.key]


@dataclasses.dataclass(frozen=True)
class GetAttrKey:
    """A step by attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        """The child there."""
        return getattr(obj, self.name)


KeyEntry = Any
KeyPath = tuple


class NodeDef(NamedTuple):
    """How one type is taken apart and put together."""

    type: type
    flatten_fn: Callable[[Any], tuple[list, Any]]
    unflatten_fn: Callable[[Iterable, Any], Any]
    flatten_with_keys_fn: Callable[[Any], tuple[list, Any]] | None


SUPPORTED_NODES: dict[type, NodeDef] = {}
CONSTANT_NODES: set[type] = set()


def register_pytree_node(
    cls: type,
    flatten_fn: Callable[[Any], tuple[list, Any]],
    unflatten_fn: Callable[[Iterable, Any], Any],
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: Any = None,
    from_dumpable_context: Any = None,
    flatten_with_keys_fn: Callable[[Any], tuple[list, Any]] | None = None,
) -> None:
    """From now on objects of `cls` are nodes.  Raises: ValueError if they already are."""
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn, flatten_with_keys_fn)


def _register_pytree_node(cls: type, flatten_fn: Any, unflatten_fn: Any, **keywords: Any) -> None:
    keywords.pop("to_str_fn", None)
    keywords.pop("maybe_from_str_fn", None)
    SUPPORTED_NODES[cls] = NodeDef(
        cls, flatten_fn, unflatten_fn, keywords.get("flatten_with_keys_fn")
    )


def _deregister_pytree_node(cls: type) -> None:
    del SUPPORTED_NODES[cls]


def register_dataclass(
    cls: type,
    *,
    field_names: list[str] | None = None,
    drop_field_names: list[str] | None = None,
    serialized_type_name: str | None = None,
) -> None:
    """Register a dataclass: its fields, but for those dropped, are children."""
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"register_dataclass: {cls} is not a dataclass")
    names = field_names or [f.name for f in dataclasses.fields(cls) if f.init]
    names = [name for name in names if name not in (drop_field_names or ())]

    def flatten(obj: Any) -> tuple[list, Any]:
        present = [name for name in names if getattr(obj, name) is not None]
        empty = [name for name in names if getattr(obj, name) is None]
        return [getattr(obj, name) for name in present], (present, empty)

    def unflatten(values: Iterable, context: Any) -> Any:
        present, empty = context
        return cls(**dict(zip(present, values, strict=True)), **dict.fromkeys(empty))

    def flatten_with_keys(obj: Any) -> tuple[list, Any]:
        values, context = flatten(obj)
        pairs = zip(context[0], values, strict=True)
        return [(GetAttrKey(name), value) for name, value in pairs], context

    register_pytree_node(cls, flatten, unflatten, flatten_with_keys_fn=flatten_with_keys)


def register_constant(cls: type) -> None:
    """Objects of `cls` are nodes without children: part of the description.

    Raises: TypeError unless they can be compared and hashed.
    """
    if cls.__eq__ is object.__eq__:
        raise TypeError(f"register_constant(cls): {cls} must define __eq__ to be compared")
    if cls.__hash__ is None:
        raise TypeError(f"register_constant(cls): {cls} must define __hash__")
    register_pytree_node(
        cls,
        lambda obj: ([], obj),
        lambda _, context: context,
        flatten_with_keys_fn=lambda obj: ([], obj),
    )
    CONSTANT_NODES.add(cls)


def is_constant_class(cls: type) -> bool:
    """Whether `register_constant` was called for the class."""
    return cls in CONSTANT_NODES


# ---- the types that come with it -----------------------------------------------------------------


def is_namedtuple_class(cls: Any) -> bool:
    """Whether a class was made by namedtuple."""
    if not isinstance(cls, type) or not issubclass(cls, tuple):
        return False
    fields = getattr(cls, "_fields", None)
    return isinstance(fields, tuple) and all(isinstance(name, str) for name in fields)


def is_namedtuple_instance(obj: Any) -> bool:
    """Whether an object is a named tuple."""
    return is_namedtuple_class(type(obj))


def is_namedtuple(obj: Any) -> bool:
    """Whether an object, or a class, is one of named tuples."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


def is_structseq_class(cls: Any) -> bool:
    """Whether a class is a tuple with fields as the C library's have, such as os.stat_result."""
    return (
        isinstance(cls, type)
        and issubclass(cls, tuple)
        and cls.__bases__ == (tuple,)
        and isinstance(getattr(cls, "n_fields", None), int)
        and isinstance(getattr(cls, "n_sequence_fields", None), int)
    )


def is_structseq_instance(obj: Any) -> bool:
    """Whether an object is one of those."""
    return is_structseq_class(type(obj))


def is_structseq(obj: Any) -> bool:
    """Whether an object, or a class, is one of those."""
    return is_structseq_class(obj if isinstance(obj, type) else type(obj))


def _positions(values: Iterable) -> list:
    return [(SequenceKey(i), value) for i, value in enumerate(values)]


def _items(mapping: dict) -> list:
    return [(MappingKey(key), value) for key, value in mapping.items()]


_register_pytree_node(
    tuple,
    lambda x: (list(x), None),
    lambda values, _: tuple(values),
    flatten_with_keys_fn=lambda x: (_positions(x), None),
)
_register_pytree_node(
    list,
    lambda x: (x, None),
    lambda values, _: list(values),
    flatten_with_keys_fn=lambda x: (_positions(x), None),
)
_register_pytree_node(
    dict,
    lambda x: (list(x.values()), list(x.keys())),
    lambda values, keys: dict(zip(keys, values, strict=True)),
    flatten_with_keys_fn=lambda x: (_items(x), list(x.keys())),
)
_register_pytree_node(
    namedtuple,  # type: ignore[arg-type]  # a function, but PyTorch's key for all named tuples
    lambda x: (list(x), type(x)),
    lambda values, cls: cls(*values),
    flatten_with_keys_fn=lambda x: (
        [(GetAttrKey(name), value) for name, value in zip(x._fields, x, strict=True)],
        type(x),
    ),
)
_register_pytree_node(
    OrderedDict,
    lambda x: (list(x.values()), list(x.keys())),
    lambda values, keys: OrderedDict(zip(keys, values, strict=True)),
    flatten_with_keys_fn=lambda x: (_items(x), list(x.keys())),
)
_register_pytree_node(
    defaultdict,
    lambda x: (list(x.values()), [x.default_factory, list(x.keys())]),
    lambda values, context: defaultdict(context[0], zip(context[1], values, strict=True)),
    flatten_with_keys_fn=lambda x: (_items(x), [x.default_factory, list(x.keys())]),
)
_register_pytree_node(
    deque,
    lambda x: (list(x), x.maxlen),
    lambda values, length: deque(values, maxlen=length),
    flatten_with_keys_fn=lambda x: (_positions(x), x.maxlen),
)

STANDARD_DICT_TYPES = frozenset({dict, OrderedDict, defaultdict})
BUILTIN_TYPES = frozenset(SUPPORTED_NODES)


def _node_type(tree: Any) -> Any:
    kind = type(tree)
    if kind not in SUPPORTED_NODES and is_namedtuple_class(kind):
        return namedtuple
    return kind


_get_node_type = _node_type


def tree_is_leaf(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether an object is a leaf."""
    if is_leaf is not None and is_leaf(tree):
        return True
    return _node_type(tree) not in SUPPORTED_NODES
