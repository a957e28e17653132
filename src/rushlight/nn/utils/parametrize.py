"""Parameters computed from other parameters by modules of the user's.  Level 12.

`register_parametrization(module, "weight", f)` moves the parameter `weight` to
`module.parametrizations.weight.original` and gives `module` a class of its own, in which `weight`
is a property that returns f(original).  Assigning to it goes through `f.right_inverse`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rushlight.nn.modules.container import ModuleDict, ModuleList
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

_cache: dict[tuple[int, str], Tensor] = {}
_cache_depth = 0


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor at most once within the block."""
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if _cache_depth == 0:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, and the parameters that they start from.

    `original` if the innermost inverse gives one tensor, `original0`, `original1`, ... if several.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        try:
            start = self._inverted(original)
        except NotImplementedError:  # no inverse: the original itself is where it starts
            start = original
        self.is_tensor = isinstance(start, Tensor)
        starts = [start] if self.is_tensor else list(start)
        self.ntensors = len(starts)
        for name, value in zip(self._original_names(), starts):
            if isinstance(original, Parameter):
                value = Parameter(value.detach(), requires_grad=original.requires_grad)
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)
        if not unsafe:
            self._check(original)

    def _original_names(self) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]

    def _inverted(self, value: Tensor) -> Any:
        """The originals that give `value`, as far as the parametrizations have inverses."""
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    value = module.right_inverse(value)
        return value

    def _check(self, original: Tensor) -> None:
        value = self()
        if not isinstance(value, Tensor):
            raise ValueError(f"A parametrization must return a tensor. Got {type(value).__name__}.")
        if value.dtype != original.dtype or value.shape != original.shape:
            raise ValueError(
                "Registering a parametrization may not change dtype or shape of the tensor unless "
                f"unsafe=True: {original.dtype}, {original.shape} became {value.dtype}, "
                f"{value.shape}"
            )

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrized tensor becomes `value`."""
        start = self._inverted(value)
        starts = [start] if self.is_tensor else list(start)
        with no_grad():
            for name, new in zip(self._original_names(), starts):
                getattr(self, name).copy_(new)

    def forward(self) -> Tensor:
        starts = [getattr(self, name) for name in self._original_names()]
        if len(self) == 0:
            return starts[0]
        modules = iter(self)
        value = next(modules)(*starts)
        for module in modules:
            value = module(value)
        return value


def _current_value(module: Module, name: str) -> Tensor:
    parametrization = module.parametrizations[name]
    if _cache_depth == 0:
        return parametrization()
    key = (id(module), name)
    if key not in _cache:
        _cache[key] = parametrization()
    return _cache[key]


def _property_of(name: str) -> property:
    def get(self: Module) -> Tensor:
        return _current_value(self, name)

    def put(self: Module, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


def _deepcopy(self: Module, memo: dict) -> Module:
    # The class is this module's own: its copy needs one too, or both would share the properties.
    if id(self) in memo:
        return memo[id(self)]
    original: Any = type(self).__bases__[0]
    twin = original.__new__(original)
    memo[id(self)] = twin
    twin.__dict__ = copy.deepcopy(self.__dict__, memo)
    names = list(twin._modules["parametrizations"].keys())
    _give_own_class(twin)
    for name in names:
        setattr(type(twin), name, _property_of(name))
    return twin


def _refuse_pickling(self: Module) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict()."
    )


def _give_own_class(module: Module) -> None:
    kind = type(module)
    module.__class__ = type(
        f"Parametrized{kind.__name__}",
        (kind,),
        {"__deepcopy__": _deepcopy, "__getstate__": _refuse_pickling},
    )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has parametrizations (of the given tensor)."""
    found = module._modules.get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute a parameter or buffer of `module` by `parametrization`; returns `module`.

    Raises: ValueError if there is no such tensor, or if dtype or shape change without `unsafe`.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        stack = module.parametrizations[tensor_name]
        value = getattr(module, tensor_name)
        stack.append(parametrization)
        if not unsafe:
            stack._check(value)
        if hasattr(parametrization, "right_inverse"):
            stack.right_inverse(value)
        return module
    if tensor_name not in module._parameters and tensor_name not in module._buffers:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    original = getattr(module, tensor_name)
    stack = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        _give_own_class(module)
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _property_of(tensor_name))
    module.parametrizations._modules[tensor_name] = stack
    return module


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make the tensor an ordinary one again, with its current value or with the original's.

    Raises: ValueError if it is not parametrized, or if there are several originals to choose from.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    stack = module.parametrizations[tensor_name]
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name).detach().clone()
        first = getattr(stack, stack._original_names()[0])
        if isinstance(first, Parameter):
            value = Parameter(value, requires_grad=first.requires_grad)
    elif stack.is_tensor:
        value = stack.original
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if len(module.parametrizations) == 0:
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    if isinstance(value, Parameter):
        module.register_parameter(tensor_name, value)
    else:
        module.register_buffer(tensor_name, value)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class as it was before parametrizations gave it one of its own."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)
