"""Nested containers are flattened and put together as in PyTorch."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest

from rushlight.utils import _pytree as pytree

Point = namedtuple("Point", "x y")
TREE = {
    "a": [1, (2, None)],
    "b": OrderedDict(c=Point(3, 4)),
    "d": deque([5], maxlen=3),
    "e": defaultdict(list, f=6),
}


def test_trees_are_those_of_pytorch():
    theirs = pytest.importorskip("torch.utils._pytree")
    leaves, spec = pytree.tree_flatten(TREE)
    their_leaves, their_spec = theirs.tree_flatten(TREE)
    assert leaves == their_leaves and spec.num_leaves == their_spec.num_leaves
    assert pytree.tree_unflatten(leaves, spec) == TREE
    ours = [(pytree.keystr(path), leaf) for path, leaf in pytree.tree_leaves_with_path(TREE)]
    assert ours == [(theirs.keystr(p), leaf) for p, leaf in theirs.tree_leaves_with_path(TREE)]


def test_functions_map_over_leaves():
    doubled = pytree.tree_map(lambda x: x and 2 * x, TREE)
    assert doubled["b"]["c"] == Point(6, 8) and doubled["e"].default_factory is list
    assert pytree.tree_map(lambda a, b: a + b, (1, [2]), (10, [20])) == (11, [22])
    assert pytree.tree_map_only(int, str, [1, "a", None]) == ["1", "a", None]
    assert pytree.tree_any(lambda x: x == 6, TREE) and not pytree.tree_all(bool, TREE)
    with pytest.raises(ValueError, match="arity mismatch"):
        pytree.tree_map(max, [1, 2], [1])
    with pytest.raises(ValueError, match="Type mismatch"):
        pytree.tree_map(max, [1, 2], 5)


def test_further_types_can_be_registered():
    @dataclasses.dataclass
    class Pair:
        left: object
        right: object = None

    pytree.register_dataclass(Pair)
    try:
        assert pytree.tree_leaves([Pair(1, 2), Pair(3)]) == [1, 2, 3]
        assert pytree.tree_map(str, Pair(1)) == Pair("1")
        with pytest.raises(ValueError, match="already registered"):
            pytree.register_dataclass(Pair)
    finally:
        pytree._deregister_pytree_node(Pair)
