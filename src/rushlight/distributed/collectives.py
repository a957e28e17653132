"""Collectives over one process: a sum is the value itself, a gathered list has one element.

Level 12.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rushlight.distributed.groups import (
    _default,
    _resolved,
    _takes_part,
    get_rank,
    supports_complex,
)
from rushlight.distributed.vocabulary import ReduceOp, Work
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

# ---- collectives of tensors ----------------------------------------------------------------------


def _finish(tensors: Sequence[Tensor], async_op: bool) -> Work | None:
    return Work(tensors) if async_op else None


def _check_tensor(tensor: Any, name: str) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor but got "
            f"{type(tensor)} instead."
        )


def _check_tensors(tensors: Any, name: str) -> None:
    if not isinstance(tensors, list) or not all(isinstance(x, Tensor) for x in tensors):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor] "
            f"but got {type(tensors)} instead."
        )
    if len(tensors) != 1:
        raise ValueError(f"{name} has {len(tensors)} tensors, but the group has 1 process")


def _check_root(operation: str, root: int | None, group_root: int | None) -> None:
    chosen = group_root if root is None else root
    if chosen not in (None, 0):
        raise RuntimeError(f"{operation}: invalid root rank: {chosen}; the only process is rank 0")


def _reduced(tensor: Tensor, op: Any) -> None:
    """One value reduced is itself; the operation is checked all the same."""
    try:
        op = ReduceOp(op)
    except ValueError:
        raise TypeError(f"op must be a ReduceOp, got {op!r}") from None
    if tensor.is_complex() and not supports_complex(op):
        raise ValueError(f"all_reduce does not support {op!r} on complex tensors")


def _put(target: Tensor, source: Tensor) -> None:
    with no_grad():
        target.copy_(source.reshape(target.shape) if target.shape != source.shape else source)


def all_reduce(
    tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Reduce over all processes, in place."""
    _check_tensor(tensor, "tensor")
    if not _takes_part(group):
        return None
    _resolved(group)
    _reduced(tensor, op)
    return _finish([tensor], async_op)


def all_reduce_coalesced(
    tensors: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Any:
    """Reduce several tensors, in place."""
    tensors = [tensors] if isinstance(tensors, Tensor) else tensors
    for tensor in tensors:
        all_reduce(tensor, op, group)
    return _finish(tensors, async_op)


def reduce(
    tensor: Tensor,
    dst: int | None = None,
    op: Any = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Reduce to one process."""
    _check_root("reduce", dst, group_dst)
    return all_reduce(tensor, op, group, async_op)


def broadcast(
    tensor: Tensor,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """One process's value to all."""
    _check_tensor(tensor, "tensor")
    if not _takes_part(group):
        return None
    _resolved(group)
    _check_root("broadcast", src, group_src)
    return _finish([tensor], async_op)


def all_gather(
    tensor_list: list, tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """All processes' values, in a list for each process."""
    _check_tensor(tensor, "tensor")
    if not _takes_part(group):
        return None
    _resolved(group)
    _check_tensors(tensor_list, "tensor_list")
    _put(tensor_list[0], tensor)
    return _finish(tensor_list, async_op)


def all_gather_coalesced(
    output_tensor_lists: list, input_tensor_list: list, group: Any = None, async_op: bool = False
) -> Any:
    """`all_gather` of several tensors: a list for each process, of a tensor for each of its own."""
    for tensor in input_tensor_list:
        _check_tensor(tensor, "input_tensor_list")
    if len(output_tensor_lists) != 1 or len(output_tensor_lists[0]) != len(input_tensor_list):
        raise ValueError(
            "all_gather_coalesced: output_tensor_lists must have one list, of this process, with "
            f"{len(input_tensor_list)} tensors, got lengths {[*map(len, output_tensor_lists)]}"
        )
    for output, tensor in zip(output_tensor_lists[0], input_tensor_list):
        all_gather([output], tensor, group)
    return _finish(input_tensor_list, async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """All processes' values along the first axis of one tensor."""
    _check_tensor(output_tensor, "output_tensor")
    _check_tensor(input_tensor, "input_tensor")
    if not _takes_part(group):
        return None
    _resolved(group)
    if output_tensor.numel() != input_tensor.numel():
        raise ValueError(
            "output tensor size must be equal to world_size times input tensor size, got "
            f"{tuple(output_tensor.shape)} and {tuple(input_tensor.shape)}"
        )
    _put(output_tensor, input_tensor)
    return _finish([output_tensor], async_op)


all_gather_single = all_gather_into_tensor


def gather(
    tensor: Tensor,
    gather_list: list | None = None,
    dst: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """All processes' values, in a list at one process."""
    _check_tensor(tensor, "tensor")
    if not _takes_part(group):
        return None
    _resolved(group)
    _check_root("gather", dst, group_dst)
    if not gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    return all_gather(gather_list, tensor, group, async_op)


def scatter(
    tensor: Tensor,
    scatter_list: list | None = None,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """One tensor of a list at one process to each."""
    _check_tensor(tensor, "tensor")
    if not _takes_part(group):
        return None
    _resolved(group)
    _check_root("scatter", src, group_src)
    if not scatter_list:
        raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
    _check_tensors(scatter_list, "scatter_list")
    _put(tensor, scatter_list[0])
    return _finish([tensor], async_op)


def reduce_scatter(
    output: Tensor,
    input_list: list,
    op: Any = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Reduce a list of tensors, one for each process."""
    _check_tensor(output, "output")
    if not _takes_part(group):
        return None
    _resolved(group)
    _check_tensors(input_list, "input_list")
    _reduced(output, op)
    _put(output, input_list[0])
    return _finish([output], async_op)


def reduce_scatter_tensor(
    output: Tensor, input: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Reduce, and keep one part along the first axis: all of it."""
    return reduce_scatter(output, [input.reshape(output.shape)], op, group, async_op)


reduce_scatter_single = reduce_scatter_tensor


def all_to_all(
    output_tensor_list: list, input_tensor_list: list, group: Any = None, async_op: bool = False
) -> Work | None:
    """The j-th tensor of each process to process j."""
    if not _takes_part(group):
        return None
    _resolved(group)
    _check_tensors(output_tensor_list, "output_tensor_list")
    _check_tensors(input_tensor_list, "input_tensor_list")
    _put(output_tensor_list[0], input_tensor_list[0])
    return _finish(output_tensor_list, async_op)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """`all_to_all` of the parts along the first axis."""
    return all_to_all([output], [input], group, async_op)


def barrier(
    group: Any = None, async_op: bool = False, device_ids: Any = None, timeout: Any = None
) -> Work | None:
    """Until all processes are here, as they are."""
    if not _takes_part(group):
        return None
    _resolved(group)
    return _finish([], async_op)


def monitored_barrier(group: Any = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """`barrier`; no rank can be missing."""
    barrier(group)


# ---- collectives of objects ----------------------------------------------------------------------


def all_gather_object(object_list: list, obj: Any, group: Any = None) -> None:
    """All processes' objects into a list; copies, as others would send them."""
    if not _takes_part(group):
        return
    _resolved(group)
    object_list[0] = copy.deepcopy(obj)


def gather_object(
    obj: Any,
    object_gather_list: list | None = None,
    dst: int | None = None,
    group: Any = None,
    group_dst: int | None = None,
) -> None:
    """All processes' objects into a list at one process."""
    _check_root("gather_object", dst, group_dst)
    if _takes_part(group) and not object_gather_list:
        raise ValueError("Argument ``object_gather_list`` must be specified on destination rank.")
    all_gather_object(object_gather_list or [None], obj, group)


def broadcast_object_list(
    object_list: list,
    src: int | None = None,
    group: Any = None,
    device: Any = None,
    group_src: int | None = None,
) -> None:
    """One process's objects to all."""
    if not _takes_part(group):
        return
    _resolved(group)
    _check_root("broadcast_object_list", src, group_src)


def scatter_object_list(
    scatter_object_output_list: list,
    scatter_object_input_list: list | None = None,
    src: int | None = None,
    group: Any = None,
    group_src: int | None = None,
) -> None:
    """One object of a list at one process to each."""
    if not _takes_part(group):
        return
    _resolved(group)
    _check_root("scatter_object_list", src, group_src)
    if not scatter_object_output_list:
        raise ValueError(
            "Expected argument scatter_object_output_list to be a list of size at least 1."
        )
    if not scatter_object_input_list:
        raise ValueError("source rank must provide non-empty scatter_object_input_list")
    scatter_object_output_list[0] = copy.deepcopy(scatter_object_input_list[0])


# ---- from one process to another -----------------------------------------------------------------


def _nobody(operation: str, peer: Any) -> Any:
    _default()
    raise ValueError(
        f"{operation}: there is no other process than rank 0, so nothing can go to or come from "
        f"rank {peer}"
    )


def send(tensor: Tensor, dst: Any = None, group: Any = None, tag: int = 0, group_dst: Any = None):
    """Raises: ValueError always; there is nobody else."""
    return _nobody("send", group_dst if dst is None else dst)


def recv(tensor: Tensor, src: Any = None, group: Any = None, tag: int = 0, group_src: Any = None):
    """Raises: ValueError always; there is nobody else."""
    return _nobody("recv", group_src if src is None else src)


def isend(tensor: Tensor, dst: Any = None, group: Any = None, tag: int = 0, group_dst: Any = None):
    """Raises: ValueError always; there is nobody else."""
    return _nobody("isend", group_dst if dst is None else dst)


def irecv(tensor: Tensor, src: Any = None, group: Any = None, tag: int = 0, group_src: Any = None):
    """Raises: ValueError always; there is nobody else."""
    return _nobody("irecv", group_src if src is None else src)


def send_object_list(object_list: list, dst: Any = None, group: Any = None, **options: Any) -> None:
    """Raises: ValueError always; there is nobody else."""
    _nobody("send_object_list", dst)


def recv_object_list(object_list: list, src: Any = None, group: Any = None, **options: Any) -> int:
    """Raises: ValueError always; there is nobody else."""
    return _nobody("recv_object_list", src)


class P2POp:
    """One transfer of a batch."""

    def __init__(
        self,
        op: Callable[..., Any],
        tensor: Tensor,
        peer: int | None = None,
        group: Any = None,
        tag: int = 0,
        group_peer: int | None = None,
    ) -> None:
        self.op = op
        self.tensor = tensor
        self.peer = group_peer if peer is None else peer
        self.group = group
        self.tag = tag


def batch_isend_irecv(p2p_op_list: list[P2POp]) -> list:
    """Start several transfers.  Raises: ValueError, as each has nobody to go to."""
    return [p.op(p.tensor, p.peer, p.group, p.tag) for p in p2p_op_list]


@contextlib.contextmanager
def record_comm(name: str) -> Iterator[None]:
    """A stretch whose transfers a profile shows under a name: one process has none."""
    yield


def breakpoint(rank: int = 0, skip: int = 0, **options: Any) -> None:
    """Stop in the debugger, on that rank."""
    if rank == get_rank():
        __import__("pdb").set_trace()
