"""The process group of one process, and its collectives.  Level 12.

In: tensors or objects of this process, which is rank 0 of 1. Out: what PyTorch leaves in that case:
a sum over one process is its own value, a gathered list has one element. More processes are refused
by NotImplementedError, where the group is made. Source: torch.distributed.
"""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from rushlight.distributed.stores import HashStore, Store
from rushlight.distributed.vocabulary import (
    Backend,
    BackendConfig,
    DebugLevel,
    ReduceOp,
    Work,
)
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

default_pg_timeout = timedelta(seconds=1800)
default_pg_nccl_timeout = timedelta(seconds=600)

GroupName = str

_NOT_INITIALIZED = (
    "Default process group has not been initialized, please make sure to call init_process_group."
)


class ProcessGroup:
    """The processes that take part in a collective: this one, or none."""

    def __init__(self, backend: Backend, ranks: tuple[int, ...], name: str, store: Store) -> None:
        self._backend = backend
        self._ranks = ranks
        self._name = name
        self.store = store

    def rank(self) -> int:
        """This process's place; -1 if it does not take part."""
        return 0 if self._ranks else -1

    def size(self) -> int:
        """Number of processes; -1 for a group without this one."""
        return len(self._ranks) or -1

    def name(self) -> str:
        """The backend's name."""
        return str(self._backend)

    @property
    def group_name(self) -> str:
        """The group's own name."""
        return self._name

    @property
    def group_desc(self) -> str:
        """What the group is for."""
        return "default_pg" if self is _World.group else "undefined"

    def _get_backend_name(self) -> str:
        return str(self._backend)


class _World:
    """The default group and those made since."""

    group: ProcessGroup | None = None
    groups: list[ProcessGroup] = []
    debug_level = DebugLevel.OFF


class _GroupConstants(type):
    @property
    def WORLD(cls) -> ProcessGroup | None:
        """The default group, once it is made."""
        return _World.group

    @WORLD.setter
    def WORLD(cls, pg: ProcessGroup | None) -> None:
        _World.group = pg


class group(metaclass=_GroupConstants):  # noqa: N801 - PyTorch's name
    """The default group, as `group.WORLD`."""


class GroupMember(metaclass=_GroupConstants):
    """The default group, and what `new_group` gives those who do not take part."""

    NON_GROUP_MEMBER = -100


# ---- what is there -------------------------------------------------------------------------------


def is_available() -> bool:
    """True: collectives over one process are."""
    return True


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return _World.group is not None


def is_gloo_available() -> bool:
    """True: the CPU's backend, of which one process needs nothing."""
    return True


def is_nccl_available() -> bool:
    """False."""
    return False


def is_mpi_available() -> bool:
    """False."""
    return False


def is_ucc_available() -> bool:
    """False."""
    return False


def is_xccl_available() -> bool:
    """False."""
    return False


def is_backend_available(backend: str) -> bool:
    """Whether it is gloo."""
    return backend.lower() == Backend.GLOO


def is_torchelastic_launched() -> bool:
    """Whether torchrun started this process."""
    return os.environ.get("TORCHELASTIC_RUN_ID") is not None


def get_default_backend_for_device(device: Any) -> str:
    """gloo, for the CPU."""
    name = str(device).partition(":")[0]
    if name != "cpu":
        raise ValueError(f"Default backend not registered for device : {device}")
    return Backend.GLOO


def supports_complex(reduceOp: ReduceOp) -> bool:  # noqa: N803 - PyTorch's name
    """Whether a reduction has a meaning for complex numbers."""
    return reduceOp not in (
        ReduceOp.MAX, ReduceOp.MIN, ReduceOp.PRODUCT, ReduceOp.BAND, ReduceOp.BOR, ReduceOp.BXOR,
    )  # fmt: skip


def get_debug_level() -> DebugLevel:
    """How much is checked."""
    return _World.debug_level


def set_debug_level(level: DebugLevel) -> None:
    """Say how much is checked; one process has nothing to be checked against."""
    _World.debug_level = DebugLevel(level)


def set_debug_level_from_env() -> None:
    """Take the level from TORCH_DISTRIBUTED_DEBUG."""
    name = os.environ.get("TORCH_DISTRIBUTED_DEBUG", "OFF").upper()
    if name not in DebugLevel.__members__:
        raise RuntimeError(
            "The value of TORCH_DISTRIBUTED_DEBUG must be one of OFF, INFO, DETAIL; it is " + name
        )
    _World.debug_level = DebugLevel[name]


# ---- groups --------------------------------------------------------------------------------------


def _refuse_many(name: str, size: Any) -> None:
    raise NotImplementedError(
        f"{name}: world size {size} needs several processes, and rushlight runs one (world size "
        "1); start the script by itself, or set WORLD_SIZE=1 and RANK=0"
    )


def _from_environment(name: str) -> int:
    value = os.environ.get(name)
    if value is None:
        raise ValueError(
            "Error initializing torch.distributed using env:// rendezvous: environment variable "
            f"{name} expected, but not set; set it (world size 1, rank 0), or pass world_size=1, "
            "rank=0 and a store"
        )
    return int(value)


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Store | None = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
    _ranks: list[int] | None = None,
) -> None:
    """Make the default group: of this process alone.

    Sizes come from the arguments, an init_method's query, or the environment (WORLD_SIZE, RANK).
    Raises: NotImplementedError for a world size above 1; ValueError if the group exists, or if
        neither arguments nor environment say the size.
    """
    if _World.group is not None:
        raise ValueError("trying to initialize the default process group twice!")
    if store is not None and init_method is not None:
        raise AssertionError("Cannot specify both init_method and store.")
    name = Backend(backend or Backend.GLOO)
    if ":" in name:  # one for each device, such as cpu:gloo,cuda:nccl
        parts = dict(part.split(":", 1) for part in name.split(","))
        name = Backend(parts.get("cpu", Backend.GLOO))
    if name not in (Backend.GLOO, Backend.FAKE, Backend.NCCL):
        raise RuntimeError(
            f"init_process_group: the backend {str(name)!r} is not available; use 'gloo'"
        )
    if name == Backend.NCCL:
        raise RuntimeError(
            "init_process_group: 'nccl' needs NVIDIA's GPUs, and rushlight runs on the CPU; use "
            "'gloo'"
        )
    world_size, rank = _place(init_method, store, world_size, rank)
    if world_size != 1:
        _refuse_many("init_process_group", world_size)
    if rank != 0:
        raise ValueError(f"init_process_group: rank {rank} in a world of size 1; it must be 0")
    _World.group = ProcessGroup(name, (0,), group_name or "0", store or HashStore())
    _World.groups = [_World.group]


def _place(
    init_method: str | None, store: Store | None, world_size: int, rank: int
) -> tuple[int, int]:
    """World size and rank, as the arguments, the URL or the environment say."""
    if store is not None:
        if world_size <= 0:
            raise AssertionError("world_size must be positive if using store")
        if rank < 0:
            raise AssertionError("rank must be non-negative if using store")
        return world_size, rank
    method = init_method or "env://"
    place, _, query = method.partition("?")
    for item in filter(None, query.split("&")):
        key, _, value = item.partition("=")
        if key == "world_size":
            world_size = int(value)
        elif key == "rank":
            rank = int(value)
    if place.startswith("env://"):
        if rank < 0:
            rank = _from_environment("RANK")
        if world_size < 0:
            world_size = _from_environment("WORLD_SIZE")
    elif not place.startswith(("tcp://", "file://")):
        raise RuntimeError(
            f"No rendezvous handler for {place.partition('://')[0]}://; use env://, tcp:// or "
            "file://"
        )
    elif world_size < 0 or rank < 0:
        raise ValueError(
            f"init_process_group: {place} needs world_size and rank; pass world_size=1, rank=0"
        )
    return world_size, rank


def register_rendezvous_handler(scheme: str, handler: Callable[..., Any]) -> None:
    """Raises: NotImplementedError always; one process meets nobody."""
    raise NotImplementedError(
        f"register_rendezvous_handler({scheme!r}): rushlight runs one process (world size 1), "
        "which has nobody to meet"
    )


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Forget a group, or all of them."""
    if _World.group is None:
        raise AssertionError("Process group cannot be None; call init_process_group first")
    if group is None or group is _World.group:
        _World.group = None
        _World.groups = []
    elif group in _World.groups:
        _World.groups.remove(group)
    else:
        raise ValueError("Invalid process group specified or has been destroyed.")


def _default() -> ProcessGroup:
    if _World.group is None:
        raise ValueError(_NOT_INITIALIZED)
    return _World.group


_get_default_group = _default


def _resolved(group: Any) -> ProcessGroup:
    """The group meant.  Raises: ValueError unless there is one with this process in it."""
    default = _default()
    if group is None:
        return default
    if not isinstance(group, ProcessGroup) or group not in _World.groups:
        raise ValueError("Invalid process group specified")
    return group


def _takes_part(group: Any) -> bool:
    return group is not GroupMember.NON_GROUP_MEMBER


def get_rank(group: ProcessGroup | None = None) -> int:
    """0; -1 in a group without this process."""
    _default()
    return 0 if _takes_part(group) else -1


def get_world_size(group: ProcessGroup | None = None) -> int:
    """1; -1 for a group without this process."""
    _default()
    return 1 if _takes_part(group) else -1


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """LOCAL_RANK of the environment, or the fallback."""
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is not None:
        return int(fallback_rank)
    raise RuntimeError(
        "LOCAL_RANK is not in the environment. Consider passing fallback_rank to allow "
        "`get_node_local_rank` to work, assuming you are not running in a multi-device context."
    )


def get_backend(group: ProcessGroup | None = None) -> Backend:
    """The backend's name."""
    return Backend(_resolved(group).name())


def get_backend_config(group: ProcessGroup | None = None) -> str:
    """Devices and their backends, as text."""
    return repr(BackendConfig(get_backend(group)))


def get_process_group_ranks(group: ProcessGroup | None = None) -> list[int]:
    """The ranks that take part: [0]."""
    return list(_resolved(group)._ranks)


def get_group_rank(group: ProcessGroup, global_rank: int) -> int:
    """A rank's place in a group.  Raises: ValueError if it does not take part."""
    ranks = _resolved(group)._ranks
    if global_rank not in ranks:
        raise ValueError(f"Global rank {global_rank} is not part of group {group}")
    return ranks.index(global_rank)


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """The rank at a place of a group.  Raises: ValueError if there is none."""
    ranks = _resolved(group)._ranks
    if not 0 <= group_rank < len(ranks):
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return ranks[group_rank]


def get_pg_count() -> int:
    """How many groups there are."""
    return len(_World.groups)


def new_group(
    ranks: Sequence[int] | None = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: Any = None,
    sort_ranks: bool = True,
) -> Any:
    """A group of some ranks: of rank 0, the only one.

    Raises: ValueError for ranks that are not there.
    """
    default = _default()
    chosen = (0,) if ranks is None else tuple(ranks)
    if len(chosen) > 1:
        raise ValueError(
            "the new group's world size should be less or equal to the world size set by "
            f"init_process_group, got {len(chosen)} ranks in a world of size 1"
        )
    if any(rank != 0 for rank in chosen):
        raise ValueError(
            "The new group's rank should be within the world_size set by init_process_group, got "
            f"{list(chosen)} in a world of size 1"
        )
    if not chosen:
        return GroupMember.NON_GROUP_MEMBER
    name = Backend(backend) if backend else default._backend
    made = ProcessGroup(name, chosen, str(len(_World.groups)), default.store)
    _World.groups.append(made)
    return made


def new_subgroups(
    group_size: int | None = None, group: ProcessGroup | None = None, **options: Any
) -> tuple[Any, list]:
    """Groups of `group_size` ranks each: one, of this process."""
    _resolved(group)
    if group_size not in (None, 1):
        raise ValueError(f"new_subgroups: group_size {group_size} exceeds the world size, 1")
    made = new_group([0])
    return made, [made]


def new_subgroups_by_enumeration(
    ranks_per_subgroup_list: Sequence[Sequence[int]], **options: Any
) -> tuple[Any, list]:
    """Groups of the given ranks."""
    made = [new_group(ranks) for ranks in ranks_per_subgroup_list]
    return next((g for g in made if _takes_part(g)), None), made


def split_group(parent_pg: Any = None, split_ranks: Any = None, **options: Any) -> Any:
    """The part of a group that this process is in: the group again."""
    _resolved(parent_pg)
    return new_group([0])


def shrink_group(ranks_to_exclude: Sequence[int], group: Any = None, **options: Any) -> Any:
    """A group without some ranks.  Raises: ValueError if none would be left."""
    _resolved(group)
    if 0 in ranks_to_exclude:
        raise ValueError("shrink_group: rank 0 is the only one and cannot be excluded")
    return new_group([0])


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
    """`all_gather` of several tensors."""
    for outputs, tensor in zip(output_tensor_lists, input_tensor_list, strict=True):
        all_gather([outputs[0]], tensor, group)
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
def record_comm(*args: Any, **options: Any) -> Iterator[list]:
    """A stretch whose transfers are recorded: none."""
    yield []


def breakpoint(rank: int = 0, skip: int = 0, **options: Any) -> None:
    """Stop in the debugger, on that rank."""
    if rank == get_rank():
        __import__("pdb").set_trace()
