"""`CheckpointWrapper`: a module that keeps no values for backward but computes them again.

State dicts have the names of the module without the wrapper.  Level 12.  Source:
torch.distributed.algorithms._checkpoint.checkpoint_wrapper.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterator
from typing import Any

from rushlight.distributed.fsdp.wrap import HiddenWrapper, wrap_parts
from rushlight.nn.modules.module import Module
from rushlight.utils.checkpoint import checkpoint

_WRAPPED = "_checkpoint_wrapped_module"


class CheckpointImpl(enum.Enum):
    """Which of the two ways of `utils.checkpoint`."""

    REENTRANT = 1
    NO_REENTRANT = 2


class CheckpointWrapper(HiddenWrapper):
    """Wraps a module under a name that its state does not show."""

    inside = _WRAPPED

    def __init__(
        self,
        mod: Module,
        checkpoint_impl: CheckpointImpl = CheckpointImpl.NO_REENTRANT,
        checkpoint_fn: Callable[..., Any] | None = None,
        **checkpoint_fn_kwargs: Any,
    ) -> None:
        super().__init__()
        setattr(self, _WRAPPED, mod)
        self.checkpoint_impl = checkpoint_impl
        reentrant = checkpoint_impl is CheckpointImpl.REENTRANT
        self.checkpoint_fn: Any = (
            functools.partial(checkpoint, use_reentrant=reentrant, **checkpoint_fn_kwargs)
            if checkpoint_fn is None
            else functools.partial(checkpoint_fn, **checkpoint_fn_kwargs)
        )

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == _WRAPPED:
                raise
            return getattr(getattr(self, _WRAPPED), name)

    def __getitem__(self, key: int) -> Any:
        return getattr(self, _WRAPPED)[key]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.checkpoint_fn(getattr(self, _WRAPPED), *args, **kwargs)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Any]]:
        """Parameters by the names of the module inside."""
        for name, parameter in super().named_parameters(*args, **kwargs):
            yield self.without_wrappers(name), parameter


def checkpoint_wrapper(
    module: Module,
    checkpoint_impl: CheckpointImpl = CheckpointImpl.NO_REENTRANT,
    checkpoint_fn: Callable[..., Any] | None = None,
    **checkpoint_fn_kwargs: Any,
) -> CheckpointWrapper:
    """The module wrapped."""
    return CheckpointWrapper(module, checkpoint_impl, checkpoint_fn, **checkpoint_fn_kwargs)


def apply_activation_checkpointing(
    model: Module,
    checkpoint_wrapper_fn: Callable[..., Module] = checkpoint_wrapper,
    check_fn: Callable[[Module], bool] = lambda module: True,
    auto_wrap_policy: Callable[..., Any] | None = None,
) -> None:
    """Wrap the parts of a model that a function, or a policy, says yes to, where they are."""

    def policy(module: Module, recurse: bool, nonwrapped_numel: int) -> bool:
        return recurse or check_fn(module)

    wrap_parts(model, auto_wrap_policy or policy, checkpoint_wrapper_fn)
