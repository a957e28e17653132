"""Proxy: a value that is not there; every operation on it becomes a node.  Level 12."""

from __future__ import annotations

import ast
import operator
import traceback
from collections.abc import Iterator
from typing import Any

from rushlight.fx.graph import Graph
from rushlight.fx.node import BaseArgumentTypes, Node
from rushlight.fx.writing import BINARY, INPLACE
from rushlight.overrides import is_tensor_method_or_property
from rushlight.overrides.interception import watch_unless_watched
from rushlight.tensor.tensor import Tensor

__all__ = [
    "Attribute",
    "GraphAppendingTracer",
    "ParameterProxy",
    "Proxy",
    "TraceError",
    "TracerBase",
]

_NODE_FOLDER = __file__.rpartition("/")[0]
_STATEMENT_LINES = 20


class TraceError(ValueError):
    """What depends on a value that is not there."""


class TracerBase:
    """How operations become nodes; `Tracer` says how modules do.

    graph: where they go.
    """

    graph: Graph
    record_stack_traces = False
    check_mutable_operations = False
    trace_asserts = False
    proxy_buffer_attributes = False
    traced_func_name = "forward"

    def create_node(
        self, kind: str, target: Any, args: tuple, kwargs: dict[str, Any], name: Any = None,
        type_expr: Any = None,
    ) -> Node:  # fmt: skip
        """A node at the end of the graph."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> Proxy:
        """The value that a node gives."""
        return Proxy(node, self)

    def create_proxy(
        self, kind: str, target: Any, args: tuple, kwargs: dict[str, Any], name: Any = None,
        type_expr: Any = None, proxy_factory_fn: Any = None,
    ) -> Any:  # fmt: skip
        """A node from values among which are proxies, as a proxy."""
        node = self.create_node(
            kind, target, self.create_arg(args), self.create_arg(kwargs), name, type_expr
        )
        return self.proxy(node) if proxy_factory_fn is None else proxy_factory_fn(node)

    def create_arg(self, a: Any) -> Any:
        """A value as a node's argument.  Raises: NotImplementedError for what cannot be one."""
        if isinstance(a, Proxy):
            return a.node
        if isinstance(a, tuple):
            made = [self.create_arg(x) for x in a]
            return type(a)(*made) if hasattr(a, "_fields") else type(a)(made)
        if isinstance(a, list):
            return [self.create_arg(x) for x in a]
        if isinstance(a, dict):
            for key in a:
                if isinstance(key, Proxy):
                    raise RuntimeError("Keys for dictionaries used as an argument cannot contain a"
                                       f" Node. Got key: {key}")  # fmt: skip
            return {key: self.create_arg(x) for key, x in a.items()}
        if isinstance(a, slice):
            return slice(*(self.create_arg(x) for x in (a.start, a.stop, a.step)))
        if isinstance(a, range):
            return range(*(self.create_arg(x) for x in (a.start, a.stop, a.step)))
        if a is None or a is ... or isinstance(a, (*BaseArgumentTypes, type)) or callable(a):
            return a
        raise NotImplementedError(f"argument of type: {type(a)}")

    def to_bool(self, obj: Proxy) -> bool:
        """Raises: TraceError."""
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def iter(self, obj: Any) -> Iterator[Any]:
        """The parts of a value that is unpacked into names.  Raises: TraceError for a loop."""
        count = _names_on_the_left()
        if count is None:
            raise TraceError(
                "Proxy object cannot be iterated. This can be attempted when the Proxy is used in a"
                " loop or as a *args or **kwargs function argument: its length is not known while"
                " tracing; index it, or unpack it into names"
            )
        return iter([obj[place] for place in range(count)])

    def keys(self, obj: Proxy) -> Any:
        """What `**obj` asks for."""
        return Attribute(obj, "keys")()


def _names_on_the_left() -> int | None:
    """Into how many names the program's innermost statement unpacks, as its source says."""
    for frame in reversed(traceback.extract_stack()):
        if frame.filename.startswith(_NODE_FOLDER) or frame.line is None or frame.lineno is None:
            continue
        lines = traceback.linecache.getlines(frame.filename)  # type: ignore[attr-defined]
        return _unpacked(lines[frame.lineno - 1 : frame.lineno - 1 + _STATEMENT_LINES])
    return None


def _unpacked(lines: list[str]) -> int | None:
    """The number of names of the tuple that the first statement in these lines assigns to."""
    for count in range(1, len(lines) + 1):
        text = "".join(lines[:count])
        try:
            tree = ast.parse(_dedented(text))
        except SyntaxError:
            continue
        if not tree.body or not isinstance(tree.body[0], ast.Assign):
            return None
        target = tree.body[0].targets[0]
        if not isinstance(target, (ast.Tuple, ast.List)):
            return None
        if any(isinstance(part, ast.Starred) for part in target.elts):
            return None
        return len(target.elts)
    return None


def _dedented(text: str) -> str:
    width = len(text) - len(text.lstrip())
    return "\n".join(line[width:] if line[:width].isspace() else line for line in text.split("\n"))


class GraphAppendingTracer(TracerBase):
    """A tracer of proxies that were made by hand."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph


class Proxy:
    """The value of a node; what is done to it is recorded.

    Attributes, methods, operators and PyTorch's functions give further proxies.  Its length, its
    truth and its numbers are not known.
    """

    def __init__(self, node: Node, tracer: TracerBase | None = None) -> None:
        self.tracer = GraphAppendingTracer(node.graph) if tracer is None else tracer
        self.node = node
        # Tracing watches all calls until it ends; a proxy that a program makes itself may meet one
        # at any time.
        watch_unless_watched()

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, name: str) -> Attribute:
        if name in ("__array__", "__array_interface__", "__index__", "__float__"):
            raise AttributeError(name)
        return Attribute(self, name)

    def __getstate__(self) -> Any:
        return self.__dict__

    def __deepcopy__(self, memo: Any) -> Proxy:
        return Proxy(self.node, self.tracer)

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Iterator[Any]:
        return self.tracer.iter(self)

    def __bool__(self) -> bool:
        return self.tracer.to_bool(self)

    def keys(self) -> Any:
        """What `**proxy` asks for."""
        return self.tracer.keys(self)

    def __len__(self) -> int:
        raise RuntimeError(
            "'len' is not supported in symbolic tracing by default. If you want this call to be"
            " recorded, please call torch.fx.wrap('len') at module scope"
        )

    def __contains__(self, value: Any) -> bool:
        raise TraceError("'in' is not known for a value that is not there; index or compare it")

    @classmethod
    def __torch_function__(
        cls, orig_method: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tracer = next(_tracers((*args, *kwargs.values())))
        name = getattr(orig_method, "__name__", "")
        if name == "einsum" and len(args) == 2 and isinstance(args[1], (list, tuple)):
            args = (args[0], *args[1])  # as einsum itself takes a list of operands apart
        if args and isinstance(args[0], Tensor) and is_tensor_method_or_property(orig_method):
            if name != "__get__":
                return tracer.create_proxy("call_method", name, args, kwargs)
        return tracer.create_proxy("call_function", orig_method, args, kwargs)


def _tracers(values: Any) -> Iterator[TracerBase]:
    for value in values:
        if isinstance(value, Proxy):
            yield value.tracer
        elif isinstance(value, (list, tuple)):
            yield from _tracers(value)
        elif isinstance(value, dict):
            yield from _tracers(value.values())


class Attribute(Proxy):
    """An attribute of a value: a node when it is used, a method's name when it is called."""

    def __init__(self, root: Proxy, attr: str) -> None:
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]
        """The node of the attribute, made at the first use."""
        if self._node is None:
            self._node = self.tracer.create_proxy(
                "call_function", getattr, (self.root, self.attr), {}
            ).node
        return self._node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


class ParameterProxy(Proxy):
    """A parameter: its shape is known."""

    def __init__(self, tracer: TracerBase, node: Node, name: str, param: Tensor) -> None:
        super().__init__(node, tracer)
        self.param, self.name = param, name

    @property
    def shape(self) -> Any:
        """The parameter's shape."""
        return self.param.shape

    def size(self, *args: Any) -> Any:
        """The parameter's shape, or one size."""
        return self.param.size(*args)

    def dim(self) -> int:
        """The number of axes."""
        return self.param.dim()

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.param.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.param.numel()


def _operator(name: str) -> Any:
    target = getattr(operator, name)

    def apply(self: Proxy, *args: Any) -> Any:
        return self.tracer.create_proxy("call_function", target, (self, *args), {})

    return apply


def _reflected(name: str) -> Any:
    target = getattr(operator, name)

    def apply(self: Proxy, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", target, (other, self), {})

    return apply


for _name in (*BINARY, *INPLACE):
    _plain = _name.rstrip("_")
    setattr(Proxy, f"__{_plain}__", _operator(_name))
for _name in ("add", "sub", "mul", "floordiv", "truediv", "mod", "lshift", "rshift", "and_", "or_",
              "xor", "matmul", "pow"):  # fmt: skip
    setattr(Proxy, f"__r{_name.rstrip('_')}__", _reflected(_name))
Proxy.__hash__ = object.__hash__  # type: ignore[method-assign]
setattr(Proxy, "__abs__", lambda self: self.tracer.create_proxy("call_function", abs, (self,), {}))  # noqa: B010
