"""Which parts of a module are wrapped on their own.  Level 12.

Source: torch.distributed.fsdp.wrap.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rushlight.nn.modules.module import Module

# Read by `wrap` inside of `enable_wrap`: the wrapper and its options, or nothing.
_enabled: list[tuple[Any, dict[str, Any]]] = []


class HiddenWrapper(Module):
    """A module around another one, whose state has the names of the one inside.

    inside: the attribute that holds that one.
    """

    inside: str

    @classmethod
    def without_wrappers(cls, name: str) -> str:
        """The name that a parameter has where nothing is wrapped."""
        return name.replace(f"{cls.inside}.", "")

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The module's state, by the names that it has without wrappers."""
        made = super().state_dict(*args, **kwargs)
        for name in [name for name in made if f"{self.inside}." in name]:
            made[self.without_wrappers(name)] = made.pop(name)
        return made

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Take state by the names that the module has without wrappers."""
        inner = f"{prefix}{self.inside}."
        for name in [name for name in state_dict if name.startswith(prefix)]:
            if not name.startswith(inner):
                state_dict[inner + name[len(prefix) :]] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *args)


def always_wrap_policy(*args: Any, **kwargs: Any) -> bool:
    """Wrap each part."""
    return True


def _module_wrap_policy(
    module: Module, recurse: bool, nonwrapped_numel: int, module_classes: set[type]
) -> bool:
    return recurse or isinstance(module, tuple(module_classes))


def transformer_auto_wrap_policy(
    module: Module, recurse: bool, nonwrapped_numel: int, transformer_layer_cls: set[type]
) -> bool:
    """Wrap the layers of these classes."""
    return _module_wrap_policy(module, recurse, nonwrapped_numel, transformer_layer_cls)


def lambda_auto_wrap_policy(
    module: Module, recurse: bool, nonwrapped_numel: int, lambda_fn: Callable[[Module], bool]
) -> bool:
    """Wrap what a function says yes to."""
    return recurse or lambda_fn(module)


def _or_policy(
    module: Module, recurse: bool, nonwrapped_numel: int, policies: Iterable[Callable[..., bool]]
) -> bool:
    return any(
        policy(module=module, recurse=recurse, nonwrapped_numel=nonwrapped_numel)
        for policy in policies
    )


def size_based_auto_wrap_policy(
    module: Module,
    recurse: bool,
    nonwrapped_numel: int,
    min_num_params: int = 100_000_000,
    force_leaf_modules: set[type] | None = None,
    exclude_wrap_modules: set[type] | None = None,
) -> bool:
    """Wrap parts with at least that many parameters that no inner wrapper has."""
    large = nonwrapped_numel >= min_num_params
    leaf = isinstance(module, tuple(force_leaf_modules or ()))
    if recurse:
        return large and not leaf
    return large and not isinstance(module, tuple(exclude_wrap_modules or ()))


class ModuleWrapPolicy:
    """Wrap the modules of some classes."""

    def __init__(self, module_classes: Iterable[type]) -> None:
        self._module_classes = set(module_classes)

    def __call__(self, module: Module, recurse: bool, *args: Any, **kwargs: Any) -> bool:
        return recurse or isinstance(module, tuple(self._module_classes))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._module_classes})"


class CustomPolicy:
    """Wrap what a function says yes to, with the options that it returns."""

    def __init__(self, lambda_fn: Callable[[Module], bool | dict[str, Any]]) -> None:
        self._lambda_fn = lambda_fn

    def __call__(self, module: Module, recurse: bool, *args: Any, **kwargs: Any) -> Any:
        return True if recurse else self._lambda_fn(module)


@contextlib.contextmanager
def enable_wrap(*, wrapper_cls: Any, **wrapper_kwargs: Any) -> Iterator[None]:
    """A stretch in which `wrap` wraps."""
    _enabled.append((wrapper_cls, wrapper_kwargs))
    try:
        yield
    finally:
        _enabled.pop()


def wrap(module: Module, **wrap_overrides: Any) -> Module:
    """The module wrapped, inside of `enable_wrap`; else the module."""
    if not _enabled:
        return module
    wrapper, options = _enabled[-1]
    return wrapper(module, **{**options, **wrap_overrides})


def wrap_parts(root: Module, policy: Callable[..., Any], wrapper: Callable[..., Module]) -> None:
    """Replace the parts below `root` that a policy wants, innermost first."""
    for name, child in list(root.named_children()):
        size = sum(parameter.numel() for parameter in child.parameters())
        if policy(module=child, recurse=True, nonwrapped_numel=size):
            wrap_parts(child, policy, wrapper)
        decision = policy(module=child, recurse=False, nonwrapped_numel=size)
        if decision and size:
            options = decision if isinstance(decision, dict) else {}
            setattr(root, name, wrapper(child, **options))
