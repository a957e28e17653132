"""Lazy modules: parameters whose shapes come from the first input.  Level 12.

A lazy module is made with uninitialized parameters.  A forward pre-hook lets it see its first
input, gives the parameters their shapes and values, removes the hooks and turns the module into an
instance of the ordinary class.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

from rushlight.nn.parameter import is_lazy
from rushlight.tensor.grad_mode import no_grad


class LazyModuleMixin:
    """Mixed into a module class, before it; `cls_to_become` is the ordinary class."""

    cls_to_become: type | None = None

    # What the module class that this is mixed into provides.
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _get_name: Callable[[], str]
    _register_load_state_dict_pre_hook: Callable[..., Any]
    register_forward_pre_hook: Callable[..., Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(
            self._infer_parameters, with_kwargs=True
        )

    def _lazy_load_hook(self, state_dict: dict, prefix: str, *rest: Any) -> None:
        """Give the shapes of a loaded state to parameters that have none yet."""
        for name, value in chain(self._parameters.items(), self._buffers.items()):
            given = state_dict.get(prefix + name)
            if given is not None and is_lazy(value) and not is_lazy(given):
                with no_grad():
                    value.materialize(given.shape)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters shapes and values that suit the inputs; subclasses define it."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of this module still lacks its shape."""
        return any(
            is_lazy(value) for value in (*self._parameters.values(), *self._buffers.values())
        )

    def _infer_parameters(self, module: Any, args: tuple, kwargs: dict | None = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook
        del module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become
