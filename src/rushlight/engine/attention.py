"""Attention as native steps of the CPU.  Level 9."""

from __future__ import annotations

import struct
from typing import Any

from rushlight.base.dtypes import dtype_by_name
from rushlight.base.symbolic import largest, smallest
from rushlight.codegen.attention import attention_names, attention_text
from rushlight.codegen.attention_rows import (
    BACKWARD_BUFFERS,
    FORWARD_BUFFERS,
    KEYS,
    PARAMS,
    AttentionSpec,
    attention_tiles,
)
from rushlight.engine.kernels import library_of_text
from rushlight.engine.steps import NativeStep
from rushlight.lowering.attention import Attention
from rushlight.runtime.host import host_target
from rushlight.tape.program import Program

# Multiply-adds that one thread takes at least, as of matrix products.
_SMALLEST_SHARE = 1 << 18
# Queries of a block forward, whole tiles of rows: few enough that their scores and what they found
# stay in cache beside panels of keys and values.  Up to so many keys are computed for a query in
# vain where it sees only those before it.
_QUERIES, _QUERIES_CAUSAL = 48, 24
# Backward: keys and queries of a block, and the memory on the stack up to which the first that fit
# are taken.
_BLOCKS = ((96, 36), (64, 24), (32, 24))
_STACK_BYTES = 224 << 10
_ROUNDED = 64
# Heads of keys from which on a gradient is not cut along the keys, too.
_ENOUGH = 16


def attention_steps(item: Attention, program: Program) -> list[NativeStep]:
    """The steps of attention, or of its gradient."""
    spec = attention_spec(item)
    target = host_target()
    names = attention_names(spec)
    library = library_of_text(repr(spec), names, lambda: attention_text(spec, target))
    members = item.batch * item.heads
    work = members * item.rows * item.columns * (item.width + item.value_width)
    queries = _QUERIES_CAUSAL if item.causal else _QUERIES
    words: dict[str, Any] = {
        "heads": item.heads, "group": item.group, "rows": item.rows, "columns": item.columns,
        "width": item.width, "value_width": item.value_width, "block": queries, "blocks": 1,
        "keys": KEYS, "members": members, "scale": _bits(item.scale),
        **dict(zip(("mask_batch", "mask_head", "mask_row"), item.mask_strides)),
    }  # fmt: skip
    # Nobody looks at what a form does not have.
    buffers = {**dict.fromkeys(("mask", "kept"), item.buffers["q"]), **item.buffers}

    order = BACKWARD_BUFFERS if item.gradient else FORWARD_BUFFERS

    def step(name: str, written: set[str], extent: Any, **own) -> NativeStep:
        given = {**words, **own}
        return NativeStep(
            library,
            name,
            [buffers[place] for place in order],
            {buffers[place] for place in written},
            [(given[word], None, False) for word in PARAMS],
            extent,
            largest([1, _SMALLEST_SHARE * extent // largest([1, work])]),
        )

    dtype = dtype_by_name(item.dtype)
    of_keys = members // item.group
    if not item.gradient:
        packed = -(-item.columns // KEYS)
        columns = attention_tiles(item.dtype, target).columns
        size = -(-KEYS // columns) * columns * item.width
        size += -(-item.value_width // columns) * columns * KEYS
        buffers["panels"] = program.new_value((of_keys, packed, size), dtype).slot
        rows = -(-item.rows // queries)
        return [
            step(names[0], {"panels"}, of_keys * packed, blocks=packed),
            step(names[1], {"out", "sums"}, members * rows, blocks=rows),
        ]
    keys, block = _blocks(item)
    parts = 1
    if of_keys < _ENOUGH:
        parts = smallest([-(-_ENOUGH // of_keys), -(-item.columns // keys)])
    buffers["partial"] = buffers["of_q"]
    if parts != 1:
        shape = (parts, members, item.rows, item.width)
        buffers["partial"] = program.new_value(shape, dtype).slot
    chosen = {"keys": keys, "block": block, "blocks": parts}
    written = {"of_k", "of_v", "partial"}
    steps = [step(names[0], written, of_keys * parts, **chosen)]
    if parts != 1:
        steps.append(step(names[1], {"of_q"}, members, **chosen))
    return steps


def attention_spec(item: Attention) -> AttentionSpec:
    """What the code depends on."""
    words = ["attention", item.dtype]
    words += ["causal"] * item.causal + [item.mask] * bool(item.mask)
    words += ["dropped"] * item.dropped + ["gradient"] * item.gradient
    return AttentionSpec(
        "_".join(words), item.dtype, item.gradient, item.causal, item.mask, item.dropped
    )


def _blocks(item: Attention) -> tuple[int, int]:
    """(keys, queries) of a block backward."""
    size = dtype_by_name(item.dtype).itemsize
    width, wide = (-(-x // _ROUNDED) * _ROUNDED for x in (item.width, item.value_width))
    for keys, block in _BLOCKS:
        elements = keys * (3 * width + 2 * wide)
        elements += block * (2 * (keys + _ROUNDED) + 2 * width + wide)
        if elements * size <= _STACK_BYTES:
            return keys, block
    return _BLOCKS[-1]


def _bits(number: float) -> int:
    """A float64 as a kernel's word."""
    return struct.unpack("<q", struct.pack("<d", number))[0]
