"""Building a graph of ONNX from a recorded one.

In: a `fx.recording.Recording`.  Out: nodes and initializers of the `onnx` package, which the caller
hands in: it is an extra, loaded only here.  Values are names; a rule (`rules`) adds nodes for one
recorded function and returns the name, or names, of what it gives.  Level: onnx (12).
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base.dtypes import DType, widen
from rushlight.fx.node import Node
from rushlight.fx.recording import Recording, called_name
from rushlight.ops.creation import value_of
from rushlight.overrides.interception import python_form
from rushlight.tensor.tensor import Tensor

OPSET = 18
_TYPES = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9,
    "float16": 10, "float64": 11, "uint32": 12, "uint64": 13, "complex64": 14, "complex128": 15,
    "bfloat16": 16,
}  # fmt: skip


class OnnxExporterError(RuntimeError):
    """A model cannot be written as ONNX."""


class UnsupportedOperatorError(OnnxExporterError):
    """A model calls a function that has no form in ONNX here."""


def element_type(dtype: DType) -> int:
    """ONNX's number of a dtype.  Raises: OnnxExporterError for dtypes that it lacks."""
    if dtype.name not in _TYPES:
        raise OnnxExporterError(f"onnx.export: ONNX has no element type for {dtype}")
    return _TYPES[dtype.name]


class Value:
    """One value of the graph: its name in ONNX, shape and dtype."""

    __slots__ = ("name", "shape", "dtype")

    def __init__(self, name: str, shape: tuple, dtype: DType) -> None:
        self.name, self.shape, self.dtype = name, shape, dtype


# Functions of (builder, arguments by their names, the recorded node) that give names.
RULES: dict[str, Callable[[Builder, dict[str, Any], Node], Any]] = {}


def rule(*names: str) -> Callable[[Callable], Callable]:
    """Decorator: the function writes the recorded functions of these names."""

    def attach(function: Callable) -> Callable:
        for name in names:
            RULES[name] = function
        return function

    return attach


class Builder:
    """nodes, initializers: of the graph, in order.

    varying: numbers in the recording that stand for a dynamic size, by (node, place): see
        `dynamic.py`.
    """

    def __init__(self, onnx: Any, recording: Recording, names: dict[str, str]) -> None:
        self.onnx = onnx
        self.recording = recording
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.values: dict[Node, Any] = {}
        self.names = names
        self.taken: set[str] = set(names.values())
        self.sizes: dict[int, str] = {}
        self.dynamic: Any = None

    # ---- names and constants -------------------------------------------------------------------

    def fresh(self, stem: str) -> str:
        """A name that nothing has yet."""
        name, number = stem, 0
        while name in self.taken:
            number += 1
            name = f"{stem}_{number}"
        self.taken.add(name)
        return name

    def array(self, values: Any, dtype: Any = None, stem: str = "constant") -> str:
        """An initializer."""
        array = np.asarray(values, dtype)
        name = self.fresh(stem)
        self.initializers.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(
            array).reshape(array.shape), name))  # fmt: skip
        return name

    def tensor(self, tensor: Tensor, name: str) -> str:
        """A parameter or constant as an initializer under its own name."""
        if tensor.dtype.name == "bfloat16":
            raise OnnxExporterError("onnx.export: bfloat16 parameters are not written; use float()")
        return self.array(widen(value_of(tensor), tensor.dtype), stem=name)

    def number(self, value: Any, dtype: DType) -> str:
        """A number as a tensor without axes."""
        return self.array(np.array(value, dtype.numpy))

    def ints(self, values: Any) -> str:
        """A list of sizes, some of which may be dynamic, as a 1-D tensor."""
        listed = [values] if not isinstance(values, (list, tuple)) else list(values)
        if not any(isinstance(v, Size) for v in listed):
            return self.array([int(v) for v in listed], np.int64)
        parts = [
            self.size(v) if isinstance(v, Size) else self.array([int(v)], np.int64) for v in listed
        ]
        return self.add("Concat", *parts, axis=0)

    def size(self, size: Size) -> str:
        """A dynamic size as a 1-D tensor of one element."""
        found = "" if size.factor == 1 else self.array([size.factor], np.int64)
        for name, axis in size.axes:
            shape = self.add("Shape", name)
            one = self.add("Gather", shape, self.array([axis], np.int64), axis=0)
            found = self.add("Mul", found, one) if found else one
        return found

    # ---- nodes ---------------------------------------------------------------------------------

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """A node; the name of its output, or a list of them."""
        made = [self.fresh(kind.lower()) for _ in range(outputs)]
        given = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), made, **given))
        return made[0] if outputs == 1 else made

    def name_of(self, value: Any, dtype: DType | None = None) -> str:
        """The name of a node's value or of a number; cast if `dtype` is another one."""
        if isinstance(value, Node):
            found = self.values[value]
            own = value.meta.get("dtype")
            if dtype is not None and own is not None and own is not dtype:
                return self.add("Cast", found, to=element_type(dtype))
            return found
        if dtype is None:
            raise OnnxExporterError(f"onnx.export: a number {value!r} needs a dtype")
        return self.number(value, dtype)

    def write(self) -> None:
        """Write every node of the recording."""
        for node in self.recording.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = self.names[node.name]
            elif node.op == "get_attr":
                self.values[node] = self.tensor(self.recording.values[node.target], node.target)
            elif node.op == "call_function":
                self.values[node] = self._call(node)

    def _call(self, node: Node) -> Any:
        if node.target is operator.getitem:
            return self.values[node.args[0]][node.args[1]]
        if node.target is getattr:
            name: Any = node.args[1]
            given: dict[str, Any] = {"input": node.args[0]}
        else:
            name = plain_name(node)
            given = self._bound(node)
        found = RULES.get(name)
        if found is None:
            raise UnsupportedOperatorError(
                f"onnx.export: {name} has no form in ONNX here; replace it in the model, or "
                "register a rule with rushlight.onnx.building.rule"
            )
        return found(self, given, node)

    def _bound(self, node: Node) -> dict[str, Any]:
        function = python_form(node.target) or node.target
        named = {k: v for k, v in node.kwargs.items() if k not in ("inplace", "out")}
        signature, args = inspect.signature(function), node.args
        kinds = {p.kind for p in signature.parameters.values()}
        several = inspect.Parameter.VAR_POSITIONAL in kinds
        if len(args) > len(signature.parameters) and not several and isinstance(args[-1], bool):
            args = args[:-1]  # `inplace`, which stands last
        if self.dynamic is not None:
            args, named = self.dynamic.replaced(node, args, named)
        bound = signature.bind(*args, **named)
        bound.apply_defaults()
        given = dict(bound.arguments)
        given.setdefault("input", next(iter(given.values()), None))
        return given


class Size:
    """A size that is known when the model runs: a factor times sizes of inputs.

    axes: (input's name, axis) pairs.  value: in the example.
    """

    def __init__(self, value: int, factor: int, axes: tuple) -> None:
        self.value, self.factor, self.axes = value, factor, axes

    def __index__(self) -> int:
        return self.value

    def __int__(self) -> int:
        return self.value


def plain_name(node: Node) -> str:
    """PyTorch's name of a recorded function."""
    name = called_name(node.target)
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]  # what it writes over is not seen in a graph of values
    return name


def shape_of(value: Any) -> tuple:
    """The shape of a node's value in the example; () for numbers."""
    return value.meta["shape"] if isinstance(value, Node) else ()


def dtype_of(value: Any) -> Any:
    """The dtype of a node's value."""
    return value.meta["dtype"] if isinstance(value, Node) else None


def listed(value: Any, count: int) -> list:
    """A size for each axis."""
    return list(value) if isinstance(value, (list, tuple)) else [value] * count
