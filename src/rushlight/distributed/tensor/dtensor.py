"""DTensor: a tensor that lies on a mesh of processes, of which there is one here.  Level 12.

In: a tensor, a mesh, a placement for each of its axes.  Out: a tensor that remembers them; what is
computed of it is one, too.  As each axis of the mesh has length 1, the local tensor is the whole
one, and no value is moved.  Source: torch.distributed.tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.distributed.device_mesh import DeviceMesh
from rushlight.distributed.tensor.placement_types import (
    DTensorSpec,
    Partial,
    Placement,
    Replicate,
    Shard,
)
from rushlight.overrides.interception import watch_for_good
from rushlight.tensor.tensor import Tensor
from rushlight.tensor.torch_function import DisableTorchFunctionSubclass, converted

__all__ = ["DTensor", "distribute_tensor"]


class DTensor(Tensor):
    """A tensor on a mesh.  Made by `distribute_tensor` or `DTensor.from_local`."""

    _mesh: DeviceMesh
    _placements: tuple[Placement, ...]

    def __new__(cls, local_tensor: Tensor, spec: DTensorSpec, *, requires_grad: bool = False):
        made = _placed(local_tensor.detach(), spec.mesh, tuple(spec.placements))
        made.requires_grad_(requires_grad)
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """All is done by `__new__`."""

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Compute on the local tensors; results lie on the same mesh."""
        kwargs = kwargs or {}
        found = _first((*args, *kwargs.values()))
        with DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
            if found is None:
                return result
            made = converted(result, DTensor, (*args, *kwargs.values()))
            _mark(made, found)
            return made

    @classmethod
    def from_local(
        cls,
        local_tensor: Tensor,
        device_mesh: DeviceMesh | None = None,
        placements: Sequence[Placement] | None = None,
        *,
        run_check: bool = False,
        shape: Any = None,
        stride: Any = None,
        grad_placements: Sequence[Placement] | None = None,
    ) -> DTensor:
        """The tensor whose part in this process is `local_tensor`; gradients flow back to it."""
        mesh = _mesh_or_one(device_mesh)
        return _placed(local_tensor, mesh, _whole(mesh, placements, local_tensor))

    @property
    def device_mesh(self) -> DeviceMesh:
        """The mesh it lies on."""
        return self._mesh

    @property
    def placements(self) -> tuple[Placement, ...]:
        """How it lies over each axis of the mesh."""
        return self._placements

    @property
    def _spec(self) -> DTensorSpec:
        return DTensorSpec.of(self._local_tensor, self._mesh, self._placements)

    @property
    def _local_tensor(self) -> Tensor:
        return self.to_local()

    def to_local(self, *, grad_placements: Sequence[Placement] | None = None) -> Tensor:
        """This process's part, which is all of it; gradients flow."""
        with DisableTorchFunctionSubclass():
            return self.as_subclass(Tensor)  # type: ignore[attr-defined]

    def full_tensor(self, *, grad_placements: Sequence[Placement] | None = None) -> Tensor:
        """The whole tensor."""
        return self.to_local()

    def redistribute(
        self,
        device_mesh: DeviceMesh | None = None,
        placements: Sequence[Placement] | None = None,
        *,
        async_op: bool = False,
        forward_dtype: Any = None,
        backward_dtype: Any = None,
    ) -> DTensor:
        """The same tensor with other placements.

        Raises: RuntimeError without placements, or if one of them is Partial, as in PyTorch.
        """
        if placements is None:
            raise RuntimeError("redistribute: placements is needed to redistribute")
        for placement in placements:
            if isinstance(placement, Partial):
                raise RuntimeError("redistribute: a tensor can not be redistributed to Partial")
        mesh = device_mesh or self._mesh
        local = self.to_local()
        return _placed(local, mesh, _whole(mesh, placements, local))

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        names = ", ".join(map(repr, self._placements))
        return (
            f"DTensor(local_tensor={self.to_local()}, device_mesh={self._mesh},"
            f" placements=({names}{',' if len(self._placements) == 1 else ''}))"
        )

    def __deepcopy__(self, memo: dict) -> DTensor:
        if not self.is_leaf:
            raise RuntimeError("deepcopy: only tensors that are leaves of the graph can be copied")
        with DisableTorchFunctionSubclass():
            copied = self.detach().as_subclass(Tensor).clone()  # type: ignore[attr-defined]
        made = _placed(copied, self._mesh, self._placements)
        made.requires_grad_(self.requires_grad)
        if hasattr(self, "_is_param"):
            made._is_param = True  # type: ignore[attr-defined]
        memo[id(self)] = made
        return made


def _placed(local: Tensor, mesh: DeviceMesh, placements: tuple[Placement, ...]) -> DTensor:
    watch_for_good()
    with DisableTorchFunctionSubclass():
        made = local.as_subclass(DTensor)  # type: ignore[attr-defined]
    made._mesh, made._placements = mesh, placements
    return made


def _first(values: Sequence[Any]) -> DTensor | None:
    """The first DTensor among arguments, lists of them looked into."""
    for value in values:
        if isinstance(value, DTensor):
            return value
        if isinstance(value, (list, tuple)):
            found = _first(value)
            if found is not None:
                return found
    return None


def _mark(result: Any, like: DTensor) -> None:
    """Say of results where they lie: whole, on the mesh of an operand."""
    if isinstance(result, DTensor):
        if not hasattr(result, "_mesh"):
            result._mesh = like._mesh
            same = result.shape == like.shape
            result._placements = (
                like._placements if same else (Replicate(),) * len(like._placements)
            )
    elif isinstance(result, (list, tuple)):
        for one in result:
            _mark(one, like)


def _mesh_or_one(mesh: DeviceMesh | None) -> DeviceMesh:
    return DeviceMesh("cpu", [0]) if mesh is None else mesh


def _whole(
    mesh: DeviceMesh, placements: Sequence[Placement] | None, tensor: Tensor
) -> tuple[Placement, ...]:
    """A placement for each axis of the mesh, axes of the tensor counted from its beginning."""
    if placements is None:
        return (Replicate(),) * mesh.ndim
    if len(placements) != mesh.ndim:
        raise ValueError(
            f"placements: a mesh with {mesh.ndim} axes needs as many placements, got {placements}"
        )
    return tuple(
        Shard(placement.dim % max(tensor.dim(), 1))
        if type(placement) is Shard and placement.dim < 0
        else placement
        for placement in placements
    )


def distribute_tensor(
    tensor: Tensor,
    device_mesh: DeviceMesh | None = None,
    placements: Sequence[Placement] | None = None,
    *,
    src_data_rank: int | None = 0,
) -> DTensor:
    """A leaf of the graph on the mesh, with the values of `tensor`."""
    mesh = _mesh_or_one(device_mesh)
    if isinstance(tensor, DTensor):
        return tensor.redistribute(mesh, placements)
    if not tensor.is_leaf:
        raise RuntimeError("distribute_tensor: the tensor must be a leaf of the graph")
    made = _placed(tensor.detach(), mesh, _whole(mesh, placements, tensor))
    made.requires_grad_(tensor.requires_grad)
    return made
