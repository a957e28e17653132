"""Switches that PyTorch scripts set at their top: threads, precision, determinism, compiling.

Each is accepted where rushlight already keeps what it asks for, or keeps the value for whoever asks
again; none changes a result, because results depend neither on threads nor on how operations are
grouped.  What rushlight cannot keep is refused.  Level 12.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rushlight.base.device import CPU, device, resolve_device
from rushlight.base.threads import thread_count, usable_cores

__all__ = [
    "are_deterministic_algorithms_enabled",
    "compile",
    "get_default_device",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "is_deterministic_algorithms_warn_only_enabled",
    "set_default_device",
    "set_float32_matmul_precision",
    "set_num_interop_threads",
    "set_num_threads",
    "use_deterministic_algorithms",
]

PRECISIONS = ("highest", "high", "medium")


class _Settings:
    """The values that were set."""

    def __init__(self) -> None:
        self.interop_threads = usable_cores()
        self.precision = "highest"
        self.deterministic = False
        self.warn_only = False


_settings = _Settings()


def _thread_count(operation: str, count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int):
        raise RuntimeError(f"{operation} expects an int, but got {type(count).__name__}")
    if count < 1:
        raise RuntimeError(f"{operation} expects a positive integer")
    return count


def set_num_threads(count: int) -> None:
    """How many threads kernels may use.

    The reference executor computes in NumPy, which takes its number of threads from the environment
    (`OMP_NUM_THREADS`) when the process starts.
    Raises: RuntimeError unless `count` is a positive int.
    """
    thread_count.set(_thread_count("set_num_threads", count))


def get_num_threads() -> int:
    """What `set_num_threads` was given; else OMP_NUM_THREADS, or the cores of this process."""
    return thread_count.count


def set_num_interop_threads(count: int) -> None:
    """Kept for `get_num_interop_threads`: there is no pool between operations."""
    _settings.interop_threads = _thread_count("set_num_interop_threads", count)


def get_num_interop_threads() -> int:
    """What `set_num_interop_threads` was given, else the hardware threads."""
    return _settings.interop_threads


def set_float32_matmul_precision(precision: str) -> None:
    """How exactly float32 products must be computed: "highest", "high" or "medium".

    They are always computed in float32, which every value permits.  Warns about another value.
    """
    if precision not in PRECISIONS:
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the setting is unchanged",
            UserWarning,
            stacklevel=2,
        )
        return
    _settings.precision = precision


def get_float32_matmul_precision() -> str:
    """The precision last set."""
    return _settings.precision


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for the same bits in every run: rushlight has no algorithm that gives others."""
    _settings.deterministic = bool(mode)
    _settings.warn_only = bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """Whether determinism was asked for."""
    return _settings.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether it was asked for with `warn_only`."""
    return _settings.warn_only


def set_default_device(device: Any) -> None:
    """Where new tensors live: "cpu" or None.  Raises: what using another device raises."""
    resolve_device(device)


def get_default_device() -> device:
    """Where new tensors live: on the CPU."""
    return CPU


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Callable[..., Any]:
    """The model itself, unchanged; a decorator if called without one.

    Every operation is recorded and every recorded program planned as a whole already, whether it
    was marked or not, so there is nothing to wrap and no option to obey.
    Raises: AssertionError unless `model` can be called.
    """
    if model is None:
        return compile
    if not callable(model):
        raise AssertionError(f"A callable function is expected, but {type(model)} is provided.")
    return model
