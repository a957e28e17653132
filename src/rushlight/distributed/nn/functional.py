"""Collectives that return their result, through which gradients flow.  Level 12.

In a group of one process a value goes to itself, and so does its gradient.
Source: torch.distributed.nn.functional.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.distributed.collectives import _check_root, _check_tensor, _check_tensors, _reduced
from rushlight.distributed.groups import _resolved
from rushlight.distributed.vocabulary import ReduceOp
from rushlight.tensor.tensor import Tensor

__all__ = [
    "all_gather", "all_reduce", "all_to_all", "all_to_all_single", "broadcast", "gather", "reduce",
    "reduce_scatter", "scatter",
]  # fmt: skip


def _own(tensor: Any, group: Any, name: str = "tensor") -> Tensor:
    """What this process has, as a value of its own.

    Raises: ValueError without a process group, TypeError for what is no tensor.
    """
    _check_tensor(tensor, name)
    _resolved(group)
    return tensor.clone()


def _only(tensors: Sequence[Tensor], group: Any, name: str) -> Tensor:
    _check_tensors(list(tensors), name)
    return _own(tensors[0], group, name)


def broadcast(tensor: Tensor, src: int, group: Any = None) -> Tensor:
    """What process `src` has."""
    _check_root("broadcast", src, None)
    return _own(tensor, group)


def gather(tensor: Tensor, dst: int = 0, group: Any = None) -> tuple[Tensor, ...]:
    """What each process has, on process `dst`."""
    _check_root("gather", dst, None)
    return (_own(tensor, group),)


def scatter(tensors: Sequence[Tensor], src: int = 0, group: Any = None) -> Tensor:
    """The tensor for this process out of the list that process `src` has."""
    _check_root("scatter", src, None)
    return _only(tensors, group, "tensors")


def reduce(tensor: Tensor, dst: int, op: Any = ReduceOp.SUM, group: Any = None) -> Tensor:
    """The reduction over all processes, on process `dst`."""
    _check_root("reduce", dst, None)
    return all_reduce(tensor, op, group)


def reduce_scatter(
    output: Tensor, input_list: Sequence[Tensor], op: Any = ReduceOp.SUM, group: Any = None
) -> Tensor:
    """The reduction of what all processes have for this one."""
    found = _only(input_list, group, "input_list")
    _reduced(found, op)
    return found


def all_gather(tensor: Tensor, group: Any = None) -> tuple[Tensor, ...]:
    """What each process has."""
    return (_own(tensor, group),)


def all_to_all(
    output_tensor_list: Sequence[Tensor], input_tensor_list: Sequence[Tensor], group: Any = None
) -> tuple[Tensor, ...]:
    """What each process has for this one."""
    return (_only(input_tensor_list, group, "input_tensor_list"),)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Any = None,
    input_split_sizes: Any = None,
    group: Any = None,
) -> Tensor:
    """What each process has for this one, joined."""
    return _own(input, group, "input")


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None) -> Tensor:
    """The reduction over all processes."""
    found = _own(tensor, group)
    _reduced(found, op)
    return found
