"""Attention as one operation, whose kernels never write the matrix of scores down.  Level 2.

Where there are none, and where they would be slower, attention is composed of products and a
softmax (`ops/attention.py`).  Letters in shapes: B batch, H heads of queries, K heads of keys and
values, each for H / K of the former, L queries, S keys, E and V features.
"""

from __future__ import annotations

from rushlight.base.dtypes import bool_, float32, float64
from rushlight.tape.primitive import VARIADIC, Primitive

# Of what devices have kernels: dtypes, and features of a row at most.
IN_TILES = ("float32", "bfloat16", "float16")
WIDEST = 128
# Of what the CPU has them.
IN_BLOCKS = ("float32", "float64")
WIDEST_IN_BLOCKS = 256


def _kept(dtype):
    """The dtype of what is kept of each row."""
    return float64 if dtype is float64 else float32


def _check(query, key, value, masks) -> None:
    b, h, rows, width = query.shape
    _, k, columns, _ = key.shape
    right = (b, k, columns, width)
    if tuple(key.shape) != right or tuple(value.shape[:3]) != right[:3] or h % max(k, 1):
        raise RuntimeError(
            f"attention: query {list(query.shape)}, key {list(key.shape)} and value "
            f"{list(value.shape)} do not go together"
        )
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError(
            f"attention: expected one dtype, got {query.dtype}, {key.dtype} and {value.dtype}"
        )
    for given in masks:
        if any(n not in (1, m) for n, m in zip(given.shape, (b, h, rows, columns))):
            raise RuntimeError(
                f"attention: a mask of shape {list(given.shape)} does not broadcast to "
                f"{[b, h, rows, columns]}"
            )
        if given.dtype not in (bool_, _kept(query.dtype)):
            raise RuntimeError(f"attention: a mask of dtype {given.dtype}")


def _attention_result(query, key, value, *rest):
    *masks, _, _, _ = rest
    _check(query, key, value, masks)
    lead = tuple(query.shape[:3])
    return [((*lead, value.shape[3]), query.dtype), (lead, _kept(query.dtype))]


def _gradient_result(g, query, key, value, sums, delta, *rest):
    *masks, _, _, _ = rest
    _check(query, key, value, masks)
    return [(tuple(x.shape), x.dtype) for x in (query, key, value)]


# query (B, H, L, E), key (B, K, S, E), value (B, K, S, V), and a mask that broadcasts to
# (B, H, L, S), bool (True: may look) or added to the scores -> softmax(query key^T scale + mask)
# value (B, H, L, V), and the logarithm of each row's sum of exponentials (B, H, L).  causal: query
# i looks at keys j <= i.  A row that may look nowhere gives zeros.  dropped: the last operand is a
# whole bool matrix of weights to keep; others are zero once their sum was taken.
attention = Primitive(
    "attention", "attention", "opaque", VARIADIC, _attention_result, ("scale", "causal", "dropped"),
    multiple=True, grad_name="ScaledDotProductEfficientAttention", properties="sizeless",
)  # fmt: skip
# The cotangent of the result, what `attention` was given, the logarithms it gave, and of each row
# the sum of cotangent times result -> cotangents of query, key and value.
attention_gradient = Primitive(
    "attention_gradient", "attention", "opaque", VARIADIC, _gradient_result,
    ("scale", "causal", "dropped"), multiple=True, properties="sizeless",
)  # fmt: skip
