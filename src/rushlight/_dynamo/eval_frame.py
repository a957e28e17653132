"""The wrapper that PyTorch's compile puts around modules, as a name to ask for.  Level 12."""

from __future__ import annotations

from rushlight._dynamo.decorators import disable
from rushlight.nn.modules.module import Module

__all__ = ["OptimizedModule", "disable"]


class OptimizedModule(Module):
    """A module wrapped by PyTorch's compile.  No instance exists: `compile` returns the module."""

    def __init__(self, mod: Module, dynamo_ctx: object = None) -> None:
        super().__init__()
        self._orig_mod = mod

    def forward(self, *args: object, **kwargs: object) -> object:
        """Call the wrapped module."""
        return self._orig_mod(*args, **kwargs)
