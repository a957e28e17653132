"""The process group of one process: how it is made and what it answers.  Level 12.

More processes are refused by NotImplementedError, where the group is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from rushlight.distributed.stores import HashStore, Store
from rushlight.distributed.vocabulary import (
    Backend,
    BackendConfig,
    DebugLevel,
    ReduceOp,
)

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
