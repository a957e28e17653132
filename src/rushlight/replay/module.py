"""The wrapper that `torch.compile` puts around a module.

In: a module.  Out: a module whose call is replayed; everything else is the wrapped one's: names,
parameters, attributes.  Its state has names that begin with `_orig_mod.`, as PyTorch's.
Level: replay.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.replay.function import ReplayedFunction

_OWN = frozenset({"_orig_mod", "dynamo_ctx", "forward"})


class OptimizedModule(Module):
    """A module under `torch.compile`.  Source: torch._dynamo.eval_frame.OptimizedModule."""

    def __init__(self, mod: Module, dynamo_ctx: Any = None) -> None:
        super().__init__()
        verify = dynamo_ctx if isinstance(dynamo_ctx, int) else 0
        self._orig_mod = mod
        self.dynamo_ctx = dynamo_ctx
        self.forward: Any = ReplayedFunction(mod, verify)  # type: ignore[method-assign]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the wrapped module, its hooks included."""
        return self.__dict__["forward"](*args, **kwargs)

    def __len__(self) -> int:
        """That of the wrapped module.  Raises: TypeError if it has none."""
        return len(self._orig_mod)  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> Any:
        return (type(self), (self._orig_mod, self.dynamo_ctx))

    @property
    def training(self) -> bool:  # type: ignore[override]
        """That of the wrapped module."""
        return self._orig_mod.training

    @training.setter
    def training(self, value: bool) -> None:
        modules = self.__dict__.get("_modules", {})
        if "_orig_mod" in modules:
            modules["_orig_mod"].training = value

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN or "_orig_mod" not in self.__dict__.get("_modules", {}):
            if name in ("forward", "dynamo_ctx"):
                self.__dict__[name] = value
            else:
                super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        if name in _OWN:
            super().__delattr__(name)
        else:
            delattr(self._orig_mod, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._orig_mod)})
