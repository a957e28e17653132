"""The older name of `distributed.tensor`.  Level 12."""

from rushlight.distributed.tensor import (
    DeviceMesh,
    DTensor,
    Partial,
    Placement,
    Replicate,
    Shard,
    distribute_module,
    distribute_tensor,
    empty,
    experimental,
    full,
    init_device_mesh,
    ones,
    placement_types,
    rand,
    randn,
    zeros,
)

__all__ = [
    "DTensor", "DeviceMesh", "Partial", "Placement", "Replicate", "Shard", "distribute_module",
    "distribute_tensor", "empty", "experimental", "full", "init_device_mesh", "ones",
    "placement_types", "rand", "randn", "zeros",
]  # fmt: skip
