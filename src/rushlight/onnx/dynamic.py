"""Sizes that vary: which numbers of a recording stand for them.

In: recordings of one call with several sizes of an axis.  Out: for each number in the first one
that changed with it, a `Size`: a factor times the sizes of the axes that it follows.
Level: onnx (12).
"""

from __future__ import annotations

from typing import Any

from rushlight.fx.node import Node
from rushlight.fx.recording import Recording
from rushlight.onnx.building import OnnxExporterError, Size


class Sizes:
    """variants: (input's name, axis, size in the first recording, size in the other, nodes)."""

    def __init__(self, first: Recording, variants: list[tuple]) -> None:
        self.first = list(first.graph.nodes)
        self.places = {node: place for place, node in enumerate(self.first)}
        self.variants = variants
        for *_, nodes in variants:
            if len(nodes) != len(self.first):
                raise OnnxExporterError(
                    "onnx.export: the model does something else for other sizes of its dynamic "
                    "axes; export it without them"
                )

    def varies(self, node: Node, axis: int) -> bool:
        """Whether the size of an axis of a value follows a dynamic one."""
        sizes = {variant[4][self.places[node]].meta["shape"][axis] for variant in self.variants}
        return sizes != {node.meta["shape"][axis]}

    def replaced(self, node: Node, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """The arguments with sizes in the place of numbers that follow an axis."""
        others = [variant[4][self.places[node]] for variant in self.variants]
        given = [(other.args, other.kwargs) for other in others]
        return (
            self._value(args, [g[0][: len(args)] for g in given]),
            self._value(kwargs, [{k: g[1].get(k) for k in kwargs} for g in given]),
        )

    def _value(self, value: Any, others: list) -> Any:
        if isinstance(value, (list, tuple)):
            parts = [
                self._value(part, [other[i] for other in others]) for i, part in enumerate(value)
            ]
            return tuple(parts) if isinstance(value, tuple) else parts
        if isinstance(value, dict):
            return {k: self._value(v, [other[k] for other in others]) for k, v in value.items()}
        if type(value) is not int or all(value == other for other in others):
            return value
        factor, axes = value, []
        for (name, axis, size, changed, _), other in zip(self.variants, others):
            if other == value:
                continue
            if value % size or other != value // size * changed or factor % size:
                raise OnnxExporterError(
                    f"onnx.export: a number in the model is {value} where axis {axis} of {name} "
                    f"has {size} elements and {other} where it has {changed}; only multiples of "
                    "dynamic sizes can be written"
                )
            factor //= size
            axes.append((name, axis))
        return Size(value, factor, tuple(axes))
