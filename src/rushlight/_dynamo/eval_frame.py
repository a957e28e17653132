"""The wrapper that PyTorch's compile puts around modules, where PyTorch has it.  Level 12."""

from __future__ import annotations

from rushlight._dynamo.decorators import disable
from rushlight.replay.module import OptimizedModule

__all__ = ["OptimizedModule", "disable"]
