"""Tensors that can be updated together: torch.utils._foreach_utils, which optimizers of other
libraries use.  Level 12."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.tensor.tensor import Tensor


def _get_foreach_kernels_supported_devices() -> list[str]:
    return ["cuda", "xpu", "mtia", "privateuseone"]


def _get_fused_kernels_supported_devices() -> list[str]:
    return ["mps", "cuda", "xpu", "hpu", "cpu", "mtia", "privateuseone"]


def _device_has_foreach_support(device: Any) -> bool:
    return device.type in (*_get_foreach_kernels_supported_devices(), "cpu")


def _has_foreach_support(tensors: Sequence[Any], device: Any) -> bool:
    return _device_has_foreach_support(device) and all(
        x is None or type(x) is Tensor for x in tensors
    )


def _group_tensors_by_device_and_dtype(
    tensorlistlist: list[list[Any]], with_indices: bool = False
) -> dict[tuple[Any, Any], tuple[list[list[Any]], list[int]]]:
    """Lists of tensors split by the device and dtype of those in the first list.

    Lists may be empty, and may have None at places, but the first.
    """
    first = tensorlistlist[0]
    places: dict[tuple[Any, Any], list[int]] = {}
    for place, tensor in enumerate(first):
        places.setdefault((tensor.device, tensor.dtype), []).append(place)
    return {
        key: (
            [[each[i] for i in chosen] if each else [] for each in tensorlistlist],
            chosen if with_indices else [],
        )
        for key, chosen in places.items()
    }
