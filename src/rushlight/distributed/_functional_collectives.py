"""Collectives that return their result and leave their operand as it is.  Level 12.

In: a tensor of this process, which is the only one of the group.  Out: what the group makes of it;
gradients flow.  Source: torch.distributed._functional_collectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.tensor.tensor import Tensor

__all__ = [
    "all_gather_tensor", "all_gather_tensor_autograd", "all_reduce", "all_reduce_coalesced",
    "all_to_all_single", "all_to_all_single_autograd", "broadcast", "reduce_scatter_tensor",
    "reduce_scatter_tensor_autograd", "wait_tensor",
]  # fmt: skip


def wait_tensor(tensor: Tensor) -> Tensor:
    """The tensor, once the collective that makes it is done: it is."""
    return tensor


def broadcast(self: Tensor, src: int, group: Any, tag: str = "") -> Tensor:
    """What process `src` has."""
    return self.clone()


def all_reduce(self: Tensor, reduceOp: str, group: Any, tag: str = "") -> Tensor:  # noqa: N803
    """The reduction over all processes."""
    return self.clone()


def all_reduce_coalesced(
    self: Sequence[Tensor],
    reduceOp: str,  # noqa: N803 - PyTorch's name
    group: Any,
    tag: str = "",
) -> list[Tensor]:
    """The reduction of each."""
    return [one.clone() for one in self]


def all_gather_tensor(self: Tensor, gather_dim: int, group: Any, tag: str = "") -> Tensor:
    """All processes' tensors, joined along an axis."""
    return self.clone()


def reduce_scatter_tensor(
    self: Tensor,
    reduceOp: str,  # noqa: N803 - PyTorch's name
    scatter_dim: int,
    group: Any,
    tag: str = "",
) -> Tensor:
    """This process's part of the reduction."""
    return self.clone()


def all_to_all_single(
    self: Tensor,
    output_split_sizes: Sequence[int] | None,
    input_split_sizes: Sequence[int] | None,
    group: Any,
    tag: str = "",
) -> Tensor:
    """What each process has for this one, joined along the first axis.

    Raises: RuntimeError unless the sizes are one number, the length of that axis.
    """
    for sizes in (output_split_sizes, input_split_sizes):
        if sizes is not None and list(sizes) != [self.shape[0]]:
            raise RuntimeError(
                f"all_to_all_single: one process takes all {self.shape[0]} rows, not {list(sizes)}"
            )
    return self.clone()


all_gather_tensor_autograd = all_gather_tensor
reduce_scatter_tensor_autograd = reduce_scatter_tensor
all_to_all_single_autograd = all_to_all_single
