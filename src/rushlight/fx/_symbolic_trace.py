"""Tracing: a module or function runs once with proxies, and what it does is a graph.  Level 12."""

from __future__ import annotations

import builtins
import contextlib
import inspect
import math
import sys
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from rushlight.fx.graph import Graph
from rushlight.fx.graph_module import GraphModule
from rushlight.fx.node import Node
from rushlight.fx.proxy import ParameterProxy, Proxy, TracerBase
from rushlight.nn.modules.container import Sequential
from rushlight.nn.modules.module import Module
from rushlight.overrides.interception import leave, watch
from rushlight.tensor.tensor import Tensor

__all__ = ["Tracer", "is_fx_symbolic_tracing", "is_fx_tracing", "symbolic_trace", "wrap"]

# (dictionary of a module, name): functions that are one node although Python could trace them.
_wrapped: list[tuple[dict[str, Any], str]] = []
_wrapped_functions: dict[Any, Any] = {}
_tracing = [0]


def is_fx_tracing() -> bool:
    """Whether something is being traced."""
    return _tracing[0] > 0


is_fx_symbolic_tracing = is_fx_tracing


def is_wrapped(function: Any) -> bool:
    """Whether a function was given to `wrap`."""
    return any(scope.get(name) is function for scope, name in _wrapped)


def wrap(fn_or_name: Any) -> Any:
    """Let a function of the calling module be one node: by name, or as a decorator.

    Raises: RuntimeError for something else, NotImplementedError within a function.
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or"
                           " string name")  # fmt: skip
    name = fn_or_name if isinstance(fn_or_name, str) else fn_or_name.__name__
    if callable(fn_or_name):
        scope = getattr(fn_or_name, "__globals__", None)
        if scope is None:
            scope = vars(sys.modules[fn_or_name.__module__])
    else:
        caller = inspect.currentframe()
        outer = None if caller is None else caller.f_back
        if outer is None or outer.f_code.co_name != "<module>":
            raise NotImplementedError("wrap must be called at the top level of a module")
        scope = outer.f_globals
    _wrapped.append((scope, name))
    return fn_or_name


class _Patches:
    """Names that mean something else while tracing, and mean the same again afterwards."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def attribute(self, owner: Any, name: str, value: Any) -> None:
        """Replace an attribute of a class or module."""
        before = vars(owner).get(name, self)
        setattr(owner, name, value)
        if before is self:
            self._undo.append(lambda: delattr(owner, name))
        else:
            self._undo.append(lambda: setattr(owner, name, before))

    def entry(self, scope: dict[str, Any], name: str, value: Any) -> None:
        """Replace a global name."""
        before = scope.get(name, self)
        scope[name] = value
        if before is self:
            self._undo.append(lambda: scope.pop(name, None))
        else:
            self._undo.append(lambda: scope.__setitem__(name, before))

    def undo(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()


def _proxy_in(values: Any) -> Proxy | None:
    for value in values:
        if isinstance(value, Proxy):
            return value
        if isinstance(value, (list, tuple)):
            found = _proxy_in(value)
            if found is not None:
                return found
        elif isinstance(value, dict):
            found = _proxy_in(value.values())
            if found is not None:
                return found
    return None


def _one_node(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is one node if a proxy is among its arguments."""

    def called(*args: Any, **kwargs: Any) -> Any:
        proxy = _proxy_in((*args, *kwargs.values()))
        if proxy is None:
            return function(*args, **kwargs)
        return proxy.tracer.create_proxy("call_function", function, args, kwargs)

    called.__wrapped__ = function  # type: ignore[attr-defined]
    return called


class Tracer(TracerBase):
    """Traces a module: its layers of `nn` become one node each, other modules are looked into.

    autowrap_modules: modules whose functions are one node each.
    autowrap_functions: further such functions.
    """

    def __init__(
        self,
        autowrap_modules: tuple[Any, ...] = (math,),
        autowrap_functions: tuple[Callable[..., Any], ...] = (),
        param_shapes_constant: bool = False,
    ) -> None:
        self._autowrap_functions = {
            id(value): value
            for module in autowrap_modules
            for name, value in vars(module).items()
            if not name.startswith("_") and callable(value)
        }
        self._autowrap_functions.update({id(f): f for f in autowrap_functions})
        self.param_shapes_constant = param_shapes_constant
        self.root: Any = None
        self.module_stack: dict[str, Any] = {}

    # ---- what subclasses decide -----------------------------------------------------------------

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        """Whether a module is one node: layers of `nn` but Sequential are."""
        is_layer = m.__module__.startswith(("rushlight.nn", "torch.nn"))
        return is_layer and not isinstance(m, Sequential)

    def path_of_module(self, mod: Module) -> str:
        """The name of a module within the root.  Raises: NameError if it is not in it."""
        found = self._paths.get(id(mod))
        if found is None:
            for name, module in self.root.named_modules(remove_duplicate=False):
                if module is mod:
                    return name
            raise NameError("module is not installed as a submodule")
        return found

    def call_module(
        self, m: Module, forward: Callable[..., Any], args: tuple, kwargs: dict[str, Any]
    ) -> Any:
        """A call of a submodule: one node, or whatever its `forward` does."""
        path = self.path_of_module(m)
        if self.is_leaf_module(m, path):
            return self.create_proxy("call_module", path, args, kwargs)
        return forward(*args, **kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """An attribute of a module: a parameter, if it is one of the root's."""
        if not isinstance(attr_val, Tensor):
            return attr_val
        path = self._parameter_paths.get(id(attr_val))
        if path is None and self.proxy_buffer_attributes:
            path = self._buffer_paths.get(id(attr_val))
        if path is None:
            return attr_val
        if path not in parameter_proxy_cache:
            factory = None
            if self.param_shapes_constant:
                factory = lambda node: ParameterProxy(self, node, path, attr_val)  # noqa: E731
            parameter_proxy_cache[path] = self.create_proxy(
                "get_attr", path, (), {}, proxy_factory_fn=factory
            )
        return parameter_proxy_cache[path]

    def get_fresh_qualname(self, prefix: str) -> str:
        """A name that the root does not have yet: `prefix0`, ..."""
        count = 0
        while hasattr(self.root, f"{prefix}{count}"):
            count += 1
        return f"{prefix}{count}"

    def create_arg(self, a: Any) -> Any:
        """As TracerBase; tensors become attributes of the root."""
        if isinstance(a, Tensor):
            return self._attribute_node(a)
        if isinstance(a, Module):
            for name, module in self.root.named_modules():
                if module is a:
                    return self.create_node("get_attr", name, (), {})
            name = self.get_fresh_qualname("_module_constant")
            setattr(self.root, name, a)
            return self.create_node("get_attr", name, (), {})
        return super().create_arg(a)

    def _attribute_node(self, a: Tensor) -> Node:
        for paths in (self._parameter_paths, self._buffer_paths, self._tensor_attributes):
            path = paths.get(id(a))
            if path is not None:
                return self.create_node("get_attr", path, (), {})
        name = self.get_fresh_qualname("_tensor_constant")
        self._tensor_attributes[id(a)] = name
        self._kept.append(a)
        setattr(self.root, name, a)
        return self.create_node("get_attr", name, (), {})

    # ---- tracing -------------------------------------------------------------------------

    def trace(
        self, root: Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None
    ) -> Graph:
        """The graph of a module or function.

        concrete_args: parameters with values, which are then not inputs of the graph.
        Raises: TraceError where the code asks for a value.
        """
        if isinstance(root, Module):
            self.root = root
            name = getattr(type(self), "traced_func_name", "forward")
            function = getattr(type(root), name)
        else:
            self.root = Module()
            function = root
        self.graph = Graph(owning_module=self.root, tracer_cls=type(self))
        self._collect_paths()
        called, positional, named = self._arguments(
            function, isinstance(root, Module), concrete_args or {}
        )
        patches = _Patches()
        watch()
        _tracing[0] += 1
        try:
            self._patch(patches, function)
            result = called(*positional, **named)
            kind = getattr(inspect.unwrap(function), "__annotations__", {}).get("return")
            kind = None if isinstance(kind, str) else kind
            self.create_node("output", "output", (self.create_arg(result),), {}, type_expr=kind)
        finally:
            _tracing[0] -= 1
            patches.undo()
            leave()
        return self.graph

    def _collect_paths(self) -> None:
        self._paths = {id(module): name for name, module in self.root.named_modules()}
        self._parameter_paths = {id(p): n for n, p in self.root.named_parameters()}
        self._buffer_paths = {id(b): n for n, b in self.root.named_buffers()}
        self._kept: list[Any] = []
        self._tensor_attributes: dict[int, str] = {}
        for prefix, module in self.root.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Tensor):
                    self._tensor_attributes[id(value)] = f"{prefix}.{name}" if prefix else name

    def _arguments(
        self, function: Callable[..., Any], is_method: bool, concrete: dict[str, Any]
    ) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
        """The function to call, and a placeholder for each of its parameters.

        `*args` and `**kwargs` are one value each: the function is called in a form in which they
        are ordinary parameters.
        """
        positional: list[Any] = [self.root] if is_method else []
        named: dict[str, Any] = {}
        parameters = list(inspect.signature(function).parameters.values())
        if is_method:
            del parameters[0]
        has_stars = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)
        order: dict[Any, int] = {
            inspect.Parameter.VAR_POSITIONAL: 1,
            inspect.Parameter.VAR_KEYWORD: 2,
        }
        for one in sorted(parameters, key=lambda q: order.get(q.kind, 0)):
            if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                star = "*" if one.kind is one.VAR_POSITIONAL else "**"
                value = self.create_proxy("placeholder", f"{star}{one.name}", (), {})
            elif one.name in concrete:
                value = concrete[one.name]
            else:
                value = self._placeholder(one)
            if one.kind is one.KEYWORD_ONLY and not has_stars:
                named[one.name] = value
            else:
                positional.append(value)
        return (_without_stars(function) if has_stars else function), positional, named

    def _placeholder(self, p: inspect.Parameter) -> Any:
        default = () if p.default is p.empty else (p.default,)
        kind = None if p.annotation is p.empty or isinstance(p.annotation, str) else p.annotation
        return self.create_proxy("placeholder", p.name, default, {}, type_expr=kind)

    def _patch(self, patches: _Patches, function: Callable[..., Any]) -> None:
        tracer = self
        call, find = Module.__call__, vars(Module).get("__getattr__") or Module.__getattr__
        cache: dict[str, Any] = {}

        def module_call(module: Module, *args: Any, **kwargs: Any) -> Any:
            def forward(*inner: Any, **named: Any) -> Any:
                return call(module, *inner, **named)

            return tracer.call_module(module, forward, args, kwargs)

        def module_getattr(module: Module, name: str) -> Any:
            return tracer.getattr(name, find(module, name), cache)

        patches.attribute(Module, "__getattr__", module_getattr)
        patches.attribute(Module, "__call__", module_call)
        for scope, name in _wrapped:
            original = scope.get(name, getattr(builtins, name, None))
            if original is not None and not hasattr(original, "__wrapped__"):
                patches.entry(scope, name, _one_node(original))
        scope = getattr(inspect.unwrap(function), "__globals__", {})
        for name, value in list(scope.items()):
            if id(value) in self._autowrap_functions and callable(value):
                patches.entry(scope, name, _one_node(value))
        for value in {id(v): v for v in scope.values() if v is math}.values():
            for name, inner in list(vars(value).items()):
                if id(inner) in self._autowrap_functions:
                    patches.attribute(value, name, _one_node(inner))


def _without_stars(function: Any) -> Callable[..., Any]:
    """A function whose `*args` and `**kwargs` are its last two positional parameters."""
    plain = inspect.unwrap(getattr(function, "__func__", function))
    code = plain.__code__
    stars = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    count = code.co_argcount + code.co_kwonlyargcount + stars
    flags = code.co_flags & ~(inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    changed = code.replace(co_argcount=count, co_kwonlyargcount=0, co_flags=flags)
    return FunctionType(changed, plain.__globals__, plain.__name__, None, plain.__closure__)


def symbolic_trace(
    root: Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None
) -> GraphModule:
    """A module or function as a GraphModule.  Raises: see `Tracer.trace`."""
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)


@contextlib.contextmanager
def _tracing_context() -> Iterator[None]:
    _tracing[0] += 1
    try:
        yield
    finally:
        _tracing[0] -= 1
