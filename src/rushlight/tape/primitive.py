"""Primitive: a name, a calling convention and a result rule; and the tables of its other concerns.

A primitive takes operands first (tensors), then static parameters (hashable, compared exactly by
the memo).  Calling one records it: `mul(x, y)`, `reduce_sum(x, axes, keepdim)`.  How recording
happens is decided by the operand, which implements `_apply1` and `_apply2` for one and two operands
and `_apply` for the rest (see `tensor/apply.py`), so this module imports nothing above it.  Each
further concern (meaning, derivative, lowering) is a `RuleTable`.  Level 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rushlight.base.hot import hot

VARIADIC = -1
KINDS = ("source", "elementwise", "reduction", "movement", "contraction", "indexing", "opaque")

# Names of parameters that are shapes, sizes or strides; the rest say what is done.
SIZE_PARAMETERS = ("shape", "shapes", "size", "sizes", "strides")

# What the compiler may take for granted of a primitive.
PROPERTIES = {
    "moves": "every element of the result is one of the first operand's, found by its place alone",
    "view": "moves, and the result has all elements of the operand and can be read in its place",
    "keeps_order": "a view whose elements, once or more, come in the operand's order",
    "light": "one or two instructions for a vector of elements",
    "splittable": "a reduction of parts' results is that of the whole",
    "commutative": "the operands may change places: IEEE 754 gives the same bits",
    "sizeless": "its parameters, but for those that are sizes, do not follow from sizes",
    "spatial": "they follow from the sizes of its operands beyond the first two axes alone",
}
# Kinds of which every primitive is `sizeless`.
_SIZELESS = ("elementwise", "reduction", "movement", "indexing", "source")

_REGISTRY: dict[str, Primitive] = {}


@hot
class Primitive:
    """One primitive.

    name: what messages and debug output call it.
    family: the file (in every concern's folder) that holds its row.
    kind: what the scheduler may do with it; one of KINDS.
    arity: number of operands, or VARIADIC (the operands then come as one sequence).
    result: function of the operand nodes and the parameters to (shape, dtype), or, for a primitive
        with several outputs, to a list of such pairs; it raises the user's errors.
    grad_name: what autograd calls its node, as PyTorch does (`AddBackward0`).
    target: place of the parameter that names the device of the result; None: that of the operands.
    properties: names from PROPERTIES, in one string; each becomes an attribute that is true.
    order: function of the operand nodes, the parameters and the result's shape to how its axes lie
        in memory (`base/orders.py`); None for a result in row-major order.
    """

    __slots__ = (
        "name", "family", "kind", "arity", "params", "result", "multiple", "grad_name",
        "vjp", "jvp", "batching", "reference", "lowering", "sized", "_direct",
        "target", "order", *PROPERTIES,
    )  # fmt: skip
    moves: bool
    view: bool
    keeps_order: bool
    light: bool
    splittable: bool
    commutative: bool
    sizeless: bool
    spatial: bool

    def __init__(
        self,
        name: str,
        family: str,
        kind: str,
        arity: int,
        result: Callable[..., Any],
        params: tuple[str, ...] = (),
        *,
        multiple: bool = False,
        grad_name: str | None = None,
        target: int | None = None,
        properties: str = "",
        order: Callable[..., Any] | None = None,
    ) -> None:
        if name in _REGISTRY:
            raise ValueError(f"primitive {name} is defined twice")
        if kind not in KINDS:
            raise ValueError(f"primitive {name}: unknown kind {kind}")
        self.name = name
        self.family = family
        self.kind = kind
        self.arity = arity
        self.params = params
        self.result = result
        self.multiple = multiple
        self.target = target
        self._set_properties(set(properties.split()))
        self.order = order
        # Parameters that are sizes or strides, by place: a recording of other sizes has others.
        self.sized = tuple([place for place, p in enumerate(params) if p in SIZE_PARAMETERS])
        # Operands, where there are one or two and one result: their way is the hot path.
        self._direct = arity if arity in (1, 2) and not multiple else 0
        camel = "".join(part.capitalize() for part in name.split("_"))
        self.grad_name = (grad_name or camel) + "Backward0"
        # Filled by the rule tables of the levels above; None until their modules are imported.
        self.vjp: Any = None
        self.jvp: Any = None
        self.batching: Any = None
        self.reference: Any = None
        self.lowering: Any = None
        _REGISTRY[name] = self

    def _set_properties(self, given: set[str]) -> None:
        unknown = given - PROPERTIES.keys()
        if unknown:
            raise ValueError(f"primitive {self.name}: unknown properties {sorted(unknown)}")
        if self.kind in _SIZELESS:
            given.add("sizeless")
        for name in PROPERTIES:
            setattr(self, name, name in given)

    @hot
    def __call__(self, x, *rest):
        direct = self._direct
        if direct == 1:
            return x._apply1(self, x, rest)
        if direct == 2:
            return x._apply2(self, x, rest[0], rest[1:])
        arity = self.arity
        if arity == VARIADIC:
            operands = tuple(x)
            return operands[0]._apply(self, operands, rest)
        return x._apply(self, (x, *rest[: arity - 1]), rest[arity - 1 :])

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self):
        return (primitive_by_name, (self.name,))


def primitive_by_name(name: str) -> Primitive:
    """The primitive called `name`."""
    return _REGISTRY[name]


def all_primitives() -> Iterator[Primitive]:
    """Every primitive, in order of definition."""
    return iter(_REGISTRY.values())


def of_family(family: str) -> list[Primitive]:
    """The primitives of one family's file, in order of definition."""
    return [primitive for primitive in _REGISTRY.values() if primitive.family == family]


class RuleTable:
    """One concern: exactly one row for each primitive, in the file of the primitive's family.

    `concern` is the folder's name and the attribute of Primitive that a row is stored in.
    """

    def __init__(self, concern: str) -> None:
        self.concern = concern
        self.rows: dict[str, Any] = {}

    def define(self, primitive: Primitive, row: Any, module: str) -> None:
        """Add a row.  Raises: ValueError for a second row or one in another family's file."""
        family = module.rpartition(".")[2]
        if primitive.name in self.rows:
            raise ValueError(f"{self.concern}: primitive {primitive} has a second row in {family}")
        if family != primitive.family:
            raise ValueError(
                f"{self.concern}: the row for primitive {primitive} belongs in "
                f"{self.concern}/{primitive.family}.py, not in {family}.py"
            )
        self.rows[primitive.name] = row
        setattr(primitive, self.concern, row)

    def missing(self) -> list[str]:
        """One sentence for each primitive without a row, naming the file to edit."""
        return [
            f"{self.concern}/{p.family}.py has no rule for primitive {p}"
            for p in all_primitives()
            if p.name not in self.rows
        ]
