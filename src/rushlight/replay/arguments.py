"""The arguments of a call, as a key and a list of tensors; and its result, as a tree.

In: positional arguments and keywords.  Out: what is the same in every call of one kind (structure,
plain values, classes, shapes, dtypes, layouts), the tensors in order, and the objects that are held
by identity.  Level: replay.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.base.hot import hot
from rushlight.tape.memo import LeafSpec
from rushlight.tensor.graph import AccumulateGrad
from rushlight.tensor.storage import refresh
from rushlight.tensor.tensor import Size, Tensor

_PLAIN = frozenset({bool, int, str, bytes, type(None), DType, device, type(Ellipsis)})
_LISTS = frozenset({list, tuple, Size})
_DICTIONARIES = frozenset({dict, OrderedDict})
_MUTABLE = frozenset({list, dict, OrderedDict})

# Marks in keys.
_TENSOR, _OBJECT, _END = "tensor", "object", "end"


class Arguments:
    """key: what must be the same; None if a tensor is in no state to be an argument.

    tensors, places: of the arguments; objects: those held by identity, with their paths.
    pending: whether a tensor is still to be computed.  problem: why the Python must run, or "".
    """

    __slots__ = ("key", "tensors", "places", "objects", "pending", "problem")

    @hot
    def __init__(self) -> None:
        self.key: list[Any] = []
        self.tensors: list[Tensor] = []
        self.places: dict[int, int] = {}
        self.objects: list[Any] = []
        self.pending = False
        self.problem = ""

    @hot
    def tensor(self, value: Tensor) -> None:
        """Add a tensor."""
        key = self.key
        key.append(_TENSOR)
        identity = id(value)
        place = self.places.get(identity)
        if place is not None:
            key.append(place)
            return
        self.places[identity] = len(self.tensors)
        self.tensors.append(value)
        storage = value._storage
        if storage is not None and storage.stamp != value._seen:
            refresh(value)
            if storage.pinned is not None:
                self.problem = "an argument shares its memory with NumPy"
        if value.__dict__:
            self.problem = "an argument has attributes of its own"
        spec = value._node.step
        if spec.__class__ is not LeafSpec:
            self.pending = True
        key.append(spec)
        key.append(value.__class__)
        layout = value._layout
        key.append(None if layout is None else layout[0])
        edge = value._grad_fn
        if edge is None:
            key.append(False)
        elif edge.__class__ is AccumulateGrad and edge.extra is None:
            gradient = value._grad
            key.append(True if gradient is None else gradient._node.step)
        else:
            self.problem = "an argument has a history, or hooks"

    @hot
    def add(self, value: Any) -> None:
        """Add one argument, or part of one."""
        kind = value.__class__
        if isinstance(value, Tensor):
            self.tensor(value)
        elif kind in _PLAIN:
            self.key.append(kind)
            self.key.append(value)
        elif kind is float:
            self.key.append(value.hex())
        elif kind in _LISTS:
            self.key.append(kind)
            for part in value:
                self.add(part)
            self.key.append(_END)
        elif kind in _DICTIONARIES:
            self.key.append(kind)
            for name in value:
                self.add(name)
                self.add(value[name])
            self.key.append(_END)
        else:
            self.key.append(_OBJECT)
            self.key.append(id(value))
            self.objects.append(value)


@hot
def described(args: tuple, kwargs: dict) -> Arguments:
    """The arguments of a call."""
    found = Arguments()
    for value in args:
        if value.__class__ is Tensor:
            found.tensor(value)
        else:
            found.add(value)
    if kwargs:
        for name in kwargs:
            found.key.append(name)
            found.add(kwargs[name])
    return found


def parts(value: Any, found: list[Any] | None = None) -> list[Any]:
    """Everything that arguments consist of, containers included, in order, to be compared by
    identity: a call may change the containers it is given."""
    if found is None:
        found = []
    found.append(value)
    kind = value.__class__
    if kind in _LISTS:
        for part in value:
            parts(part, found)
    elif kind in _DICTIONARIES:
        for name, part in value.items():
            found.append(name)
            parts(part, found)
    return found


# ---- results ---------------------------------------------------------------------------------

_RESULT_PLAIN = (*_PLAIN, float, complex)


class Result:
    """The tree of what a call returned.

    shape: what the tree is, tensors as their places.  tensors: in order.
    problem: what cannot be made again, or "".
    held: objects that are the same in every call.  given: what the arguments consist of.
    """

    def __init__(self, value: Any, held: dict[int, Any], given: list[Any]) -> None:
        self.tensors: list[Tensor] = []
        self.problem = ""
        self._held = held
        # Containers that must not be made anew: those given, and those met already.
        self._met = {id(one): one for one in given if one.__class__ in _MUTABLE}
        self._places: dict[int, int] = {}
        self.shape = self._shape(value)

    def _shape(self, value: Any) -> tuple:
        kind = type(value)
        if isinstance(value, Tensor):
            place = self._places.setdefault(id(value), len(self.tensors))
            if place == len(self.tensors):
                self.tensors.append(value)
            return ("tensor", place)
        if kind in _RESULT_PLAIN:
            return ("plain", value, repr(value))
        if self._held.get(id(value)) is value:
            return ("held", value)
        if kind in _MUTABLE:
            if id(value) in self._met:
                self.problem = "it returns a container that is an argument, or twice the same"
            self._met[id(value)] = value
        if kind in (list, tuple, Size):
            return ("list", kind, tuple([self._shape(part) for part in value]))
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return ("fields", kind, tuple([self._shape(part) for part in value]))
        if kind in (dict, OrderedDict):
            parts = [(self._shape(key), self._shape(part)) for key, part in value.items()]
            return ("dict", kind, tuple(parts))
        self.problem = f"it returns a {kind.__name__}"
        return ("unknown",)


def build(shape: tuple, tensors: list[Tensor]) -> Any:
    """A result of this tree around tensors."""
    kind = shape[0]
    if kind == "tensor":
        return tensors[shape[1]]
    if kind in ("plain", "held"):
        return shape[1]
    if kind == "list":
        return shape[1]([build(part, tensors) for part in shape[2]])
    if kind == "fields":
        return shape[1](*[build(part, tensors) for part in shape[2]])
    return shape[1]([(build(key, tensors), build(part, tensors)) for key, part in shape[2]])
