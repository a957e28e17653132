"""Modules for phones: `torch.utils.mobile_optimizer`.  Level 12."""

from __future__ import annotations

from enum import Enum
from typing import Any

from rushlight.nn.modules.module import Module

__all__ = ["MobileOptimizerType", "optimize_for_mobile"]


class MobileOptimizerType(Enum):
    """Passes over a scripted module."""

    CONV_BN_FUSION = 1
    INSERT_FOLD_PREPACK_OPS = 2
    REMOVE_DROPOUT = 3
    FUSE_ADD_RELU = 4
    HOIST_CONV_PACKED_PARAMS = 5
    CONV_1D_TO_2D = 6
    VULKAN_AUTOMATIC_GPU_TRANSFER = 7


def optimize_for_mobile(
    script_module: Module,
    optimization_blocklist: set[MobileOptimizerType] | None = None,
    preserved_methods: list[Any] | None = None,
    backend: str = "CPU",
) -> Module:
    """The module, to be evaluated: what the passes do, the compiler does when it runs.

    Raises: TypeError for what is no module.
    """
    if not isinstance(script_module, Module):
        raise TypeError(f"Got {type(script_module)}, but ScriptModule is expected.")
    return script_module.eval()
