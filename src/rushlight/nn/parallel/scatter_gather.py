"""Splitting batches over accelerators and joining what they give; there is none.  Level 12.

As PyTorch without one, each function refuses what would have to be sent somewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.base.device import device as Device
from rushlight.nn.modules.module import Module


def _refuse_devices(name: str, devices: Sequence[Any]) -> None:
    for one in devices:
        named = Device(one) if isinstance(one, str) else one
        if getattr(named, "type", None) == "cpu":
            raise ValueError(f"Expected a non cpu device, but got: {named}")
        raise RuntimeError(
            f"{name}: device {one} is an accelerator, and rushlight runs on the CPU only; call the "
            "module itself"
        )


def replicate(network: Module, devices: Sequence[Any], detach: bool = False) -> list[Module]:
    """Copies of a module on each device: none for no devices.

    Raises: ValueError for the CPU, as PyTorch; RuntimeError for accelerators.
    """
    _refuse_devices("replicate", devices)
    return []


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """Pieces of tensors on each device.

    Raises: ValueError for the CPU, as PyTorch; RuntimeError for accelerators and no devices.
    """
    _refuse_devices("scatter", target_gpus)
    raise RuntimeError("scatter: no devices to scatter to; call the module itself")


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """Pieces of several devices as one tensor.  Raises: AssertionError for tensors on the CPU."""
    if not outputs:
        raise IndexError("list index out of range")
    raise AssertionError(
        "Gather function not implemented for CPU tensors; use torch.cat to join them"
    )


def parallel_apply(
    modules: Sequence[Module], inputs: Sequence[Any], kwargs_tup: Any = None, devices: Any = None
) -> list[Any]:
    """Each module called with its inputs, on its device.

    Raises: AssertionError for counts that differ; RuntimeError, as PyTorch without an accelerator.
    """
    if len(modules) != len(inputs):
        raise AssertionError(
            f"The number of modules {len(modules)} is not equal to the number of inputs "
            f"{len(inputs)}"
        )
    raise RuntimeError(
        "Cannot access accelerator device when none is available; call the modules one after the "
        "other"
    )
