"""Modules and objects of an archive: values, and methods that are the archive's code.

Level: jit (12).
"""

from __future__ import annotations

import ast
import copy
import functools
from collections.abc import Callable
from typing import Any

from rushlight.jit.calls import Call
from rushlight.jit.scripted import Listing, RecursiveScriptModule, ScriptModule
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor


class ScriptObject:
    """An object of a class of the archive that is no module."""

    def __init__(self, script_class: Any) -> None:
        self.script_class = script_class
        self.values: dict[str, Any] = {}

    def set_values(self, values: dict[str, Any]) -> None:
        """Take all values at once."""
        self.values.update(values)

    def value(self, name: str) -> Any:
        """A value.  Raises: RuntimeError if it has none of this name."""
        if name in self.values:
            return self.values[name]
        if name in self.script_class.constants:
            return self.script_class.constants[name]
        raise RuntimeError(f"{self.script_class.qualified_name} has no value {name!r}")

    def set_value(self, name: str, value: Any) -> None:
        """Set a value."""
        self.values[name] = value

    def bound(self, name: str) -> Callable[..., Any]:
        """A method.  Raises: RuntimeError if the class has none of this name."""
        function = self.script_class.method(name)
        if function is None:
            raise RuntimeError(f"{self.script_class.qualified_name} has no method {name!r}")
        return functools.partial(function, self)

    def call_method(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method."""
        return self.bound(name)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("values", "script_class"):
            raise AttributeError(name)
        if name in self.values or name in self.script_class.constants:
            return self.value(name)
        if name in self.script_class.definitions:
            return self.bound(name)
        raise AttributeError(f"'{self.script_class.name}' object has no attribute '{name}'")

    def __repr__(self) -> str:
        return f"<{self.script_class.qualified_name} object>"


class LoadedModule(RecursiveScriptModule):
    """A module of an archive.

    Parameters, buffers and submodules are those of any module: it can be trained, moved, printed,
    and saved by its state_dict or by `torch.jit.save`.
    """

    def __init__(self, script_class: Any) -> None:
        ScriptModule.__init__(self)
        self.__dict__["script_class"] = script_class
        self.__dict__["_fields"] = {}
        self.__dict__["_calls"] = {}

    # ---- values --------------------------------------------------------------------------------

    def set_values(self, values: dict[str, Any]) -> None:
        """Take all values at once, in their order."""
        own = self.__dict__["script_class"]
        for name, value in values.items():
            if name == "training":
                self.training = bool(value)
            elif name in own.parameters and (value is None or isinstance(value, Tensor)):
                self._parameters[name] = None if value is None else _parameter(value)
            elif name in own.buffers and (value is None or isinstance(value, Tensor)):
                self._buffers[name] = value
            elif isinstance(value, Module):
                self._modules[name] = value
            else:
                self._fields[name] = value

    def value(self, name: str) -> Any:
        """A value as the code sees it.  Raises: RuntimeError if there is none of this name."""
        state = self.__dict__
        for table in (state["_parameters"], state["_buffers"], state["_modules"], state["_fields"]):
            if name in table:
                return table[name]
        if name == "training":
            return self.training
        constants = state["script_class"].constants
        if name in constants:
            return constants[name]
        raise RuntimeError(f"{state['script_class'].qualified_name} has no value {name!r}")

    def set_value(self, name: str, value: Any) -> None:
        """Set a value from the code."""
        state = self.__dict__
        if name == "training":
            self.training = bool(value)
        elif name in state["_parameters"]:
            state["_parameters"][name] = _parameter(value)
        elif name in state["_buffers"]:
            state["_buffers"][name] = value
        elif name in state["_modules"]:
            state["_modules"][name] = value
        else:
            state["_fields"][name] = value

    @property
    def training(self) -> bool:  # type: ignore[override]
        """Whether the module trains."""
        return self.__dict__.get("_training", True)

    @training.setter
    def training(self, mode: bool) -> None:
        self.__dict__["_training"] = mode

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if name.startswith("__") or "script_class" not in state:
            raise AttributeError(name)
        for table in ("_parameters", "_buffers", "_modules", "_fields"):
            if name in state[table]:
                return state[table][name]
        own = state["script_class"]
        if name in own.constants:
            return own.constants[name]
        if name in own.definitions:
            return self.bound(name)
        raise AttributeError(f"'{self.original_name}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_fields", ()) and not isinstance(value, (Module, Parameter)):
            self._fields[name] = value
        else:
            Module.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_calls": {}}

    def __deepcopy__(self, memo: dict) -> LoadedModule:
        made = LoadedModule(self.__dict__["script_class"])
        memo[id(self)] = made
        for name, value in self.__dict__.items():
            if name not in ("script_class", "_calls"):
                made.__dict__[name] = copy.deepcopy(value, memo)
        return made

    # ---- code ----------------------------------------------------------------------------------

    def bound(self, name: str) -> Callable[..., Any]:
        """A method.  Raises: RuntimeError if the class has none of this name."""
        own = self.__dict__["script_class"]
        function = own.method(name)
        if function is None:
            raise RuntimeError(f"{own.qualified_name} has no method {name!r}")
        calls = self.__dict__["_calls"]
        found = calls.get(name)
        if found is None:
            found = calls[name] = Call(function)
        return functools.partial(found, self)

    def call_method(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method."""
        return self.bound(name)(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the archive's `forward` gives."""
        own = self.__dict__["script_class"]
        if "forward" not in own.definitions and "forward__1" in own.definitions:
            # What is overloaded in PyTorch's library: recurrent modules, for packed sequences.
            packed = bool(args) and not isinstance(args[0], Tensor)
            return self.bound("forward__1" if packed else "forward__0")(*args, **kwargs)
        return self.bound("forward")(*args, **kwargs)

    @property
    def original_name(self) -> str:
        """The name of the class that was scripted."""
        return self.__dict__["script_class"].name

    @property
    def code(self) -> str:
        """The text of `forward`."""
        node = self.__dict__["script_class"].definitions.get("forward")
        return "" if node is None else ast.unparse(node) + "\n"

    @property
    def graph(self) -> Listing:
        """A listing of `forward`."""
        return Listing("forward", self.code)

    def __len__(self) -> int:
        return self.call_method("__len__")

    def __iter__(self) -> Any:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        return self._modules[str(index)] if not isinstance(index, str) else self._modules[index]

    def __contains__(self, key: Any) -> bool:
        return key in self._modules

    def __dir__(self) -> list[str]:
        own = self.__dict__["script_class"]
        return sorted({*Module.__dir__(self), *own.definitions, *own.constants, *self._fields})


def _parameter(value: Tensor) -> Parameter:
    if isinstance(value, Parameter):
        return value
    return Parameter(value.detach(), requires_grad=current_edge(value) is not None)
