"""What collectives are spoken of in: reductions, backends, finished work, errors.  Level 12.

Source: torch.distributed.
"""

from __future__ import annotations

import enum
from concurrent.futures import Future
from typing import Any


class DistError(RuntimeError):
    """Something went wrong among processes."""


class DistBackendError(DistError):
    """A backend failed."""


class DistNetworkError(DistError):
    """The network failed."""


class DistStoreError(DistError):
    """A store failed."""


class QueueEmptyError(DistStoreError):
    """A store's queue has nothing to give."""


class ReduceOp(enum.IntEnum):
    """How values of several processes become one."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8

    def __repr__(self) -> str:
        return f"<RedOpType.{self.name}: {self.value}>"


# In PyTorch the values have a type of their own, inside of this one.
setattr(ReduceOp, "RedOpType", ReduceOp)  # noqa: B010 - an enumeration's own name for its values


class DebugLevel(enum.IntEnum):
    """How much is checked."""

    OFF = 0
    INFO = 1
    DETAIL = 2


class Backend(str):
    """A backend's name in small letters."""

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    UCC = "ucc"
    MPI = "mpi"
    XCCL = "xccl"
    FAKE = "fake"
    backend_list = [UNDEFINED, GLOO, NCCL, XCCL, UCC, MPI]
    default_device_backend_map = {"cpu": GLOO}
    backend_capability = {GLOO: ["cpu"]}

    def __new__(cls, name: str) -> Backend:
        if not isinstance(name, str):
            raise ValueError("Backend constructor parameter must be string-ish")
        return super().__new__(cls, name.lower())

    @classmethod
    def register_backend(cls, name: str, func: Any, *args: Any, **kwargs: Any) -> None:
        """Raises: NotImplementedError always; one process needs no backend of anybody's."""
        raise NotImplementedError(
            f"Backend.register_backend({name!r}): rushlight runs one process (world size 1), so a "
            "backend would have nothing to do"
        )


class BackendConfig:
    """Which backend serves which type of device."""

    def __init__(self, backend: Backend) -> None:
        self.device_backend_map = {"cpu": backend, "cuda": backend}

    def get_device_backend_map(self) -> dict[str, Backend]:
        """Type of device to backend."""
        return self.device_backend_map

    def __repr__(self) -> str:
        return ",".join(f"{device}:{name}" for device, name in self.device_backend_map.items())


class Work:
    """A collective that was started; with one process it is finished at once."""

    def __init__(self, result: Any = None) -> None:
        self._result = result

    def wait(self, timeout: Any = None) -> bool:
        """Returns True: nothing is left to be waited for."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True

    def is_success(self) -> bool:
        """True."""
        return True

    def exception(self) -> None:
        """None: it did not fail."""

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def result(self) -> list:
        """The tensors of the collective."""
        return [] if self._result is None else list(self._result)

    def source_rank(self) -> int:
        """The only rank, 0."""
        return 0

    def get_future(self) -> Any:
        """A future that already has the result."""
        future: Future[Any] = Future()
        future.set_result(self.result())
        return future
