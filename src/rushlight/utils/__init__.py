"""torch.utils: data loading, checkpointing, benchmarks and more; each part is imported when it is
first named.  Level 12."""

import importlib
from typing import Any

from rushlight.utils import data

__all__ = ["data"]

_LATER = (
    "_pytree",
    "benchmark",
    "checkpoint",
    "dlpack",
    "flop_counter",
    "hooks",
    "model_zoo",
    "tensorboard",
)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
