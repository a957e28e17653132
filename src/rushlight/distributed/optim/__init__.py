"""PyTorch's `torch.distributed.optim`: optimizers of several processes.  Level 12."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["ZeroRedundancyOptimizer"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        # Optimizers stand above the folder of processes, which modules need.
        return getattr(importlib.import_module("rushlight.optim.zero_redundancy"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
