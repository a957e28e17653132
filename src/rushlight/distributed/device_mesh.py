"""A mesh of devices, all of whose axes have length 1.  Level 12.

Source: torch.distributed.device_mesh.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight.distributed.distributed_c10d import (
    ProcessGroup,
    _get_default_group,
    _refuse_many,
    init_process_group,
    is_initialized,
)
from rushlight.distributed.stores import HashStore
from rushlight.ops.creation import zeros
from rushlight.tensor.tensor import Tensor

__all__ = ["DeviceMesh", "init_device_mesh"]


class DeviceMesh:
    """One process at every place of a mesh with axes of length 1."""

    def __init__(
        self, device_type: str, mesh: Any, *, mesh_dim_names: tuple[str, ...] | None = None
    ) -> None:
        shape = tuple(getattr(mesh, "shape", (len(mesh),)))
        if math.prod(shape) != 1:
            _refuse_many("DeviceMesh", math.prod(shape))
        if not is_initialized():
            init_process_group(world_size=1, rank=0, store=HashStore())
        self.device_type = device_type
        self.mesh: Tensor = zeros(shape or (1,)).long()
        self.mesh_dim_names = mesh_dim_names

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.mesh.dim()

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, all 1."""
        return tuple(self.mesh.shape)

    def size(self, mesh_dim: int | None = None) -> int:
        """1."""
        return 1

    def get_rank(self) -> int:
        """0."""
        return 0

    def get_local_rank(self, mesh_dim: Any = None) -> int:
        """0."""
        return 0

    def get_coordinate(self) -> list[int]:
        """This process's place: zeros."""
        return [0] * self.ndim

    def get_group(self, mesh_dim: Any = None) -> ProcessGroup:
        """The group along an axis."""
        return _get_default_group()

    def get_all_groups(self) -> list[ProcessGroup]:
        """The groups along all axes."""
        return [_get_default_group()] * self.ndim

    def __getitem__(self, names: str | tuple[str, ...]) -> DeviceMesh:
        chosen = (names,) if isinstance(names, str) else tuple(names)
        known = self.mesh_dim_names or ()
        if any(name not in known for name in chosen):
            raise KeyError(f"DeviceMesh has the axes {known}, not {chosen}")
        return DeviceMesh(self.device_type, zeros((1,) * len(chosen)), mesh_dim_names=chosen)

    def __repr__(self) -> str:
        return f"DeviceMesh({self.mesh.tolist()}, mesh_dim_names={self.mesh_dim_names})"


def init_device_mesh(
    device_type: str,
    mesh_shape: tuple[int, ...],
    *,
    mesh_dim_names: tuple[str, ...] | None = None,
    backend_override: Any = None,
) -> DeviceMesh:
    """A mesh of that shape.  Raises: NotImplementedError for more than one process."""
    if math.prod(mesh_shape) != 1:
        _refuse_many("init_device_mesh", math.prod(mesh_shape))
    return DeviceMesh(device_type, zeros(mesh_shape), mesh_dim_names=mesh_dim_names)
