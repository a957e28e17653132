"""How a tensor lies over an axis of a mesh: split, repeated, or as parts of a sum.  Level 12.

Over an axis of length 1, the only one there is, each of them is the whole tensor.  Source:
torch.distributed.tensor.placement_types.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from rushlight.tensor.tensor import Tensor

__all__ = ["DTensorSpec", "Partial", "Placement", "Replicate", "Shard", "TensorMeta"]


class Placement:
    """What a tensor is over one axis of the mesh."""

    def is_shard(self, dim: int | None = None) -> bool:
        """Whether it is split, along `dim` if that is given."""
        return isinstance(self, Shard) and dim in (None, self.dim)

    def is_replicate(self) -> bool:
        """Whether each process has all of it."""
        return isinstance(self, Replicate)

    def is_partial(self, reduce_op: str | None = None) -> bool:
        """Whether each process has a part of a sum, or of another reduction."""
        return isinstance(self, Partial) and reduce_op in (None, self.reduce_op)


@dataclasses.dataclass(frozen=True)
class Shard(Placement):
    """Split along `dim` into as many pieces as the mesh's axis is long."""

    dim: int

    def __repr__(self) -> str:
        return f"Shard(dim={self.dim})"

    def __str__(self) -> str:
        return f"S({self.dim})"


@dataclasses.dataclass(frozen=True)
class _StridedShard(Shard):
    """Split along `dim` after another axis of the mesh has split it."""

    split_factor: int = 1


@dataclasses.dataclass(frozen=True)
class Replicate(Placement):
    """Whole in each process."""

    def __repr__(self) -> str:
        return "Replicate()"

    def __str__(self) -> str:
        return "R"


@dataclasses.dataclass(frozen=True)
class Partial(Placement):
    """The value is what `reduce_op` makes of all processes' tensors."""

    reduce_op: str = "sum"

    def __repr__(self) -> str:
        return f"Partial({self.reduce_op})"

    def __str__(self) -> str:
        return f"P({self.reduce_op})"


@dataclasses.dataclass(frozen=True)
class TensorMeta:
    """Shape, strides and dtype of the whole tensor."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: Any


@dataclasses.dataclass(frozen=True)
class DTensorSpec:
    """Mesh, placements and what is known of the whole tensor."""

    mesh: Any
    placements: tuple[Placement, ...]
    tensor_meta: TensorMeta | None = None

    @classmethod
    def of(cls, tensor: Tensor, mesh: Any, placements: tuple[Placement, ...]) -> DTensorSpec:
        """The specification of a tensor that lies on a mesh like that."""
        meta = TensorMeta(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)
        return cls(mesh, placements, meta)

    @property
    def device_mesh(self) -> Any:
        """The mesh."""
        return self.mesh

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole tensor."""
        assert self.tensor_meta is not None
        return self.tensor_meta.shape

    @property
    def dim_map(self) -> list[int]:
        """For each axis of the tensor the axis of the mesh that splits it, or -1."""
        axes = [-1] * len(self.shape)
        for axis, placement in enumerate(self.placements):
            if isinstance(placement, Shard):
                axes[placement.dim] = axis
        return axes
