"""Attention as launches on a device.  Level 9."""

from __future__ import annotations

from typing import Any

from rushlight.codegen.grid_attention import (
    FORWARD,
    OF_KEYS,
    OF_QUERIES,
    PARAMS,
    GridAttention,
    attention_kernel,
)
from rushlight.engine.device_products import on_tensor_cores
from rushlight.engine.device_step import DeviceStep, launch_of
from rushlight.lowering.attention import Attention
from rushlight.lowering.scalars import HALF

# Elements of 16 bits in 16 bytes.
_PIECE = 8
_RESULTS = {FORWARD: ("out", "sums"), OF_QUERIES: ("of_q",), OF_KEYS: ("of_k", "of_v")}


def attention_launches(item: Attention, backend: Any) -> list[DeviceStep]:
    """One launch forward; two backward, of queries and of keys and values."""
    acts = (OF_QUERIES, OF_KEYS) if item.gradient else (FORWARD,)
    return [_launch(act, item, backend) for act in acts]


def _launch(act: str, item: Attention, backend: Any) -> DeviceStep:
    whole = item.width % _PIECE == 0 and item.value_width % _PIECE == 0
    tensor_cores = item.dtype in HALF and whole and on_tensor_cores(item.dtype, backend)
    spec = GridAttention(
        act, item.dtype, item.width, item.value_width, item.causal, item.mask, tensor_cores,
        item.dropped,
    )  # fmt: skip
    heads, own = item.heads, item.rows
    if act == OF_KEYS:
        heads, own = item.heads // item.group, item.columns
    tiles = -(-own // spec.rows)
    names = ("mask_batch", "mask_head", "mask_row", "mask_column")
    words = {
        "heads": item.heads, "group": item.group, "rows": item.rows, "columns": item.columns,
        "tiles": tiles, "scale": item.scale, **dict(zip(names, item.mask_strides)),
    }  # fmt: skip
    return launch_of(
        backend.loaded(spec.name, lambda: attention_kernel(spec)),
        [item.buffers[name] for name in spec.buffers],
        {item.buffers[name] for name in _RESULTS[act]},
        [words[name] for name in PARAMS], item.batch * heads * tiles,
    )  # fmt: skip
