"""Whether everything a replayed call could look at is as it was.

In: a `World`, as it was when the call was watched.  Out: a test of a few passes in C over flat
lists: identities first; where one differs, plain values are compared, and taken over if they are
equal.  Level: replay.
"""

from __future__ import annotations

from itertools import chain, repeat
from types import MappingProxyType
from typing import Any

from rushlight.base.hot import hot
from rushlight.replay.recipe import State
from rushlight.replay.world import MISSING, Container, World, same_plain
from rushlight.tensor.tensor import Tensor

_values = dict.values
_NUMBERS = (int, float)


class Guard:
    """broken: what differed at the last test."""

    __slots__ = (
        "broken", "_empty", "_dicts", "_dict_lengths", "_keys", "_values", "_lists",
        "_list_lengths", "_items", "_holders", "_names", "_named", "_class_holders",
        "_class_names", "_class_named",
        "_sized", "_sizes", "_cells", "_contents", "_slotted", "_slot_names", "_slots", "_sets",
        "_origins", "_tensors", "_specs", "_edges", "_layouts", "_bases", "_gradients", "_kinds",
        "_shared", "_storages", "_paths",
    )  # fmt: skip

    def __init__(self, world: World, states: list[State], paths: list[str]) -> None:
        self.broken = ""
        self._origins: dict[str, list[tuple[Container, int]]] = {}
        by_kind: dict[str, list[Container]] = {}
        for container in world.containers:
            by_kind.setdefault(container.kind, []).append(container)
        free = [c for c in by_kind.get("dict", ()) if c.free]
        dicts = [c for c in by_kind.get("dict", ()) if not c.free]
        self._empty = [c.object for c in dicts if not c.keys]
        dicts = [c for c in dicts if c.keys]
        self._dicts = [c.object for c in dicts]
        self._dict_lengths = [len(c.keys) for c in dicts]
        self._keys = [key for c in dicts for key in c.keys]
        self._values = self._flat("dict", dicts)
        lists = by_kind.get("list", [])
        self._lists = [c.object for c in lists]
        self._list_lengths = [len(c.values) for c in lists]
        self._items = self._flat("list", lists)
        names = [*by_kind.get("names", ()), *free]
        self._holders = [c.object for c in names for _ in c.keys]
        self._names = [key for c in names for key in c.keys]
        self._named = self._flat("names", names)
        for place, (container, inside) in enumerate(self._origins["names"]):
            value = container.values[inside]
            if container.free and value.__class__ in _NUMBERS:
                self._holders[place], self._names[place] = _NO_NAMES, ""
                self._named[place] = MISSING
        classes = by_kind.get("class", [])
        self._class_holders = [vars(c.object) for c in classes for _ in c.keys]
        self._class_names = [key for c in classes for key in c.keys]
        self._class_named = self._flat("class", classes)
        sized = [c for c in by_kind.get("names", ()) if c.size >= 0]
        self._sized = [c.object for c in (*sized, *free)] + [vars(c.object) for c in classes]
        self._sizes = [c.size for c in sized] + [len(c.keys) for c in free]
        self._sizes += [c.size for c in classes]
        cells = by_kind.get("cell", [])
        self._cells = [c.object for c in cells]
        self._contents = self._flat("cell", cells)
        slotted = by_kind.get("slots", [])
        self._slotted = [c.object for c in slotted for _ in c.keys]
        self._slot_names = [key for c in slotted for key in c.keys]
        self._slots = self._flat("slots", slotted)
        self._sets = [(c.object, frozenset(c.values)) for c in by_kind.get("set", ())]
        self._take_tensors(world, states, paths)

    def _flat(self, kind: str, containers: list[Container]) -> list[Any]:
        self._origins[kind] = [(c, p) for c in containers for p in range(len(c.values))]
        return [value for container in containers for value in container.values]

    def _take_tensors(self, world: World, states: list[State], paths: list[str]) -> None:
        count = len(world.tensors)
        self._paths = paths[:count]
        self._tensors = list(world.tensors)
        self._kinds = [type(t) for t in world.tensors]
        known = states[:count]
        self._specs = [s.node.step for s in known]
        self._edges = [s.edge for s in known]
        self._layouts = [s.layout for s in known]
        self._bases = [s.base for s in known]
        self._gradients = [None if s.gradient is None else s.gradient_node.step for s in known]
        owners: dict[int, list[int]] = {}
        for place, state in enumerate(known):
            if state.storage is not None:
                owners.setdefault(id(state.storage), []).append(place)
            owners.setdefault(id(state.node), []).append(place)
        shared = sorted({p for places in owners.values() if len(places) > 1 for p in places})
        self._shared = [world.tensors[place] for place in shared]
        self._storages = [known[place].storage for place in shared]

    # ---- the test ------------------------------------------------------------------------------

    def holds(self) -> bool:
        """Whether everything is as it was."""
        if not tensors_hold(
            self._tensors, self._kinds, self._specs, self._edges, self._layouts, self._bases,
            self._gradients,
        ):  # fmt: skip
            self.broken = self._broken_tensor()
            return False
        if any(self._empty):
            self.broken = "a dictionary that was empty"
            return False
        dicts = self._dicts
        if list(map(len, dicts)) != self._dict_lengths:
            return self._length_differs(dicts, self._dict_lengths, "dict")
        if not same_objects(list(chain.from_iterable(dicts)), self._keys):
            if not all(map(same_plain, chain.from_iterable(dicts), self._keys)):
                self.broken = "the names in a dictionary"
                return False
        now = list(chain.from_iterable(map(_values, dicts)))
        if not same_objects(now, self._values) and not self._equal("dict", now, self._values):
            return False
        now = list(map(_get, self._holders, self._names, repeat(MISSING)))
        if not same_objects(now, self._named) and not self._equal("names", now, self._named):
            return False
        return self._rest_holds()

    def _rest_holds(self) -> bool:
        if self._sized and list(map(len, self._sized)) != self._sizes:
            return self._length_differs(self._sized, self._sizes, "names")
        if self._lists:
            if list(map(len, self._lists)) != self._list_lengths:
                return self._length_differs(self._lists, self._list_lengths, "list")
            now = list(chain.from_iterable(self._lists))
            if not same_objects(now, self._items) and not self._equal("list", now, self._items):
                return False
        if self._cells:
            try:
                now = [cell.cell_contents for cell in self._cells]
            except ValueError:
                self.broken = "a variable of an enclosing function"
                return False
            if not same_objects(now, self._contents):
                if not self._equal("cell", now, self._contents):
                    return False
        if self._class_holders:
            now = list(map(_of_class, self._class_holders, self._class_names, repeat(MISSING)))
            if not same_objects(now, self._class_named):
                if not self._equal("class", now, self._class_named):
                    return False
        if self._slotted:
            now = list(map(getattr, self._slotted, self._slot_names, repeat(MISSING)))
            if not same_objects(now, self._slots):
                if not self._equal("slots", now, self._slots):
                    return False
        for held, content in self._sets:
            if len(held) != len(content) or not content.issuperset(held):
                self.broken = "a set"
                return False
        for tensor, storage in zip(self._shared, self._storages):
            if tensor._storage is not storage:
                self.broken = "which tensors share memory"
                return False
        return True

    def _equal(self, kind: str, now: list[Any], before: list[Any]) -> bool:
        """Whether what is not the same objects are the same plain values; then they are kept."""
        if len(now) != len(before):
            self.broken = "the size of a container"
            return False
        for place, (x, y) in enumerate(zip(now, before)):
            if x is not y and not same_plain(x, y):
                container, inside = self._origins[kind][place]
                self.broken = container.name(inside)
                return False
        before[:] = now
        return True

    def _length_differs(self, held: list[Any], lengths: list[int], kind: str) -> bool:
        self.broken = "the size of a container"
        place = next(p for p, (h, n) in enumerate(zip(held, lengths)) if len(h) != n)
        for container, _ in self._origins[kind]:
            if container.object is held[place]:
                self.broken = f"the size of {container.path}"
        return False

    def _broken_tensor(self) -> str:
        each = zip(
            self._tensors, self._kinds, self._specs, self._edges, self._layouts, self._bases,
            self._gradients,
        )  # fmt: skip
        for place, facts in enumerate(each):
            if not tensors_hold(*[[fact] for fact in facts]):
                return self._paths[place]
        return "a tensor"


_NO_NAMES: dict[str, Any] = {}
_of_class = MappingProxyType.get
_get = dict.get


@hot
def same_objects(now: list, before: list) -> bool:
    """Whether two lists hold the same objects, each in its place.

    Not `==`, which asks tensors whether they are equal.
    """
    if len(now) != len(before):
        return False
    for x, y in zip(now, before):  # noqa: SIM110 - a loop becomes machine code, a generator does not
        if x is not y:
            return False
    return True


@hot
def tensors_hold(
    tensors: list[Tensor], kinds: list, specs: list, edges: list, layouts: list, bases: list,
    gradients: list,
) -> bool:  # fmt: skip
    """Whether tensors are computed, and of the same class, shape, dtype, layout and history, and
    whether their gradients are."""
    for tensor, kind, spec, edge, layout, base, gradient in zip(
        tensors, kinds, specs, edges, layouts, bases, gradients
    ):
        if tensor.__class__ is not kind or tensor._node.step is not spec:
            return False
        storage = tensor._storage
        if storage is not None and storage.stamp != tensor._seen:
            return False
        if tensor._grad_fn is not edge or (edge is not None and edge.extra is not None):
            return False
        if tensor._layout is not layout and tensor._layout != layout:
            return False
        if tensor._base is not base:
            return False
        grad = tensor._grad
        if grad is None:
            if gradient is not None:
                return False
        else:
            if grad._node.step is not gradient or grad.__class__ is not Tensor:
                return False
            storage = grad._storage
            if storage is not None and storage.stamp != grad._seen:
                return False
            if grad._base is not None or grad._grad_fn is not None:
                return False
            layout = grad._layout
            if layout is not None and storage.layout is not layout:
                return False
    return True
