"""Scaled dot-product attention and multi-head attention.  Level 11.

Letters in shapes: B batch, H heads, L query positions, S key positions, E features.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from rushlight.base.device import placing
from rushlight.base.dtypes import bool_, float32, float64
from rushlight.base.hot import hot
from rushlight.base.limits import finfo
from rushlight.base.orders import axes_of_copy
from rushlight.ops.creation import filled
from rushlight.ops.dropout import dropout, kept_elements
from rushlight.ops.joining import cat, repeat_interleave
from rushlight.ops.matmul import linear
from rushlight.ops.padding import padded
from rushlight.ops.promotion import check_tensor, constant, to_dtype, widened
from rushlight.ops.shaping import expand, narrow, reshape
from rushlight.primitives import elementwise as e
from rushlight.primitives import movement as p
from rushlight.primitives.attention import IN_TILES, WIDEST, WIDEST_IN_BLOCKS, attention
from rushlight.primitives.contraction import matmul
from rushlight.primitives.reduction import reduce_max, reduce_sum
from rushlight.tape.tape import local
from rushlight.tensor.block_call import replayed
from rushlight.tensor.graph import named
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor, strides_of, tensor_from_numpy

# Rows of queries from which on the CPU's kernels of attention are faster than products and a
# softmax, which compute weights once: shorter matrices of scores stay in cache as a whole.
_FEWEST_ROWS, _FEWEST_CAUSAL = 192, 72


# One tensor for all layers: a program then has one leaf.
@functools.lru_cache(maxsize=64)
def _causal_mask(rows: int, columns: int, placed: bool) -> Tensor:
    """True where position i may look at position j <= i.  placed: as of `placing`."""
    return tensor_from_numpy(np.tri(rows, columns, dtype=np.bool_), bool_)


def _as_bias(mask: Tensor, like: Tensor) -> Tensor:
    """An additive mask: 0 where attention is allowed, -inf elsewhere."""
    if mask._node.dtype is not bool_:
        return mask if mask._node.dtype is like._node.dtype else e.cast(mask, like._node.dtype)
    return e.where(mask, like._scalar(0.0), like._scalar(float("-inf")))


@hot
def _check_attention(query, key, value, attn_mask, is_causal: bool) -> None:
    for name, x in (("query", query), ("key", key), ("value", value)):
        check_tensor("scaled_dot_product_attention", x, name)
        if len(x._node.shape) < 2:
            raise RuntimeError(
                f"Expected query, key, and value to all be at least 2 dimensional, but got {name} "
                f"of {len(x._node.shape)} dims"
            )
    if not query._node.dtype is key._node.dtype is value._node.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{query._node.dtype} key.dtype: {key._node.dtype} and value.dtype: "
            f"{value._node.dtype} instead."
        )
    if attn_mask is not None and is_causal:
        raise RuntimeError(
            "scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
        )
    if attn_mask is not None and attn_mask._node.dtype not in (bool_, query._node.dtype):
        if not attn_mask._node.dtype.is_floating_point:
            raise RuntimeError(
                "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
                f"attn_mask.dtype: {attn_mask._node.dtype} and query.dtype: {query._node.dtype}"
            )


@hot
def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
) -> Tensor:
    """softmax(query key^T scale + mask) value.

    Shapes: query (..., L, E), key (..., S, E), value (..., S, Ev); batch axes broadcast.
    attn_mask: bool (True: may look) or additive, broadcasting to (..., L, S).
    A row that may look nowhere gives zeros.  Source:
    torch.nn.functional.scaled_dot_product_attention.
    """
    _check_attention(query, key, value, attn_mask, is_causal)
    factor = 1 / math.sqrt(query._node.shape[-1]) if scale is None else scale
    if _has_kernels(query, key, value, attn_mask, is_causal, enable_gqa, dropout_p):
        found = _in_blocks(query, key, value, attn_mask, factor, is_causal, dropout_p)
        return found if dropout_p > 0.0 else _laid_as(found, query, key, value, attn_mask)
    if enable_gqa:
        heads = query._node.shape[-3]
        key = repeat_interleave(key, heads // key._node.shape[-3], -3)
        value = repeat_interleave(value, heads // value._node.shape[-3], -3)
    causal = None
    if is_causal:
        causal = _causal_mask(query._node.shape[-2], key._node.shape[-2], placing.begun)
    attend = _attention if dropout_p == 0.0 else _attention.__wrapped__  # type: ignore[attr-defined]
    found = attend(query, key, value, attn_mask, causal, factor, dropout_p)
    return found if dropout_p > 0.0 else _laid_as(found, query, key, value, attn_mask)


@hot
def _laid_as(found: Tensor, query: Tensor, key: Tensor, value: Tensor, attn_mask) -> Tensor:
    """The result with its axes in memory as those of the query, where PyTorch has it so."""
    shape = query._node.shape
    if found._node.shape == shape and len(shape) == 4:
        strides = strides_of(query)
        fits = strides[-1] == strides_of(key)[-1] == strides_of(value)[-1] == 1
        if fits and (attn_mask is None or current_edge(attn_mask) is None):
            axes = axes_of_copy(shape, strides)
            if axes is not None or found._node.step.order is not None:
                return p.copy(found, axes or (0, 1, 2, 3))
    return found


def _has_kernels(
    query, key, value, attn_mask, causal: bool, enable_gqa: bool, dropout_p: float
) -> bool:
    """Whether kernels compute attention without the matrix of scores, and faster than with it."""
    q, k, v = query._node.shape, key._node.shape, value._node.shape
    if local.tape.transforms is not None or not len(q) == len(k) == len(v) <= 4:
        return False
    heads_fit = q[:-2] == k[:-2] or (
        enable_gqa and len(q) > 2 and q[:-3] == k[:-3] and k[-3] != 0 and q[-3] % k[-3] == 0
    )
    fits = k[:-2] == v[:-2] and k[-2] == v[-2] and q[-1] == k[-1] and heads_fit
    if attn_mask is not None:
        mask = (1,) * 4 + attn_mask._node.shape
        full = (1,) * 2 + q[:-1] + k[-2:-1]
        fits = fits and all([n in (1, m) for n, m in zip(mask[-4:], full[-4:])])
        fits = fits and len(attn_mask._node.shape) <= len(q)
    if not fits or 0 in (*q, *k, *v):
        return False
    place = query.device.type if placing.begun else "cpu"
    if place == "cpu":
        if q[-2] < (_FEWEST_CAUSAL if causal else _FEWEST_ROWS):
            return False
        if attn_mask is not None:
            # A mask's cotangent is a matrix of scores; and masks are read along the keys.
            whole = attn_mask._node.shape[-1] == k[-2] if attn_mask._node.shape else False
            if not whole or current_edge(attn_mask) is not None:
                return False
        if not 0.0 <= dropout_p < 1.0:
            return False
        return max(q[-1], v[-1]) <= WIDEST_IN_BLOCKS and query._node.dtype.is_floating_point
    fits = 0.0 <= dropout_p < 1.0 and query._node.dtype.name in IN_TILES
    fits = fits and max(q[-1], v[-1]) <= WIDEST
    return place == "cuda" and fits


def _of_four_axes(x: Tensor) -> Tensor:
    shape = x._node.shape
    return x if len(shape) == 4 else p.reshape(x, (1,) * (4 - len(shape)) + shape)


def _in_blocks(
    query, key, value, attn_mask, factor: float, causal: bool, dropout_p: float
) -> Tensor:
    dtype = query._node.dtype
    shape = (*query._node.shape[:-1], value._node.shape[-1])
    operands = [_of_four_axes(x) for x in (query, key, value)]
    if not placing.begun or query.device.type == "cpu":
        # 16-bit operands are computed with in float32, and rounded once at the end.
        operands = [widened(x) for x in operands]
    if attn_mask is not None:
        mask, kept = attn_mask, float64 if dtype is float64 else float32
        if mask._node.dtype is not bool_ and mask._node.dtype is not kept:
            mask = e.cast(mask, kept)
        operands.append(_of_four_axes(mask))
    dropped = dropout_p > 0.0
    if dropped:
        weights = (*query._node.shape[:-1], key._node.shape[-2])
        operands.append(_of_four_axes(kept_elements(weights, dropout_p, query.device)))
    found, _ = attention(tuple(operands), float(factor), bool(causal), dropped)
    if dropped:
        found = e.mul(found, found._scalar(1.0 / (1.0 - dropout_p)))
    if found._node.shape != shape:
        found = p.reshape(found, shape)
    found = to_dtype(found, dtype)
    return named(found, "ScaledDotProductFlashAttentionForCpuBackward0")


@replayed
def _attention(query, key, value, attn_mask, causal, factor: float, dropout_p: float) -> Tensor:
    dtype = query._node.dtype
    # 16-bit operands are computed with in float32, and rounded once at the end.
    query, key, value = widened(query), widened(key), widened(value)
    scores = matmul(e.mul(query, query._scalar(factor)), key, False, True)  # (..., L, S)
    if causal is not None:
        scores = e.where(causal, scores, scores._scalar(float("-inf")))
    if attn_mask is not None:
        scores = e.add(scores, _as_bias(attn_mask, scores))
    weights = _safe_softmax(scores)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p, True)
    found = to_dtype(matmul(weights, value, False, False), dtype)
    return named(found, "ScaledDotProductFlashAttentionForCpuBackward0")


def _safe_softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis that gives zeros where every score is -inf."""
    last = len(scores._node.shape) - 1
    if scores._node.shape[last] == 0:
        return scores
    # As softmax, but no infinity is taken from such a row, and 1 added to its sum of 0: constants
    # of each row, which backward does not see.
    top = reduce_max(constant(scores), (last,), True)
    lowest = top._scalar(finfo(top._node.dtype).min)
    weights = e.exp(e.sub(scores, e.maximum(top, lowest)))
    empty = e.cast(e.lt(top, lowest), weights._node.dtype)
    total = e.add(reduce_sum(weights, (last,), True), empty)
    return named(e.mul(weights, e.reciprocal(total)), "SoftmaxBackward0")


# ---- multi-head attention ------------------------------------------------------------------------


def _in_projection_packed(query, key, value, weight, bias):
    """Query, key and value projected by one stacked weight (3E, E)."""
    features = query._node.shape[-1]
    if query is key and key is value:
        joint = linear(query, weight, bias)
        return tuple([narrow(joint, -1, i * features, features) for i in range(3)])
    parts = []
    for i, x in enumerate((query, key, value)):
        part = narrow(weight, 0, i * features, features)
        part_bias = None if bias is None else narrow(bias, 0, i * features, features)
        parts.append(linear(x, part, part_bias))
    return tuple(parts)


def _heads_first(x: Tensor, heads: int) -> Tensor:
    """(L, B, E) -> (B * heads, L, E / heads)."""
    length, batch, features = x._node.shape
    split = p.reshape(x, (length, batch * heads, features // heads))
    return p.permute(split, (1, 0, 2))


def _additive(mask: Tensor | None, name: str, dtype) -> Tensor | None:
    """A mask in additive form: bool True becomes -inf.  Raises: RuntimeError for integers."""
    if mask is None:
        return None
    if mask._node.dtype is bool_:
        return e.where(mask, mask._scalar(float("-inf"), dtype), mask._scalar(0.0, dtype))
    if not mask._node.dtype.is_floating_point:
        raise RuntimeError(f"only bool and floating types of {name} are supported")
    return mask if mask._node.dtype is dtype else e.cast(mask, dtype)


def _check_heads(query, key, value, embed_dim_to_check: int, num_heads: int) -> None:
    features = query._node.shape[-1]
    if features != embed_dim_to_check:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {features}"
        )
    if features % num_heads:
        raise AssertionError(f"embed_dim {features} not divisible by num_heads {num_heads}")
    if key._node.shape[:2] != value._node.shape[:2]:
        raise AssertionError(
            f"key's sequence and batch dims {list(key._node.shape[:2])} do not match value's "
            f"{list(value._node.shape[:2])}"
        )


def _check_ranks(query, key, value, key_padding_mask, attn_mask) -> bool:
    """Whether the inputs are batched.  Raises: AssertionError for inconsistent ranks."""
    rank = len(query._node.shape)
    if rank not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {rank}-D query tensor"
        )
    if len(key._node.shape) != rank or len(value._node.shape) != rank:
        raise AssertionError(
            f"For a {rank}-D `query`, expected `key` and "
            f"`value` to be {rank}-D but found {len(key._node.shape)}-D and "
            f"{len(value._node.shape)}-D tensors respectively"
        )
    if key_padding_mask is not None and len(key_padding_mask._node.shape) != rank - 1:
        raise AssertionError(
            f"expected `key_padding_mask` to be `None` or {rank - 1}-D but found "
            f"{len(key_padding_mask._node.shape)}-D tensor instead"
        )
    if attn_mask is not None and len(attn_mask._node.shape) not in (2, 3):
        raise AssertionError(
            "expected `attn_mask` to be `None`, 2-D or 3-D but found "
            f"{len(attn_mask._node.shape)}-D tensor instead"
        )
    return rank == 3


def _shaped_mask(mask: Tensor, rows: int, columns: int, batch_heads: int) -> Tensor:
    shape = mask._node.shape
    if len(shape) == 2:
        if shape != (rows, columns):
            raise RuntimeError(
                f"The shape of the 2D attn_mask is {list(shape)}, but should be {(rows, columns)}."
            )
        return p.reshape(mask, (1, rows, columns))
    if shape != (batch_heads, rows, columns):
        raise RuntimeError(
            f"The shape of the 3D attn_mask is {list(shape)}, but should be "
            f"{(batch_heads, rows, columns)}."
        )
    return mask


def _with_row(x: Tensor, row: Tensor) -> Tensor:
    """One more position (L axis first) that is the same for the whole batch."""
    batch = x._node.shape[1]
    return cat([x, expand(row, 1, batch, row._node.shape[-1])], 0)


def multi_head_attention_forward(
    query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v,
    add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True, key_padding_mask=None,
    need_weights=True, attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None,
    k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None,
    average_attn_weights=True, is_causal=False,
):  # fmt: skip
    """Attention by several heads over projected inputs, and its weights.

    Shapes: query (L, B, E), key and value (S, B, *), or without B; output as query; weights
    (B, L, S), or (B, H, L, S) unless averaged.  A position that may look nowhere has weights 0.
    Source: torch.nn.functional.multi_head_attention_forward.
    """
    batched = _check_ranks(query, key, value, key_padding_mask, attn_mask)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
            "method `generate_square_subsequent_mask` to create this mask."
        )
    if not batched:
        same_key, same_value = key is query, value is key
        query = _lifted(query, 1)
        key = query if same_key else _lifted(key, 1)
        value = key if same_value else _lifted(value, 1)
        if key_padding_mask is not None:
            key_padding_mask = _lifted(key_padding_mask, 0)
    _check_heads(query, key, value, embed_dim_to_check, num_heads)
    length, batch, features = query._node.shape
    if use_separate_proj_weight:
        biases = (None,) * 3
        if in_proj_bias is not None:
            biases = [narrow(in_proj_bias, 0, i * features, features) for i in range(3)]
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = [linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases)]
    else:
        q, k, v = _in_projection_packed(query, key, value, in_proj_weight, in_proj_bias)
    attn_mask = _additive(attn_mask, "attn_mask", q._node.dtype)
    padding = _additive(key_padding_mask, "key_padding_mask", q._node.dtype)
    if bias_k is not None:
        k, v = _with_row(k, bias_k), _with_row(v, bias_v)
    q = _heads_first(q, num_heads)
    k = _heads_first(k, num_heads) if static_k is None else static_k
    v = _heads_first(v, num_heads) if static_v is None else static_v
    if add_zero_attn:
        zero = filled((k._node.shape[0], 1, k._node.shape[2]), 0, k._node.dtype)
        k, v = cat([k, zero], 1), cat([v, zero], 1)
    extra = (bias_k is not None) + bool(add_zero_attn)
    if attn_mask is not None:
        source = k._node.shape[1] - extra
        attn_mask = _shaped_mask(attn_mask, length, source, batch * num_heads)
        attn_mask = padded(attn_mask, [(0, 0), (0, 0), (0, extra)])
    if padding is not None:
        mask = padded(padding, [(0, 0), (0, extra)])
        attn_mask = _merged_mask(mask, attn_mask, batch, num_heads, k._node.shape[1])
    dropped = dropout_p if training else 0.0
    if not need_weights and _has_kernels(q, k, v, attn_mask, False, False, dropped):
        out = _in_blocks(q, k, v, attn_mask, 1 / math.sqrt(q._node.shape[-1]), False, dropped)
    else:
        out, weights = _attend(q, k, v, attn_mask, dropped)
    out = p.reshape(p.permute(out, (1, 0, 2)), (length * batch, features))
    out = reshape(linear(out, out_proj_weight, out_proj_bias), (length, batch, -1))
    if not batched:
        out = p.reshape(out, (out._node.shape[0], out._node.shape[2]))
    if not need_weights:
        return out, None
    weights = p.reshape(weights, (batch, num_heads, length, k._node.shape[1]))
    if average_attn_weights:
        weights = reduce_sum(weights, (1,), False)
        weights = named(e.div(weights, weights._scalar(num_heads)), "MeanBackward1")
    if not batched:
        weights = p.reshape(weights, weights._node.shape[1:])
    return out, weights


def _lifted(x: Tensor, axis: int) -> Tensor:
    shape = x._node.shape
    return p.reshape(x, (*shape[:axis], 1, *shape[axis:]))


def _merged_mask(padding: Tensor, mask, batch: int, heads: int, source: int) -> Tensor:
    """The key padding mask (B, S) for all heads, added to the attention mask."""
    if padding._node.shape != (batch, source):
        raise AssertionError(
            f"expecting key_padding_mask shape of {(batch, source)}, but got "
            f"{list(padding._node.shape)}"
        )
    spread = p.expand(p.reshape(padding, (batch, 1, 1, source)), (batch, heads, 1, source))
    spread = p.reshape(spread, (batch * heads, 1, source))
    return spread if mask is None else e.add(mask, spread)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask, dropout_p: float):
    """(out, weights) of attention over (B * H, L, E / H)."""
    factor = 1 / math.sqrt(q._node.shape[-1])
    scores = matmul(e.mul(q, q._scalar(factor)), k, False, True)
    weights = _safe_softmax(scores if mask is None else e.add(scores, mask))
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p, True)
    return matmul(weights, v, False, False), weights
