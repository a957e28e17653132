"""Scripted and traced modules and functions: what they wrap, under TorchScript's names.

A wrapper shares the parameters, buffers and submodules of the module it wraps, so that training
one trains the other, and calls its `forward`.  Level 12.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import io
import textwrap
import types
from collections.abc import Callable
from typing import Any

from rushlight.jit.annotations import Attribute, annotate
from rushlight.jit.compiler.concrete import ATTRIBUTE_TYPES
from rushlight.jit.compiler.unit import function_text, method_text
from rushlight.jit.syntax import check_scriptable
from rushlight.nn.modules.module import Module
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

__all__ = [
    "CompilationUnit",
    "RecursiveScriptModule",
    "ScriptFunction",
    "ScriptModule",
    "TopLevelTracedModule",
    "TracedModule",
    "freeze",
    "optimize_for_inference",
    "script",
    "script_if_tracing",
    "trace",
    "trace_module",
]


def source_of(function: Any) -> str:
    """The Python source of a function, or a line that says it has none."""
    try:
        return textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    except (OSError, TypeError):
        return f"def {getattr(function, '__name__', 'forward')}(*args):  # no source\n"


class Listing:
    """What a wrapper's `graph` shows: the Python code that runs."""

    def __init__(self, name: str, code: str) -> None:
        self.name, self.code = name, code

    def __str__(self) -> str:
        body = "".join(f"  # {line}\n" for line in self.code.splitlines())
        return f"graph({self.name}):\n{body}"

    def __repr__(self) -> str:
        return str(self)


class ScriptFunction:
    """A function as TorchScript knows it; calling it calls the Python function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        functools.update_wrapper(self, function)
        self._torchdynamo_inline = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    @property
    def name(self) -> str:
        """The name of the function."""
        return getattr(self._function, "__name__", "function")

    @property
    def qualified_name(self) -> str:
        """The name with its module, as TorchScript writes it."""
        return f"__torch__.{self.name}"

    @property
    def code(self) -> str:
        """The text of the function as an archive holds it; of a traced one the source that runs.

        Raises: RuntimeError for what TorchScript does not have.
        """
        if "_traced_with" in self.__dict__:
            return source_of(self._function)
        return function_text(self._function)

    @property
    def graph(self) -> Listing:
        """A listing of what runs."""
        return Listing(self.name, self.code)

    inlined_graph = graph

    def graph_for(self, *args: Any, **kwargs: Any) -> Listing:
        """The same for these arguments."""
        return self.graph

    def save(self, f: Any, **options: Any) -> None:
        """Write an archive; see `torch.jit.save`."""
        # Above this module: it needs what is defined here.
        importlib.import_module("rushlight.jit.files").save(self, f, **options)

    def get_debug_state(self) -> None:
        """State of an executor: there is none."""
        return None

    def __repr__(self) -> str:
        return f"<torch.jit.ScriptFunction {self.name}>"


class ScriptModule(Module):
    """Base of scripted modules; can be derived from, with methods marked `script_method`."""

    def __init__(self) -> None:
        super().__init__()

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Attribute):
            _keep_type(self, name, value)
            value = value.value
        super().__setattr__(name, value)

    @property
    def code(self) -> str:
        """The text of `forward` as an archive holds it.

        Raises: RuntimeError for what TorchScript does not have.
        """
        return method_text(self)

    @property
    def graph(self) -> Listing:
        """A listing of `forward`."""
        return Listing("forward", self.code)

    @property
    def inlined_graph(self) -> Listing:
        """A listing of `forward`."""
        return self.graph

    @property
    def original_name(self) -> str:
        """The name of the class that was scripted."""
        return type(self).__name__

    def save(self, f: Any, **options: Any) -> None:
        """Write an archive; see `torch.jit.save`."""
        # Above this module: it needs what is defined here.
        importlib.import_module("rushlight.jit.files").save(self, f, **options)

    def save_to_buffer(self, **options: Any) -> bytes:
        """The archive as bytes."""
        buffer = io.BytesIO()
        importlib.import_module("rushlight.jit.files").save(self, buffer, **options)
        return buffer.getvalue()


_SHARED = (
    "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_backward_hooks",
    "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks", "_state_dict_hooks",
    "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip
_OWN = ("_wrapped", "training")


def _keep_type(module: Module, name: str, attribute: Attribute) -> None:
    """Remember the type that an attribute was given, for the archive."""
    module.__dict__.setdefault(ATTRIBUTE_TYPES, {})[name] = attribute.type


def _unwrap_attributes(module: Module) -> None:
    """What a module has with a type beside it: `forward`, which Python runs, reads the value."""
    for name, value in list(module.__dict__.items()):
        if isinstance(value, Attribute):
            _keep_type(module, name, value)
            module.__dict__[name] = value.value


class RecursiveScriptModule(ScriptModule):
    """A module that was scripted: its parameters are the wrapped module's own."""

    def __init__(self, wrapped: Module) -> None:
        super().__init__()
        for part in wrapped.modules():
            _unwrap_attributes(part)
        state = self.__dict__
        state["_wrapped"] = wrapped
        for name in _SHARED:
            if name in wrapped.__dict__:
                state[name] = wrapped.__dict__[name]
        state.pop("training", None)

    @property
    def training(self) -> bool:  # type: ignore[override]
        """Whether the wrapped module trains."""
        return self.__dict__["_wrapped"].training if "_wrapped" in self.__dict__ else True

    @training.setter
    def training(self, mode: bool) -> None:
        if "_wrapped" in self.__dict__:
            self.__dict__["_wrapped"].training = mode

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the wrapped module's `forward` gives."""
        return self.__dict__["_wrapped"].forward(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        wrapped = self.__dict__.get("_wrapped")
        if wrapped is None or name.startswith("__"):
            return super().__getattr__(name)
        return getattr(wrapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN or "_wrapped" not in self.__dict__:
            super().__setattr__(name, value)
        else:
            setattr(self.__dict__["_wrapped"], name, value)

    def __len__(self) -> int:
        return len(self.__dict__["_wrapped"])

    def __iter__(self) -> Any:
        return iter(self.__dict__["_wrapped"])

    def __getitem__(self, index: Any) -> Any:
        return self.__dict__["_wrapped"][index]

    def __contains__(self, key: Any) -> bool:
        return key in self.__dict__["_wrapped"]

    def __bool__(self) -> bool:
        return True

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self.__dict__["_wrapped"])})

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """The name of the class that was scripted."""
        return f"original_name={self.original_name}"

    @property
    def original_name(self) -> str:
        """The name of the class that was scripted."""
        return type(self.__dict__["_wrapped"]).__name__

    @property
    def code(self) -> str:
        """The text of `forward` as an archive holds it; of a traced module the source that runs.

        Raises: RuntimeError for what TorchScript does not have.
        """
        wrapped = self.__dict__["_wrapped"]
        if "_traced_with" in self.__dict__:
            return source_of(type(wrapped).forward)
        return method_text(wrapped)


class TracedModule(RecursiveScriptModule):
    """A module that was traced; see `trace`."""


class TopLevelTracedModule(TracedModule):
    """The module that `trace` returns."""


class CompilationUnit:
    """Functions from source text; they run as Python.  Raises: SyntaxError for other text."""

    def __init__(self, lang: str | None = None, _frames_up: int = 0) -> None:
        self._names: dict[str, Any] = {}
        if lang is not None:
            self.define(lang)

    def define(self, lang: str, rcb: Any = None, _frames_up: int = 0) -> None:
        """Add the functions of a source text.  The text is run: give it only what you trust."""
        scope: dict[str, Any] = {"Tensor": Tensor, "annotate": annotate}
        exec(compile(textwrap.dedent(lang), "<CompilationUnit>", "exec"), scope)
        functions = {k: v for k, v in scope.items() if isinstance(v, types.FunctionType)}
        self._names.update({name: ScriptFunction(value) for name, value in functions.items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_names"][name]
        except KeyError:
            raise AttributeError(f"'CompilationUnit' has no attribute '{name}'") from None


def script(
    obj: Any,
    optimize: Any = None,
    _frames_up: int = 0,
    _rcb: Any = None,
    example_inputs: Any = None,
) -> Any:
    """A module or function as TorchScript knows it; classes and enumerations stay themselves.

    Nothing is translated: Python runs each time.  What TorchScript has no form for is refused, as
    PyTorch does when it parses; `save` and `code` compile, and refuse wrong types and names.
    Raises: RuntimeError for what can be neither called nor made a type; NotSupportedError.
    """
    if isinstance(obj, (ScriptModule, ScriptFunction)):
        return obj
    if isinstance(obj, Module):
        check_scriptable(obj)
        return RecursiveScriptModule(obj)
    if isinstance(obj, (type, dict, list)):
        return obj
    if not callable(obj):
        raise RuntimeError(f"jit.script: cannot script {obj!r}; pass a module or a function")
    check_scriptable(obj)
    return ScriptFunction(obj)


def trace(
    func: Any = None,
    example_inputs: Any = None,
    optimize: Any = None,
    check_trace: bool = True,
    check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    _force_outplace: bool = False,
    _module_class: Any = None,
    _compilation_unit: Any = None,
    example_kwarg_inputs: dict[str, Any] | None = None,
    _store_inputs: bool = True,
) -> Any:
    """A module or function as TorchScript knows a traced one, after one call with the examples.

    Unlike PyTorch's, the result still runs its Python code, so branches on values stay branches.
    Raises: RuntimeError without examples; what the call raises.
    """
    if example_inputs is None and example_kwarg_inputs is None:
        raise RuntimeError("jit.trace needs example_inputs or example_kwarg_inputs")
    if isinstance(func, (ScriptModule, ScriptFunction)):
        return func
    if example_kwarg_inputs is not None:
        args: tuple[Any, ...] = ()
    elif isinstance(example_inputs, (Tensor, dict)):
        args = (example_inputs,)
    else:
        args = tuple(example_inputs)
    with no_grad():
        func(*args, **(example_kwarg_inputs or {}))
    example = (args, dict(example_kwarg_inputs or {}))
    if isinstance(func, Module):
        return _remembering(TopLevelTracedModule(func), example)
    owner = getattr(func, "__self__", None)
    if isinstance(owner, Module) and getattr(func, "__name__", "") == "forward":
        return _remembering(TopLevelTracedModule(owner), example)
    return _remembering(ScriptFunction(func), example)


def _remembering(made: Any, example: tuple) -> Any:
    """The wrapper with the example that `save` will call it with."""
    made.__dict__["_traced_with"] = example
    return made


def trace_module(mod: Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    """The same with examples for several methods.

    Raises: AttributeError if `inputs` is no dictionary.
    """
    if not isinstance(inputs, dict):
        raise AttributeError("expected a dictionary of (method_name, input) pairs")
    with no_grad():
        for name, given in inputs.items():
            getattr(mod, name)(*(given if isinstance(given, (list, tuple)) else (given,)))
    return TopLevelTracedModule(mod)


def script_if_tracing(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself: nothing is traced."""
    return fn


def freeze(
    mod: ScriptModule,
    preserved_attrs: list[str] | None = None,
    optimize_numerics: bool = True,
) -> Any:
    """A scripted module in evaluation mode whose parameters are constants.

    Raises: RuntimeError for what is not scripted, or trains.
    """
    if not isinstance(mod, ScriptModule):
        raise RuntimeError(
            "Freezing expects a ScriptModule as input. Please use torch.jit.script or"
            " torch.jit.trace to script your 'nn.Module'."
        )
    if mod.training:
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call"
            " .eval() on your module before freezing."
        )
    return FrozenModule(mod)


class FrozenModule(ScriptModule):
    """A scripted module whose values at the time of `freeze` are constants."""

    def __init__(self, mod: ScriptModule) -> None:
        super().__init__()
        self.__dict__["_constants"] = {
            name: value.detach().clone() for name, value in mod.state_dict().items()
        }
        self.__dict__["_frozen"] = mod
        self.training = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module gave with the values it had."""
        with values_of(self.__dict__["_frozen"], self.__dict__["_constants"]):
            return self.__dict__["_frozen"].forward(*args, **kwargs)

    @property
    def code(self) -> str:
        """The source that runs."""
        return self.__dict__["_frozen"].code


@contextlib.contextmanager
def values_of(module: Module, values: dict[str, Tensor]) -> Any:
    """The module with other values in place of its parameters and buffers."""
    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for path, value in values.items():
            *parents, name = path.split(".")
            owner = module.get_submodule(".".join(parents))
            for table in (owner._parameters, owner._buffers):
                if name in table:
                    before.append((table, name, table[name]))
                    table[name] = value  # type: ignore[assignment]
        yield
    finally:
        for table, name, value in before:
            table[name] = value


def optimize_for_inference(mod: ScriptModule, other_methods: list[str] | None = None) -> Any:
    """The module frozen, if it is not yet."""
    if isinstance(mod, FrozenModule):
        return mod
    return freeze(mod.eval())
