"""Attention with scores and masks that a function computes: PyTorch's `flex_attention`.

`score_mod` and `mask_mod` are called once with index tensors that broadcast over batch, heads,
queries and keys, and what they compute is fused into the attention's own kernels like any other
operation; no source is analyzed.  Level 12.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from rushlight.base.dtypes import bool_, float32, int32
from rushlight.ops.activation import softmax
from rushlight.ops.comparison import where
from rushlight.ops.creation import full, ones
from rushlight.ops.extremum import amax
from rushlight.ops.matmul import matmul
from rushlight.ops.padding import pad
from rushlight.ops.ranges import arange
from rushlight.ops.reduction import logsumexp
from rushlight.tensor.tensor import Tensor

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "FlexKernelOptions",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "create_nested_block_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

_DEFAULT_SPARSE_BLOCK_SIZE = 128
Mask = Callable[..., Any]


class AuxRequest(NamedTuple):
    """What to return beside the output."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for: log-sum-exp and largest score of each row."""

    lse: Any = None
    max_scores: Any = None


class FlexKernelOptions(dict):
    """Options of PyTorch's kernels; accepted without effect."""


def noop_mask(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Any:
    """A mask that lets everything through."""
    return batch.new_ones((), dtype=bool_)


def or_masks(*mask_mods: Mask) -> Mask:
    """The mask that lets through what any of the masks does.  Raises: RuntimeError."""
    if not all(callable(mask) for mask in mask_mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mask_mods}")

    def either(b: Any, h: Any, q: Any, kv: Any) -> Any:
        found = b.new_zeros((), dtype=bool_)
        for mask in mask_mods:
            found = found | mask(b, h, q, kv)
        return found

    return either


def and_masks(*mask_mods: Mask) -> Mask:
    """The mask that lets through what all of the masks do.  Raises: RuntimeError."""
    if not all(callable(mask) for mask in mask_mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mask_mods}")

    def both(b: Any, h: Any, q: Any, kv: Any) -> Any:
        found = b.new_ones((), dtype=bool_)
        for mask in mask_mods:
            found = found & mask(b, h, q, kv)
        return found

    return both


def _indices(B: int, H: int, Q: int, K: int) -> tuple[Any, Any, Any, Any]:  # noqa: N803
    """Indices of batch, head, query and key that broadcast against one another."""
    return (
        arange(B, dtype=int32)[:, None, None, None],
        arange(H, dtype=int32)[None, :, None, None],
        arange(Q, dtype=int32)[None, None, :, None],
        arange(K, dtype=int32)[None, None, None, :],
    )


def create_mask(
    mod_fn: Mask,
    B: int | None,  # noqa: N803 - PyTorch's names
    H: int | None,  # noqa: N803
    Q_LEN: int,  # noqa: N803
    KV_LEN: int,  # noqa: N803
    device: Any = "cpu",
) -> Any:
    """A function of indices as a boolean tensor (B, H, Q_LEN, KV_LEN)."""
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    return mod_fn(*_indices(*shape)).to(bool_).expand(shape)


class BlockMask:
    """A mask of whole blocks: which are needed at all, and which need no mask inside.

    kv_num_blocks (B, H, query blocks), kv_indices (B, H, query blocks, key blocks): partly masked
    blocks; full_*: blocks without a mask.  mask_mod is what decides each element.
    """

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Any,
        kv_indices: Any,
        full_kv_num_blocks: Any = None,
        full_kv_indices: Any = None,
        q_num_blocks: Any = None,
        q_indices: Any = None,
        full_q_num_blocks: Any = None,
        full_q_indices: Any = None,
        BLOCK_SIZE: tuple[int, int] = (_DEFAULT_SPARSE_BLOCK_SIZE, _DEFAULT_SPARSE_BLOCK_SIZE),  # noqa: N803
        mask_mod: Mask = noop_mask,
        **orders: Any,
    ) -> None:
        self.seq_lengths = seq_lengths
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks, self.full_kv_indices = full_kv_num_blocks, full_kv_indices
        self.q_num_blocks, self.q_indices = q_num_blocks, q_indices
        self.full_q_num_blocks, self.full_q_indices = full_q_num_blocks, full_q_indices
        self.BLOCK_SIZE = BLOCK_SIZE
        self.mask_mod = mask_mod

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Any,
        kv_indices: Any,
        full_kv_num_blocks: Any = None,
        full_kv_indices: Any = None,
        BLOCK_SIZE: Any = _DEFAULT_SPARSE_BLOCK_SIZE,  # noqa: N803
        mask_mod: Mask | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
    ) -> BlockMask:
        """A mask from the key blocks of each query block."""
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
        rows, columns = kv_indices.shape[-2:]
        lengths = seq_lengths or (rows * size[0], columns * size[1])
        partial = _dense_blocks(kv_num_blocks, kv_indices)
        by_query = _listed(partial.transpose(-2, -1))
        by_query_full: tuple[Any, Any] = (None, None)
        if full_kv_num_blocks is not None:
            dense = _dense_blocks(full_kv_num_blocks, full_kv_indices)
            by_query_full = _listed(dense.transpose(-2, -1))
        return cls(
            lengths, kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices,
            *by_query, *by_query_full, size, mask_mod or noop_mask,
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, queries, keys)."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def numel(self) -> int:
        """How many elements the mask has."""
        return math.prod(self.shape)

    def to_dense(self) -> Any:
        """Which blocks are needed: int32 (B, H, query blocks, key blocks)."""
        dense = _dense_blocks(self.kv_num_blocks, self.kv_indices)
        if self.full_kv_num_blocks is not None:
            dense = dense | _dense_blocks(self.full_kv_num_blocks, self.full_kv_indices)
        return dense.to(int32)

    def sparsity(self) -> float:
        """The share of blocks that are not needed, in per cent."""
        dense = self.to_dense().float()
        return 100.0 * (1.0 - float(dense.mean()))

    def as_tuple(self, flatten: bool = True) -> tuple:
        """Everything that the mask consists of."""
        size = self.BLOCK_SIZE if flatten else (self.BLOCK_SIZE,)
        lengths = self.seq_lengths if flatten else (self.seq_lengths,)
        return (
            *lengths, self.kv_num_blocks, self.kv_indices, self.full_kv_num_blocks,
            self.full_kv_indices, self.q_num_blocks, self.q_indices, self.full_q_num_blocks,
            self.full_q_indices, *size, self.mask_mod,
        )  # fmt: skip

    def to(self, device: Any) -> BlockMask:
        """The mask itself: there is one device."""
        ones(0, device=device)
        return self

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


def _dense_blocks(counts: Any, indices: Any) -> Any:
    """From lists of blocks to a boolean tensor."""
    columns = indices.shape[-1]
    listed = arange(columns, dtype=int32) < counts[..., None]
    chosen = indices.long()[..., None] == arange(columns)
    return (chosen & listed[..., None]).any(-2)


def _listed(dense: Any) -> tuple[Any, Any]:
    """From a boolean tensor to lists of blocks: how many in each row, and which first."""
    counts = dense.sum(-1).to(int32)
    order = dense.to(int32).argsort(dim=-1, descending=True, stable=True).to(int32)
    return counts, order.contiguous()


def create_block_mask(
    mask_mod: Mask,
    B: int | None,  # noqa: N803 - PyTorch's names
    H: int | None,  # noqa: N803
    Q_LEN: int,  # noqa: N803
    KV_LEN: int,  # noqa: N803
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,  # noqa: N803
    _compile: bool = False,
    **options: Any,
) -> BlockMask:
    """A block mask from a function of indices (batch, head, query, key) to booleans."""
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    rows, columns = -(-Q_LEN // size[0]), -(-KV_LEN // size[1])
    filled = pad(mask, (0, columns * size[1] - KV_LEN, 0, rows * size[0] - Q_LEN), value=False)
    blocks = filled.reshape(*filled.shape[:2], rows, size[0], columns, size[1])
    count = blocks.sum((-3, -1))
    whole = count == size[0] * size[1]
    partial = (count > 0) & ~whole
    return BlockMask.from_kv_blocks(
        *_listed(partial), *_listed(whole), BLOCK_SIZE=size, mask_mod=mask_mod,
        seq_lengths=(Q_LEN, KV_LEN),
    )  # fmt: skip


def create_nested_block_mask(*args: Any, **kwargs: Any) -> BlockMask:
    """Raises: NotImplementedError; pass sequences of different length one by one."""
    raise NotImplementedError(
        "create_nested_block_mask: nested tensors are not masked yet; use a document mask over the"
        " sequences one after another"
    )


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Callable[..., Any] | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Any = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """softmax(score_mod(query @ key^T * scale) where the mask lets it) @ value.

    Shapes: query (B, Hq, Q, E), key (B, Hkv, K, E), value (B, Hkv, K, Ev) -> (B, Hq, Q, Ev).
    enable_gqa: several heads of queries share one of keys.  Rows without a key give zeros.
    Returns the output, or (output, log-sum-exp), or (output, AuxOutput).
    Raises: ValueError for shapes or dtypes that do not fit.
    """
    _check(query, key, value, enable_gqa)
    q, k, v = query, key, value
    if enable_gqa:
        repeats = q.shape[1] // k.shape[1]
        k = k.repeat_interleave(repeats, 1)  # type: ignore[attr-defined]
        v = v.repeat_interleave(repeats, 1)  # type: ignore[attr-defined]
    factor = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores: Any = matmul(q, k.transpose(-2, -1)).to(float32) * factor  # type: ignore[attr-defined]
    places = _indices(*scores.shape)
    if score_mod is not None:
        scores = score_mod(scores, *places).to(float32)
    if block_mask is not None:
        lets = block_mask.mask_mod(*places)
        if block_mask.mask_mod is noop_mask:
            lets = _blocks_of_elements(block_mask, scores.shape)
        scores = where(lets, scores, full((), -math.inf))
    highest = amax(scores, -1)
    empty_row = (highest == -math.inf)[..., None]
    weights = softmax(where(empty_row, full((), 0.0), scores), -1)
    weights = where(empty_row, full((), 0.0), weights)
    output = matmul(weights.to(value.dtype), v)
    if return_aux is not None:
        lse = logsumexp(scores, -1) if return_aux.lse else None
        return output, AuxOutput(lse, highest if return_aux.max_scores else None)
    return (output, logsumexp(scores, -1)) if return_lse else output


def _blocks_of_elements(mask: BlockMask, shape: tuple[int, ...]) -> Any:
    """A mask that consists of blocks alone, element by element."""
    dense = mask.to_dense().to(bool_)
    rows, columns = mask.BLOCK_SIZE
    wide = dense.repeat_interleave(rows, -2).repeat_interleave(columns, -1)
    return wide[..., : shape[-2], : shape[-1]]


def _check(query: Tensor, key: Tensor, value: Tensor, enable_gqa: bool) -> None:
    if not query.dtype is key.dtype is value.dtype:
        raise ValueError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{query.dtype}, key.dtype: {key.dtype}, and value.dtype: {value.dtype} instead."
        )
    if not query.dim() == key.dim() == value.dim() == 4:
        raise ValueError("flex_attention: query, key and value must have four axes (B, H, L, E)")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"Expect query and key/value to have the same embedding dimension but got "
            f"E={query.shape[-1]} and E={key.shape[-1]}."
        )
    heads = query.shape[1], key.shape[1]
    if heads[0] != heads[1] and not enable_gqa:
        raise ValueError(
            f"Expect query and key/value to have the same number of heads but got Hq={heads[0]} "
            f"and Hkv={heads[1]}. Try setting enable_gqa=True for GQA."
        )
    if enable_gqa and heads[0] % heads[1]:
        raise ValueError(
            "Expect number of query heads to be a multiple of kv heads for GQA but got "
            f"Hq={heads[0]} and Hkv={heads[1]}."
        )
