"""`autocast`: a context in which products compute in 16 bits and losses in 32.

In: the rules of `amp/rules.py` and the thread's state.  Out: contexts, decorators and the switches
behind them.  While no context is on, functions are as they are; see `overrides/interception.py`.
After the last context the functions stay under watch for a moment, because a training loop comes
back, and putting recording back into machine code takes some milliseconds.  Level 12.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

from rushlight.amp import rules
from rushlight.base.device import ACCELERATORS
from rushlight.base.device import device as Device
from rushlight.base.dtypes import DType, bfloat16, float16
from rushlight.base.observe import clock
from rushlight.engine.accelerators import KINDS
from rushlight.selfcompile import warmup
from rushlight.tensor.tensor import Tensor
from rushlight.tensor.torch_function import state

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_SUPPORTED = (bfloat16, float16)
_AVAILABLE = ("cpu", "cuda", "xpu", "mps", "ipu", "xla", "hpu", "mtia", "maia", "privateuseone")
_HALF_FIRST = ("cuda", "mps")  # kinds of device whose default is float16
_COMPUTING = ("cpu", *ACCELERATORS)
_LINGER_SECONDS = 1.0


class _Switches(threading.local):
    """A thread's settings by kind of device."""

    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        self.dtypes: dict[str, DType] = {}
        self.cache_enabled = True
        self.nesting = 0
        self.cached: dict[int, tuple[Tensor, int, Tensor]] = {}


_switches = _Switches()


class _Watch:
    """Who has autocast on, and whether its functions are under watch."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.watched: list[Any] = []
        self.devices = False
        self.left_at = 0.0

    def begin(self, devices: bool) -> None:
        """A context is entered; devices: whether one for an accelerator."""
        with self.lock:
            self.users += 1
            if not self.watched:
                warmup.suspend()
                self.devices = False
            elif self.devices or not devices:
                return
            known = {id(interceptor) for interceptor in self.watched}
            for interceptor in rules.interceptors(devices):
                if id(interceptor) not in known:
                    interceptor.watch()
                    self.watched.append(interceptor)
            self.devices = devices

    def end(self) -> None:
        """A context is left."""
        with self.lock:
            self.users -= 1
            self.left_at = clock()

    def end_if_idle(self) -> None:
        """Called now and then between flushes: leave what is not used any more."""
        with self.lock:
            if self.users or not self.watched or clock() - self.left_at < _LINGER_SECONDS:
                return
            for interceptor in self.watched:
                interceptor.leave()
            self.watched = []
        warmup.resume_soon()


_watch = _Watch()
warmup.WHILE_SUSPENDED.append(_watch.end_if_idle)


def _apply() -> None:
    """Let the thread's state say what its switches say."""
    kinds = [kind for kind in _COMPUTING if _switches.enabled.get(kind)]
    if kinds:
        cached = _switches.cached if _switches.cache_enabled else None
        dtypes = {kind: get_autocast_dtype(kind) for kind in kinds}
        state.autocast = rules.Casting(dtypes, cached)
    else:
        state.autocast = None


def is_autocast_available(device_type: str) -> bool:
    """Whether PyTorch knows autocast for this kind of device."""
    return device_type in _AVAILABLE


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for a kind of device."""
    return _switches.enabled.get(device_type, False)


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Switch autocast on or off for a kind of device; without a kind, for CUDA."""
    kind, value = ("cuda", device_type) if enabled is None else (device_type, enabled)
    before = _switches.enabled.get(kind, False)
    _switches.enabled[kind] = bool(value)
    if kind in _COMPUTING and bool(value) != before:
        if value:
            _watch.begin(kind != "cpu")
        else:
            _watch.end()
    _apply()


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype of products under autocast."""
    default = float16 if device_type in _HALF_FIRST else bfloat16
    return _switches.dtypes.get(device_type, default)


def set_autocast_dtype(device_type: str, dtype: DType) -> None:
    """Choose the dtype of products under autocast."""
    _switches.dtypes[device_type] = dtype
    _apply()


def get_autocast_cpu_dtype() -> DType:
    """The former `get_autocast_dtype("cpu")`."""
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: DType) -> None:
    """The former `set_autocast_dtype("cpu", dtype)`."""
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> DType:
    """The former `get_autocast_dtype("cuda")`."""
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: DType) -> None:
    """The former `set_autocast_dtype("cuda", dtype)`."""
    set_autocast_dtype("cuda", dtype)


def is_autocast_cpu_enabled() -> bool:
    """The former `is_autocast_enabled("cpu")`."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """The former `set_autocast_enabled("cpu", enabled)`."""
    set_autocast_enabled("cpu", enabled)


def is_autocast_cache_enabled() -> bool:
    """Whether a parameter that is used several times is cast once."""
    return _switches.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Choose whether a parameter that is used several times is cast once."""
    _switches.cache_enabled = bool(enabled)
    _apply()


def clear_autocast_cache() -> None:
    """Forget the parameters that were cast."""
    _switches.cached.clear()


def autocast_increment_nesting() -> int:
    """Count a context that is entered; returns how many are on."""
    _switches.nesting += 1
    return _switches.nesting


def autocast_decrement_nesting() -> int:
    """Count a context that is left; returns how many are on."""
    _switches.nesting -= 1
    return _switches.nesting


class autocast:  # noqa: N801 - PyTorch's name
    """Context or decorator in which products compute in `dtype` and losses in float32.

    device_type: "cpu"; for another kind of device a warning says that it is not there, and nothing
        is cast.
    dtype: bfloat16 (the CPU's default) or float16.
    cache_enabled: whether a parameter that is used several times is cast once.
    Raises: ValueError unless `device_type` is a string, RuntimeError for a kind without autocast.
    """

    def __init__(
        self,
        device_type: str,
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device_type if device_type in _AVAILABLE else Device(device_type).type
        if not is_autocast_available(self.device):
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{self.device}'"
            )
        self.custom_backend_name = "privateuseone"
        self.fast_dtype = get_autocast_dtype(self.device) if dtype is None else dtype
        self._cache_enabled = (
            is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        )
        if enabled and self.device == "cuda" and not KINDS["cuda"].backends():
            warnings.warn(
                "CUDA is not available or torch_xla is imported. Disabling autocast.", stacklevel=2
            )
            enabled = False
        elif enabled and self.device == "cpu" and self.fast_dtype not in _SUPPORTED:
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                "CPU Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled

    def __enter__(self) -> autocast:
        kind = self.device
        self.prev_cache_enabled = is_autocast_cache_enabled()
        self.prev = is_autocast_enabled(kind)
        self.prev_fastdtype = get_autocast_dtype(kind)
        _switches.cache_enabled = bool(self._cache_enabled)
        _switches.dtypes[kind] = self.fast_dtype
        set_autocast_enabled(kind, self._enabled)
        autocast_increment_nesting()
        return self

    def __exit__(self, *_: object) -> None:
        if autocast_decrement_nesting() == 0:
            clear_autocast_cache()
        _switches.cache_enabled = self.prev_cache_enabled
        _switches.dtypes[self.device] = self.prev_fastdtype
        set_autocast_enabled(self.device, self.prev)

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def casting(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return casting


def _cast(value: Any, device_type: str, dtype: DType) -> Any:
    if isinstance(value, Tensor):
        if value.device.type == device_type:
            return rules.cast_to(value, dtype)
        return value
    if isinstance(value, dict):
        return {key: _cast(inner, device_type, dtype) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(inner, device_type, dtype) for inner in value)
    return value


def custom_fwd(
    fwd: Callable[..., Any] | None = None,
    *,
    device_type: str,
    cast_inputs: DType | None = None,
) -> Callable[..., Any]:
    """Decorator for `forward` of an autograd Function.

    cast_inputs: under autocast, floating operands are cast to this dtype and the function runs
        without autocast; without it the function runs as autocast stands.
    """
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        context._dtype = get_autocast_dtype(device_type)
        if cast_inputs is None or not is_autocast_enabled(device_type):
            context._fwd_used_autocast = is_autocast_enabled(device_type)
            return fwd(*args, **kwargs)
        context._fwd_used_autocast = False
        with autocast(device_type=device_type, enabled=False):
            return fwd(
                *_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs)
            )

    return decorated


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """Decorator for `backward`: it runs under the autocast that its `forward` ran under."""
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        with autocast(device_type, enabled=context._fwd_used_autocast, dtype=context._dtype):
            return bwd(*args, **kwargs)

    return decorated
