"""Switches that PyTorch scripts set at their top: threads, precision, determinism.

Each is accepted where rushlight already keeps what it asks for, or keeps the value for whoever asks
again; none changes a result, because results depend neither on threads nor on how operations are
grouped.  What rushlight cannot keep is refused.  Level 12.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from rushlight.base.device import device as _device
from rushlight.base.device import (
    get_default_device,
    set_default_device,
)
from rushlight.base.dtypes import bfloat16, float16, float32, float64, set_default_dtype
from rushlight.base.errors import OutOfMemoryError
from rushlight.base.threads import thread_count, usable_cores
from rushlight.engine import cuda
from rushlight.ops.memory import TypedStorage, UntypedStorage
from rushlight.streams import Event, Stream
from rushlight.tensor.tensor import Tensor

__all__ = [
    "are_deterministic_algorithms_enabled",
    "AcceleratorError",
    "Event",
    "OutOfMemoryError",
    "Stream",
    "get_default_device",
    "get_deterministic_debug_mode",
    "get_device_module",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "init_num_threads",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_storage",
    "is_warn_always_enabled",
    "set_default_device",
    "set_default_tensor_type",
    "set_deterministic_debug_mode",
    "set_flush_denormal",
    "set_warn_always",
    "typename",
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
        self.warn_always = False


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

    On the CPU they are always computed in float32, which every value permits; on tensor cores of
    a CUDA device "high" and "medium" allow TF32.  Warns about another value.
    """
    if precision not in PRECISIONS:
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the setting is unchanged",
            UserWarning,
            stacklevel=2,
        )
        return
    _settings.precision = precision
    cuda.allow_tf32(precision != "highest")


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


_DEBUG_MODES = ("default", "warn", "error")


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """The same as `use_deterministic_algorithms` by a word or its number.

    debug_mode: "default" or 0, "warn" or 1, "error" or 2.
    Raises: TypeError, RuntimeError for another value.
    """
    if not isinstance(debug_mode, (int, str)) or isinstance(debug_mode, bool):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str):
        if debug_mode not in _DEBUG_MODES:
            raise RuntimeError(
                f"invalid value of debug_mode, expected one of {_DEBUG_MODES}, but got {debug_mode}"
            )
        debug_mode = _DEBUG_MODES.index(debug_mode)
    if not 0 <= debug_mode <= 2:
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}"
        )
    use_deterministic_algorithms(debug_mode > 0, warn_only=debug_mode == 1)


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2; see `set_deterministic_debug_mode`."""
    if not _settings.deterministic:
        return 0
    return 1 if _settings.warn_only else 2


def set_warn_always(b: bool, /) -> None:
    """Whether warnings that are given once are given every time; kept."""
    _settings.warn_always = bool(b)


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was given."""
    return _settings.warn_always


def set_flush_denormal(mode: bool) -> bool:
    """Ask for denormal numbers to become zero.  Returns False: they never do here."""
    return False


def init_num_threads() -> None:
    """Take the number of threads from the environment: done by itself."""


def set_default_tensor_type(t: Any, /) -> None:
    """The former `set_default_dtype`, by a type such as `FloatTensor` or its name.

    Raises: TypeError for what is no floating type, or lives on another device.
    """
    name = t if isinstance(t, str) else f"torch.{getattr(t, '__name__', t)}"
    kinds = {f"torch.{kind}Tensor": dtype for kind, dtype in _FLOATING_TYPES.items()}
    if name not in kinds:
        raise TypeError(f"set_default_tensor_type: {name} is no floating type of CPU tensors")
    set_default_dtype(kinds[name])


_FLOATING_TYPES = {"Float": float32, "Double": float64, "Half": float16, "BFloat16": bfloat16}


def typename(obj: Any, /) -> str:
    """The name of an object's type, as `torch.FloatTensor` of a tensor."""
    if isinstance(obj, Tensor):
        return obj.type()
    if getattr(obj, "__module__", None) and getattr(obj, "__qualname__", None):
        module, name = obj.__module__, obj.__qualname__
    else:
        module, name = type(obj).__module__, type(obj).__qualname__
    return name if module in (None, "builtins") else f"{module}.{name}"


def is_storage(obj: Any, /) -> bool:
    """Whether `obj` is the memory of a tensor, typed or not."""
    return isinstance(obj, (TypedStorage, UntypedStorage))


def get_device_module(device: Any = None) -> Any:
    """The module of a kind of device: `cpu`, `cuda`, ...  Raises: RuntimeError if there is none."""
    kind = "cpu" if device is None else _device(device).type
    try:
        return importlib.import_module(f"rushlight.{kind}")
    except ModuleNotFoundError:
        raise RuntimeError(
            f"Device '{kind}' does not have a corresponding module registered as 'torch.{kind}'."
        ) from None


class AcceleratorError(RuntimeError):
    """An accelerator reported an error; nothing raises it."""
