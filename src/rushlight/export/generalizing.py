"""One graph for many sizes: the call is recorded with other sizes, and numbers that follow them
become expressions.

In: a module, example arguments and what is said of their sizes.  Out: the example's recording, in
which numbers that changed are computed from the inputs' sizes.  A graph that is another for other
sizes (a branch on one) cannot be one graph, and raises.  Level: export (12).
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Iterator
from typing import Any

from rushlight._dynamo.exc import UserError
from rushlight.export.dynamic_shapes import (
    Dim,
    DimHint,
    Expression,
    ShapesCollection,
    Symbol,
    Term,
    ValueRange,
    said_of,
    solved,
)
from rushlight.fx.graph import Graph
from rushlight.fx.node import Node
from rushlight.fx.recording import Recording, argument_names, record, tensors_in
from rushlight.nn.modules.module import Module
from rushlight.ops.ranges import arange
from rushlight.tensor.tensor import Tensor

# How far other sizes are from the example's; chosen so that sizes are no multiples of each other.
_STEPS = (1, 2, 3, 5)

Shape = tuple[Any, ...]


class Sizes:
    """What a program knows of its inputs' sizes.

    axes: for each input, by axis, the term that its size is.  ranges: of the symbols.
    """

    def __init__(self, axes: list[dict[int, Term]], ranges: dict[Symbol, ValueRange]) -> None:
        self.axes, self.ranges = axes, ranges


class _Specialized(Exception):
    """A symbol that cannot change; the message says why."""

    def __init__(self, symbol: Symbol, why: str) -> None:
        super().__init__(why)
        self.symbol = symbol


def generalize(
    module: Module, args: tuple, kwargs: dict[str, Any], dynamic_shapes: Any
) -> tuple[Recording, Sizes]:
    """The recording of a call, and the sizes its inputs may have.

    Raises: UserError for a description that does not fit the inputs, or does not hold.
    """
    names = argument_names(module, len(args))
    if isinstance(dynamic_shapes, ShapesCollection):
        by_tensor = dynamic_shapes.dynamic_shapes(module, args, kwargs)
        tensors = tensors_in((args, kwargs))
        said = said_of({f"input_{i}": x for i, x in enumerate(tensors)}, by_tensor, UserError)
    else:
        said = said_of({**dict(zip(names, args)), **kwargs}, dynamic_shapes, UserError)
    while True:
        sizes = _symbols(said, tensors_in((args, kwargs)))
        try:
            return _recorded(module, args, kwargs, sizes), sizes
        except _Specialized as found:
            if found.symbol.required:
                raise UserError(
                    f"Constraints violated ({found.symbol.label})! You marked"
                    f" {found.symbol.label} as dynamic, but the code works for the example's size"
                    f" alone: {found}. Leave it static, or say Dim.AUTO"
                ) from None
            # What may change if it can cannot: the same again without it.
            said = [_without(found.symbol, place, axes) for place, axes in enumerate(said)]


def _label(place: int, axis: int) -> str:
    return f"input {place}, axis {axis}"


def _without(symbol: Symbol, place: int, axes: dict[int, Any]) -> dict[int, Any]:
    return {axis: one for axis, one in axes.items() if _label(place, axis) != symbol.label}


def _symbols(said: list[dict[int, Any]], tensors: list[Tensor]) -> Sizes:
    roots: dict[str, Symbol] = {}
    ranges: dict[Symbol, ValueRange] = {}
    examples: dict[Symbol, int] = {}
    axes: list[dict[int, Term]] = []
    for place, (described, tensor) in enumerate(zip(said, tensors)):
        here: dict[int, Term] = {}
        for axis, one in described.items():
            size = tensor.shape[axis]
            if isinstance(one, DimHint):
                required = one.kind == "DYNAMIC"
                symbol = Symbol(f"s{len(ranges)}", _label(place, axis), required)
                upper = math.inf if one.max is None else one.max
                ranges[symbol] = ValueRange(2 if one.min is None else one.min, upper)
                here[axis], example = Term(symbol), size
            else:
                root = one.root
                symbol = roots.setdefault(root.__name__, Symbol(f"s{len(ranges)}", root.__name__))
                ranges[symbol] = ValueRange(root.min, root.max)
                here[axis] = Term(symbol, one.factor, one.offset)
                example = _root_of(one, size)
            if examples.setdefault(symbol, example) != example:
                raise UserError(
                    f"Constraints violated ({symbol.label})! It is {examples[symbol]} for one input"
                    f" and {example} for another"
                )
            bounds = ranges[symbol]
            if not bounds.lower <= example <= bounds.upper:
                raise UserError(
                    f"Constraints violated ({symbol.label})! The example's is {example}, which is"
                    f" not in {bounds}"
                )
        axes.append(here)
    return Sizes(axes, ranges)


def _root_of(dim: Dim, size: int) -> int:
    root, rest = divmod(size - dim.offset, dim.factor)
    if rest:
        raise UserError(
            f"Constraints violated ({dim.__name__})! No {dim.root.__name__} makes it {size}"
        )
    return root


# ---- recording with other sizes ------------------------------------------------------------------


def _points(sizes: Sizes, base: dict[Symbol, int]) -> list[dict[Symbol, int]]:
    """The example's sizes, others of each symbol, and others of all of them."""

    def others(symbol: Symbol) -> list[int]:
        bounds, here = sizes.ranges[symbol], base[symbol]
        wanted = [here + step for step in _STEPS] + [here - step for step in _STEPS]
        # Sizes of 0 and 1 are broadcast: what holds for them does not for others.
        found = [n for n in wanted if max(bounds.lower, 2) <= n <= bounds.upper]
        if not found:
            raise _Specialized(symbol, f"its bounds {bounds} leave no other size to try")
        return found[: len(_STEPS)]

    changed = {symbol: others(symbol) for symbol in base}
    points = [dict(base)]
    for symbol, values in changed.items():
        points += [{**base, symbol: value} for value in values]
    points.append({symbol: values[-1] for symbol, values in changed.items()})
    return points


def _resized(tensor: Tensor, axes: dict[int, Term], point: dict[Symbol, int]) -> Tensor:
    """The tensor with other sizes; its values are repeated, so that indices stay indices."""
    for axis, term in axes.items():
        size = term.at(point[term.symbol])
        if size != tensor.shape[axis]:
            rows = arange(size) % max(tensor.shape[axis], 1)
            tensor = tensor.index_select(axis, rows)  # type: ignore[attr-defined]
    return tensor


def _with_tensors(value: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, dict):
        return {key: _with_tensors(part, tensors) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_with_tensors(part, tensors) for part in value)
    return value


def _recorded(module: Module, args: tuple, kwargs: dict[str, Any], sizes: Sizes) -> Recording:
    tensors = tensors_in((args, kwargs))
    base: dict[Symbol, int] = {}
    for tensor, axes in zip(tensors, sizes.axes):
        for axis, term in axes.items():
            found = term.inverse(tensor.shape[axis])
            assert found is not None
            base[term.symbol] = found
    points = _points(sizes, base) if base else [{}]
    recordings = []
    for point in points:
        made = iter([_resized(x, axes, point) for x, axes in zip(tensors, sizes.axes)])
        again, named = _with_tensors(args, made), _with_tensors(kwargs, made)
        with _blaming(point, base):
            recordings.append(record(module, again, named, making=bool(base)))
    _Comparison(recordings, points, sizes).finish()
    return recordings[0]


@contextlib.contextmanager
def _blaming(point: dict[Symbol, int], base: dict[Symbol, int]) -> Iterator[None]:
    """An error of a call with other sizes is the fault of the symbol that changed."""
    try:
        yield
    except Exception as error:
        changed = [symbol for symbol in base if point[symbol] != base[symbol]]
        if not changed:
            raise
        # With all of them changed, those that may stay as they are go first.
        blamed = sorted(changed, key=lambda symbol: symbol.required)[0]
        raise _Specialized(blamed, f"with {point[blamed]} it raises {error}") from error


class _Comparison:
    """Recordings of one call with other sizes, node by node.

    After `finish` the first one's numbers that changed are nodes that compute them.
    """

    def __init__(
        self, recordings: list[Recording], points: list[dict[Symbol, int]], sizes: Sizes
    ) -> None:
        self.graph: Graph = recordings[0].graph
        self.columns = [list(r.graph.nodes) for r in recordings]
        self.points, self.sizes = points, sizes
        self.made: dict[Any, Node] = {}
        self.inputs = [node for node in self.columns[0] if node.op == "placeholder"]

    def _changed(self, index: int) -> Symbol:
        """The symbol by which a recording differs from the example's."""
        base = self.points[0]
        changed = [s for s in base if self.points[index][s] != base[s]]
        return sorted(changed, key=lambda symbol: symbol.required)[0]

    def finish(self) -> None:
        first = self.columns[0]
        for index, nodes in enumerate(self.columns[1:], 1):
            same = len(nodes) == len(first) and all(
                (a.op, a.target) == (b.op, b.target) or a.op == "get_attr"
                for a, b in zip(first, nodes)
            )
            if not same:
                symbol = self._changed(index)
                raise _Specialized(
                    symbol, f"with {self.points[index][symbol]} it calls other functions"
                )
        found: list[tuple[Node, Any, Any]] = []
        for row in zip(*self.columns):
            if row[0].op in ("call_function", "output"):
                args = self._merged([node.args for node in row], row[0])
                kwargs = self._merged([dict(node.kwargs) for node in row], row[0])
                found.append((row[0], args, kwargs))
        for node, args, kwargs in found:
            with self.graph.inserting_before(node):
                node.args = self._as_nodes(args)
                node.kwargs = self._as_nodes(kwargs)

    def _merged(self, values: list[Any], node: Node) -> Any:
        """The values of one argument in all recordings as one, with expressions in it."""
        first = values[0]
        if isinstance(first, Node):
            return first
        if isinstance(first, dict) and all(v.keys() == first.keys() for v in values):
            return {key: self._merged([v[key] for v in values], node) for key in first}
        if isinstance(first, (tuple, list)) and all(len(v) == len(first) for v in values):
            return type(first)(self._merged(list(parts), node) for parts in zip(*values))
        if isinstance(first, slice):
            fields = ([v.start, v.stop, v.step] for v in values)
            return slice(*[self._merged(list(parts), node) for parts in zip(*fields)])
        if all(type(v) is type(first) and v == first for v in values):
            return first
        if all(type(v) is int for v in values):
            expression = solved(values, self.points)
            if expression is not None:
                return expression
        index = next(i for i, v in enumerate(values) if v != first)
        symbol = self._changed(index)
        raise _Specialized(
            symbol,
            f"in {getattr(node.target, '__name__', node.op)} {first!r} becomes {values[index]!r}"
            f" with {self.points[index][symbol]}, which no simple rule gives",
        )

    def _as_nodes(self, value: Any) -> Any:
        if isinstance(value, Expression):
            return self._computed(value)
        if isinstance(value, dict):
            return {key: self._as_nodes(part) for key, part in value.items()}
        if isinstance(value, (tuple, list)):
            return type(value)(self._as_nodes(part) for part in value)
        if isinstance(value, slice):
            return slice(*[self._as_nodes(x) for x in (value.start, value.stop, value.step)])
        return value

    def _computed(self, expression: Expression) -> Node:
        first, *others = [self._term(term) for term in expression.terms]
        function = operator.mul if expression.product else operator.add
        for node in others:
            first = self._step(function, first, node)
        return first

    def _term(self, term: Term) -> Node:
        value = self._size(term.symbol)
        if term.factor != 1:
            value = self._step(operator.mul, value, term.factor)
        if term.offset:
            value = self._step(operator.add, value, term.offset)
        if term.divisor != 1:
            value = self._step(operator.floordiv, value, term.divisor)
        return value

    def _size(self, symbol: Symbol) -> Node:
        """The node that reads a symbol from the input that has it."""
        known = self.made.get(symbol)
        if known is not None:
            return known
        candidates = [
            (term.factor, abs(term.offset), place, axis)
            for place, axes in enumerate(self.sizes.axes)
            for axis, term in axes.items()
            if term.symbol == symbol
        ]
        _, _, place, axis = min(candidates)
        term = self.sizes.axes[place][axis]
        with self.graph.inserting_after(self.inputs[-1]):
            size = self.graph.call_function(Tensor.size, (self.inputs[place], axis))
        if term.offset or term.factor != 1:
            with self.graph.inserting_after(size):
                less = self.graph.call_function(operator.add, (size, -term.offset))
            with self.graph.inserting_after(less):
                size = self.graph.call_function(operator.floordiv, (less, term.factor))
        self.made[symbol] = size
        return size

    def _step(self, function: Any, *operands: Any) -> Node:
        key = (function, *operands)
        if key not in self.made:
            self.made[key] = self.graph.call_function(function, operands)
        return self.made[key]
