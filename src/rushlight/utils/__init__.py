"""torch.utils: data loading, checkpointing, benchmarks and more; each part is imported when it is
first named.  Level 12."""

import importlib
from typing import Any

from rushlight.tensor.swapping import swap_tensors
from rushlight.utils import data
from rushlight.utils.backend_registration import (
    generate_methods_for_privateuse1_backend,
    rename_privateuse1_backend,
)

__all__ = [
    "data", "generate_methods_for_privateuse1_backend", "rename_privateuse1_backend",
    "swap_tensors",
]  # fmt: skip

_LATER = (
    "_contextlib",
    "_foreach_utils",
    "_python_dispatch",
    "_pytree",
    "benchmark",
    "checkpoint",
    "collect_env",
    "cpp_extension",
    "deterministic",
    "dlpack",
    "flop_counter",
    "hooks",
    "mobile_optimizer",
    "model_zoo",
    "tensorboard",
)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
