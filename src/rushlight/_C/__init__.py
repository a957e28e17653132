"""The names of PyTorch's `torch._C` that programs use; there is no C++ library behind them.

What else is asked for is absent, as an attribute and for `hasattr`.  Level 12.
"""

from __future__ import annotations

from typing import Any

from rushlight._C import _nn
from rushlight.base.device import device, get_default_device
from rushlight.base.dtypes import DType as dtype
from rushlight.ops.generator import Generator, default_generator
from rushlight.tensor.grad_mode import is_grad_enabled
from rushlight.tensor.tensor import Size, Tensor
from rushlight.tensor.torch_function import (
    DisableTorchDispatch as _DisableTorchDispatch,
)
from rushlight.tensor.torch_function import (
    DisableTorchFunction,
    DisableTorchFunctionSubclass,
)
from rushlight.tensor.torch_function import (
    disabled_torch_dispatch as _disabled_torch_dispatch_impl,
)
from rushlight.tensor.torch_function import (
    disabled_torch_function as _disabled_torch_function_impl,
)
from rushlight.tensor.torch_function import state as _state

__all__ = [
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "Generator",
    "Graph",
    "Node",
    "Size",
    "Value",
    "_DisableTorchDispatch",
    "_disabled_torch_dispatch_impl",
    "_disabled_torch_function_impl",
    "_get_tracing_state",
    "_is_torch_function_enabled",
    "_log_api_usage_once",
    "_nn",
    "default_generator",
    "device",
    "dtype",
    "is_grad_enabled",
]

_TensorMeta: type = type(Tensor)


class _OfCompiler:
    """What PyTorch's compiler of TorchScript makes: none is made here, and no value is one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"torch._C.{type(self).__name__}: TorchScript is not compiled here; torch.fx has graphs"
        )


class Value(_OfCompiler):
    """A value of a TorchScript graph, as annotations name it."""


class Node(_OfCompiler):
    """A node of a TorchScript graph, as annotations name it."""


class Graph(_OfCompiler):
    """A TorchScript graph, as annotations name it."""


TensorBase = Tensor
_TensorBase = Tensor
_has_cuda = False
_has_mps = False


def _log_api_usage_once(event: str) -> None:
    """Report that a feature is used: nobody is told."""


def _get_tracing_state() -> Any:
    """What is being traced by TorchScript: nothing, Python runs as it stands."""
    return None


def _is_torch_function_enabled() -> bool:
    """Whether subclasses of Tensor are asked."""
    return _state.subclasses


def _is_torch_function_mode_enabled() -> bool:
    """Whether a mode is on."""
    return bool(_state.modes)


def _len_torch_function_stack() -> int:
    """How many modes are on."""
    return len(_state.modes)


def _get_default_device() -> str:
    """The kind of device on which tensors are made."""
    return get_default_device().type


def _jit_set_profiling_mode(mode: bool) -> bool:
    """A switch of TorchScript's interpreter; returns what it was: False."""
    return False


def _jit_set_profiling_executor(mode: bool) -> bool:
    """A switch of TorchScript's interpreter; returns what it was: False."""
    return False


# Switches of TorchScript's fusers: each says what it was and changes nothing, as all is compiled.
def _jit_can_fuse_on_cpu() -> bool:
    """Whether TorchScript's fuser is used on CPUs: False."""
    return False


def _jit_can_fuse_on_gpu() -> bool:
    """Whether TorchScript's fuser is used on GPUs: False."""
    return False


def _jit_override_can_fuse_on_cpu(enable: bool) -> None:
    """Use TorchScript's fuser on CPUs; there is none."""


def _jit_override_can_fuse_on_gpu(enable: bool) -> None:
    """Use TorchScript's fuser on GPUs; there is none."""


def _jit_set_texpr_fuser_enabled(enable: bool) -> bool:
    """Use TorchScript's newer fuser; it was not."""
    return False


def _jit_set_nvfuser_enabled(enable: bool) -> bool:
    """Use NVIDIA's fuser; it was not."""
    return False


def _jit_set_nvfuser_guard_mode(enable: bool) -> bool:
    """How NVIDIA's fuser checks its guesses."""
    return False


def _get_privateuse1_backend_name() -> str:
    """The name of a device of somebody else's: PyTorch's default, there is none."""
    return "privateuseone"


def _get_accelerator(check: bool | None = None) -> device:
    """The accelerator of this machine: none, so the CPU."""
    return device("cpu")


def _cuda_getDeviceCount() -> int:
    """Number of CUDA devices: 0."""
    return 0
