"""Nested containers as a flat list of leaves and a description of the rest.  Level 12.

In: any object. Out: leaves in order, and a TreeSpec that puts leaves back. Tuples, lists, dicts,
OrderedDicts, defaultdicts, deques and named tuples are nodes; further types can be registered;
everything else is a leaf. Source: torch.utils._pytree.
"""

from __future__ import annotations

from collections import defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rushlight.utils.tree_nodes import (
    BUILTIN_TYPES,
    CONSTANT_NODES,
    STANDARD_DICT_TYPES,
    SUPPORTED_NODES,
    Context,
    GetAttrKey,
    KeyEntry,
    KeyPath,
    MappingKey,
    NodeDef,
    PyTree,
    SequenceKey,
    _deregister_pytree_node,
    _get_node_type,
    _node_type,
    _register_pytree_node,
    is_constant_class,
    is_namedtuple,
    is_namedtuple_class,
    is_namedtuple_instance,
    is_structseq,
    is_structseq_class,
    is_structseq_instance,
    register_constant,
    register_dataclass,
    register_pytree_node,
    tree_is_leaf,
)

__all__ = [
    "BUILTIN_TYPES", "CONSTANT_NODES", "Context", "GetAttrKey", "KeyEntry", "KeyPath", "LeafSpec",
    "MappingKey", "NodeDef", "PyTree", "PyTreeSpec", "STANDARD_DICT_TYPES", "SUPPORTED_NODES",
    "SequenceKey", "TreeSpec", "_broadcast_to_and_flatten", "_deregister_pytree_node",
    "_get_node_type", "_register_pytree_node", "arg_tree_leaves", "is_constant_class",
    "is_namedtuple", "is_namedtuple_class", "is_namedtuple_instance", "is_structseq",
    "is_structseq_class", "is_structseq_instance", "key_get", "keystr", "map_only",
    "register_constant", "register_dataclass", "register_pytree_node", "tree_all",
    "tree_all_only", "tree_any", "tree_any_only", "tree_flatten", "tree_flatten_with_path",
    "tree_is_leaf", "tree_iter", "tree_leaves", "tree_leaves_with_path", "tree_map", "tree_map_",
    "tree_map_only", "tree_map_only_", "tree_map_with_path", "tree_structure", "tree_unflatten",
    "treespec_dict", "treespec_leaf", "treespec_pprint", "treespec_tuple",
]  # fmt: skip

# ---- descriptions --------------------------------------------------------------------------------


class TreeSpec:
    """The containers of a tree without its leaves."""

    __slots__ = ("_children", "context", "num_children", "num_leaves", "num_nodes", "type")

    def __init__(self, type: Any, context: Any, children: list[TreeSpec]) -> None:
        self.type = type
        self.context = context
        self._children = list(children)
        is_leaf = type is None
        self.num_nodes: int = 1 + sum(child.num_nodes for child in children)
        self.num_leaves: int = 1 if is_leaf else sum(child.num_leaves for child in children)
        self.num_children = len(children)

    @property
    def children_specs(self) -> list[TreeSpec]:
        """The children's descriptions."""
        return self._children

    def children(self) -> list[TreeSpec]:
        """The children's descriptions."""
        return list(self._children)

    def child(self, index: int) -> TreeSpec:
        """One child's description."""
        return self._children[index]

    def is_leaf(self) -> bool:
        """Whether it stands for one leaf."""
        return self.type is None

    def flatten_up_to(self, tree: PyTree) -> list[PyTree]:
        """The subtrees of `tree` at this description's leaves.

        Raises: ValueError, TypeError if `tree` has other containers above them.
        """
        if self.is_leaf():
            return [tree]
        kind = _node_type(tree)
        if kind is not self.type:
            either_dict = kind in STANDARD_DICT_TYPES and self.type in STANDARD_DICT_TYPES
            if not either_dict:
                raise ValueError(f"Type mismatch; expected {self.type!r}, but got {type(tree)!r}.")
            keys = self.context[1] if self.type is defaultdict else self.context
            if set(tree) != set(keys):
                raise ValueError(f"Node keys mismatch; expected {list(keys)}, got {list(tree)}.")
            parts = [tree[key] for key in keys]
        elif kind in STANDARD_DICT_TYPES:
            keys = self.context[1] if kind is defaultdict else self.context
            if set(tree) != set(keys):
                raise ValueError(f"Node keys mismatch; expected {list(keys)}, got {list(tree)}.")
            parts = [tree[key] for key in keys]
        else:
            parts, context = SUPPORTED_NODES[kind].flatten_fn(tree)
            if len(parts) != self.num_children:
                raise ValueError(
                    f"Node arity mismatch; expected {self.num_children}, but got {len(parts)}."
                )
            if context != self.context and kind is not deque:
                raise ValueError(
                    f"Node context mismatch for custom node type {self.type!r}; expected "
                    f"{self.context!r}, but got {context!r}."
                )
        return [
            found
            for child, part in zip(self._children, parts, strict=True)
            for found in child.flatten_up_to(part)
        ]

    def unflatten(self, leaves: Iterable) -> PyTree:
        """The tree with these leaves.  Raises: ValueError if their number is another."""
        found = list(leaves)
        if len(found) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(found)} but the spec refers "
                f"to a pytree that holds {self.num_leaves} items ({self})."
            )
        return self._build(iter(found))

    def _build(self, leaves: Iterator) -> PyTree:
        if self.is_leaf():
            return next(leaves)
        parts = [child._build(leaves) for child in self._children]
        return SUPPORTED_NODES[self.type].unflatten_fn(parts, self.context)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeSpec):
            return NotImplemented
        return (
            self.type is other.type
            and self.context == other.context
            and self._children == other._children
        )

    def __hash__(self) -> int:
        context = self.context
        if isinstance(context, list):
            context = tuple(map(str, context))
        return hash((self.type, str(context), tuple(self._children)))

    def __repr__(self, indent: int = 0) -> str:
        if self.is_leaf():
            return "*"
        name = "namedtuple" if self.type is namedtuple else self.type.__name__
        inner = ", ".join(repr(child) for child in self._children)
        return f"TreeSpec({name}, {self.context}, [{inner}])"

    def __reduce__(self) -> tuple:
        return TreeSpec, (self.type, self.context, self._children)


PyTreeSpec = TreeSpec


class LeafSpec(TreeSpec):
    """The description of one leaf."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None, None, [])

    def __repr__(self, indent: int = 0) -> str:
        return "*"

    def __reduce__(self) -> tuple:
        return LeafSpec, ()


_LEAF_SPEC = LeafSpec()


def treespec_leaf() -> LeafSpec:
    """The description of one leaf."""
    return _LEAF_SPEC


def treespec_tuple(iterable: Iterable = (), /) -> TreeSpec:
    """The description of a tuple of such children."""
    return TreeSpec(tuple, None, list(iterable))


def treespec_dict(mapping: Any = (), /, **kwargs: TreeSpec) -> TreeSpec:
    """The description of a dict of such children."""
    given = dict(mapping, **kwargs)
    return TreeSpec(dict, list(given.keys()), list(given.values()))


# ---- flattening ----------------------------------------------------------------------------------


def tree_flatten(
    tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[Any], TreeSpec]:
    """The leaves in order, and the description."""
    leaves: list[Any] = []
    return leaves, _flatten_into(tree, is_leaf, leaves)


def _flatten_into(tree: PyTree, is_leaf: Any, leaves: list[Any]) -> TreeSpec:
    if tree_is_leaf(tree, is_leaf):
        leaves.append(tree)
        return _LEAF_SPEC
    kind = _node_type(tree)
    parts, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    return TreeSpec(kind, context, [_flatten_into(part, is_leaf, leaves) for part in parts])


def tree_unflatten(leaves: Iterable, treespec: TreeSpec) -> PyTree:
    """The tree of that description with these leaves."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            "tree_unflatten(leaves, treespec): Expected `treespec` to be instance of TreeSpec but "
            f"got item of type {type(treespec)}."
        )
    return treespec.unflatten(leaves)


def tree_iter(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> Iterator[Any]:
    """The leaves one at a time."""
    if tree_is_leaf(tree, is_leaf):
        yield tree
        return
    parts, _ = SUPPORTED_NODES[_node_type(tree)].flatten_fn(tree)
    for part in parts:
        yield from tree_iter(part, is_leaf)


def tree_leaves(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves in order."""
    return list(tree_iter(tree, is_leaf))


def tree_structure(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The description alone."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(
    func: Callable[..., Any],
    tree: PyTree,
    *rests: PyTree,
    is_leaf: Callable[[Any], bool] | None = None,
) -> PyTree:
    """The tree of what `func` makes of each leaf (and of what `rests` have in its place)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves, *(spec.flatten_up_to(rest) for rest in rests)]
    return spec.unflatten([func(*row) for row in zip(*columns, strict=True)])


def tree_map_(
    func: Callable[..., Any],
    tree: PyTree,
    *rests: PyTree,
    is_leaf: Callable[[Any], bool] | None = None,
) -> PyTree:
    """Call `func` on each leaf; returns the tree itself."""
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves, *(spec.flatten_up_to(rest) for rest in rests)]
    for row in zip(*columns, strict=True):
        func(*row)
    return tree


def _selects(type_or_types: Any) -> Callable[[Any], bool]:
    if isinstance(type_or_types, type):
        return lambda x: isinstance(x, type_or_types)
    if isinstance(type_or_types, tuple) or hasattr(type_or_types, "__args__"):
        return lambda x: isinstance(x, type_or_types)
    if callable(type_or_types):
        return type_or_types
    raise TypeError("Argument must be a type, a tuple of types, or a callable.")


def map_only(type_or_types_or_pred: Any, /) -> Callable[[Callable], Callable]:
    """Decorator: the function applies to leaves of these types, others stay."""
    selects = _selects(type_or_types_or_pred)

    def wrapper(func: Callable) -> Callable:
        return lambda x: func(x) if selects(x) else x

    return wrapper


def tree_map_only(
    type_or_types_or_pred: Any,
    /,
    func: Callable[[Any], Any],
    tree: PyTree,
    is_leaf: Callable[[Any], bool] | None = None,
) -> PyTree:
    """`tree_map` on leaves of these types."""
    return tree_map(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_map_only_(
    type_or_types_or_pred: Any,
    /,
    func: Callable[[Any], Any],
    tree: PyTree,
    is_leaf: Callable[[Any], bool] | None = None,
) -> PyTree:
    """`tree_map_` on leaves of these types."""
    return tree_map_(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_all(
    pred: Callable[[Any], bool], tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> bool:
    """Whether all leaves satisfy a condition."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(
    pred: Callable[[Any], bool], tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> bool:
    """Whether a leaf satisfies a condition."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def tree_all_only(
    type_or_types: Any,
    /,
    pred: Callable[[Any], bool],
    tree: PyTree,
    is_leaf: Callable[[Any], bool] | None = None,
) -> bool:
    """Whether all leaves of these types satisfy a condition."""
    return all(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, type_or_types))


def tree_any_only(
    type_or_types: Any,
    /,
    pred: Callable[[Any], bool],
    tree: PyTree,
    is_leaf: Callable[[Any], bool] | None = None,
) -> bool:
    """Whether a leaf of these types satisfies a condition."""
    return any(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, type_or_types))


def _broadcast_to_and_flatten(
    tree: PyTree, treespec: TreeSpec, is_leaf: Callable[[Any], bool] | None = None
) -> list[Any] | None:
    """Leaves for `treespec`, one leaf of `tree` standing for all below it; None if unfit."""
    if treespec.is_leaf():
        return [tree] if tree_is_leaf(tree, is_leaf) else None
    if tree_is_leaf(tree, is_leaf):
        return [tree] * treespec.num_leaves
    kind = _node_type(tree)
    if kind is not treespec.type:
        return None
    parts, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    if len(parts) != treespec.num_children or context != treespec.context:
        return None
    found: list[Any] = []
    for part, child in zip(parts, treespec.children_specs, strict=True):
        below = _broadcast_to_and_flatten(part, child, is_leaf)
        if below is None:
            return None
        found += below
    return found


# ---- paths ---------------------------------------------------------------------------------------


def _with_paths(tree: PyTree, path: tuple, is_leaf: Any) -> Iterator[tuple[tuple, Any]]:
    if tree_is_leaf(tree, is_leaf):
        yield path, tree
        return
    node = SUPPORTED_NODES[_node_type(tree)]
    if node.flatten_with_keys_fn is None:
        raise ValueError(
            f"Did not find a flatten_with_keys_fn for type: {node.type}. Please pass a "
            "flatten_with_keys_fn argument to register_pytree_node."
        )
    for key, part in node.flatten_with_keys_fn(tree)[0]:
        yield from _with_paths(part, (*path, key), is_leaf)


def tree_leaves_with_path(
    tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> list[tuple[KeyPath, Any]]:
    """Pairs of path and leaf."""
    return list(_with_paths(tree, (), is_leaf))


def tree_flatten_with_path(
    tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[tuple[KeyPath, Any]], TreeSpec]:
    """Pairs of path and leaf, and the description."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(
    func: Callable[..., Any],
    tree: PyTree,
    *rests: PyTree,
    is_leaf: Callable[[Any], bool] | None = None,
) -> PyTree:
    """As `tree_map`, with the path as the first argument."""
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    columns = [list(column) for column in zip(*pairs, strict=True)] if pairs else [[], []]
    columns += [spec.flatten_up_to(rest) for rest in rests]
    return spec.unflatten([func(*row) for row in zip(*columns, strict=True)])


def keystr(kp: KeyPath) -> str:
    """A path as Python text."""
    return "".join(str(key) for key in kp)


def key_get(obj: Any, kp: KeyPath) -> Any:
    """The leaf at a path."""
    for key in kp:
        obj = key.get(obj)
    return obj


def arg_tree_leaves(*args: PyTree, **kwargs: PyTree) -> list[Any]:
    """The leaves of a call's arguments."""
    return tree_leaves((args, kwargs))


def treespec_pprint(treespec: TreeSpec) -> str:
    """The description as a tree of stars."""
    return repr(treespec.unflatten([_Star()] * treespec.num_leaves))


class _Star:
    def __repr__(self) -> str:
        return "*"


# ---- mappings of classes of one's own ------------------------------------------------------------


def _dict_flatten(d: dict) -> tuple[list[Any], Context]:
    """Values and keys of a mapping."""
    return list(d.values()), list(d.keys())


def _dict_flatten_with_keys(d: dict) -> tuple[list[tuple[KeyEntry, Any]], Context]:
    """Values of a mapping, each with what names it."""
    return [(MappingKey(key), value) for key, value in d.items()], list(d.keys())


def _dict_unflatten(values: Iterable[Any], context: Context) -> dict:
    """The mapping again."""
    return dict(zip(context, values))


# ---- sequences of classes of one's own -----------------------------------------------------------


def _list_flatten(d: Iterable[Any]) -> tuple[list[Any], Context]:
    """The items of a sequence."""
    return list(d), None


def _list_flatten_with_keys(d: Iterable[Any]) -> tuple[list[tuple[KeyEntry, Any]], Context]:
    """The items of a sequence, each with its place."""
    return [(SequenceKey(place), value) for place, value in enumerate(d)], None


def _list_unflatten(values: Iterable[Any], context: Context) -> list:
    """The list again."""
    return list(values)
