"""Hooks' handles under PyTorch's name.  Level 12.  Source: torch.utils.hooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rushlight.base.hooks import RemovableHandle
from rushlight.nn.modules.backward_hooks import BackwardHooks

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks", "BackwardHook"]


def unserializable_hook(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the hook is lost when its tensor is saved, with a warning."""
    f.__torch_unserializable__ = True  # type: ignore[attr-defined]
    return f


def warn_if_has_hooks(tensor: Any) -> None:
    """Warn about hooks of a tensor that saving will lose."""
    hooks = getattr(tensor, "_backward_hooks", None)
    for hook in hooks.values() if hooks else ():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, "
                "you can decorate the function with @torch.utils.hooks.unserializable_hook to "
                "suppress this warning",
                stacklevel=2,
            )


class BackwardHook(BackwardHooks):
    """The backward hooks of one call of a module, under PyTorch's names of its steps."""

    def setup_input_hook(self, args: tuple) -> tuple:
        """The arguments, passed through the gate that sees their gradients."""
        return self.gate_inputs(args)

    def setup_output_hook(self, args: Any) -> Any:
        """The results, passed through the gate that sees their gradients."""
        return self.gate_outputs(args)
