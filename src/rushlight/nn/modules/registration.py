"""How a module holds its members: parameters, buffers and submodules.  Level 12.

Attribute assignment sorts a value by its type into one of three ordered dictionaries; attribute
lookup finds it there again.  Invariant: a name lives in at most one of `_parameters`, `_buffers`,
`_modules` and the instance's own `__dict__`, and the order of each dictionary is the order of first
registration, which is the order of `state_dict` and of random initialization.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rushlight.base.hooks import RemovableHandle
from rushlight.base.hot import hot
from rushlight.nn.parameter import Buffer, Parameter
from rushlight.tensor.tensor import Tensor

# By PyTorch's names: packages that register parameters themselves call these.
_global_buffer_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_parameter_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_module_registration_hooks: OrderedDict[int, Callable] = OrderedDict()


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, buffer)` whenever any module registers a buffer."""
    return _register_global(_global_buffer_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, parameter)` whenever any module registers a parameter."""
    return _register_global(_global_parameter_registration_hooks, hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, submodule)` whenever any module registers a submodule."""
    return _register_global(_global_module_registration_hooks, hook)


def _register_global(registry: OrderedDict, hook: Callable) -> RemovableHandle:
    handle = RemovableHandle(registry)
    registry[handle.id] = hook
    return handle


def type_name(value: Any) -> str:
    """The qualified type name of a value, as error messages print it (of a tensor: its kind)."""
    if isinstance(value, Tensor):
        return value.type()
    kind = type(value)
    if kind.__module__ in ("builtins", ""):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _after_hooks(hooks: OrderedDict, module: Any, name: str, value: Any) -> Any:
    """`value`, or what the registration hooks put in its place."""
    for hook in hooks.values():
        replacement = hook(module, name, value)
        if replacement is not None:
            value = replacement
    return value


class MemberRegistry:
    """The part of `Module` that registers, finds, replaces and deletes members."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]

    def _check_member_name(self, kind: str, name: Any, registry: dict) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type_name(name)}")
        if kind == "module" and name not in registry and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            got = f", got: {name}" if kind == "module" else ""
            raise KeyError(f'{kind} name can\'t contain "."{got}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if name not in registry and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but not a parameter; only persistent ones are saved.

        Raises: KeyError for a bad or taken name, TypeError for something that is no tensor.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_member_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type_name(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        self._buffers[name] = _after_hooks(_global_buffer_registration_hooks, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter (or None, which reserves the name).

        Raises: KeyError for a bad or taken name, TypeError for something that is no `Parameter`,
        ValueError for a tensor that is the result of a recorded operation.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_member_name("parameter", name, self._parameters)
        if param is None:
            self._parameters[name] = None
            return
        if not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type_name(param)}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        if param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be "
                f"created explicitly. To express '{name}' as a function of another Tensor, "
                "compute the value in the forward() method."
            )
        self._parameters[name] = _after_hooks(
            _global_parameter_registration_hooks, self, name, param
        )

    def add_module(self, name: str, module: Any) -> None:
        """Add a submodule (or None, which reserves the name).

        Raises: KeyError for a bad or taken name, TypeError for something that is no module.
        """
        if module is not None and not isinstance(module, MemberRegistry):
            raise TypeError(f"{type_name(module)} is not a Module subclass")
        self._check_member_name("module", name, self._modules)
        self._modules[name] = _after_hooks(_global_module_registration_hooks, self, name, module)

    def register_module(self, name: str, module: Any) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    @hot
    def __getattr__(self, name: str) -> Any:
        # Called only after the ordinary lookup failed, so plain attributes cost nothing extra.
        # Written out, not a loop over tables: layers read their parameters here at every call.
        members = self.__dict__
        if "_parameters" in members:
            found = members["_parameters"]
            if name in found:
                return found[name]
        if "_buffers" in members:
            found = members["_buffers"]
            if name in found:
                return found[name]
        if "_modules" in members:
            found = members["_modules"]
            if name in found:
                return found[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        members = self.__dict__
        parameters = members.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, members, self._buffers, self._modules)
            self.register_parameter(name, value)
        elif parameters is not None and name in parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type_name(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, None)
        elif not self._assign_module(name, value) and not self._assign_buffer(name, value):
            object.__setattr__(self, name, value)

    def _assign_module(self, name: str, value: Any) -> bool:
        """Store `value` if it is a submodule or replaces one; say whether it was stored."""
        modules = self.__dict__.get("_modules")
        if isinstance(value, MemberRegistry):
            if modules is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, self.__dict__, self._parameters, self._buffers)
        elif modules is None or name not in modules:
            return False
        elif value is not None:
            raise TypeError(
                f"cannot assign '{type_name(value)}' as child module '{name}' "
                "(torch.nn.Module or None expected)"
            )
        modules[name] = _after_hooks(_global_module_registration_hooks, self, name, value)
        return True

    def _assign_buffer(self, name: str, value: Any) -> bool:
        """Store `value` if it is a buffer or replaces one; say whether it was stored."""
        buffers = self.__dict__.get("_buffers")
        if isinstance(value, Buffer):
            if buffers is None:
                raise AttributeError("cannot assign buffer before Module.__init__() call")
            if name not in buffers:
                self._forget(name, self.__dict__, self._parameters, self._modules)
            self.register_buffer(name, value, value.persistent)
            return True
        if buffers is None or name not in buffers:
            return False
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"cannot assign '{type_name(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        buffers[name] = _after_hooks(_global_buffer_registration_hooks, self, name, value)
        return True

    def _forget(self, name: str, *registries: dict) -> None:
        """Drop `name` wherever else it lives, so that it lives in one registry only."""
        for registry in registries:
            registry.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        found = [*dir(type(self)), *self.__dict__, *self._parameters, *self._modules]
        found.extend(self._buffers)
        # Numeric names (of containers) cannot be written as attributes.
        return sorted(name for name in set(found) if not name[0].isdigit())
