"""How GGUF's tensors become floats: one rule for each way of storing them.

In: the bytes of whole blocks.  Out: float32 (or the stored integers), flat, by NumPy.  A block
holds 32 or 256 numbers as small integers, with a scale and perhaps a minimum for parts of it.
Source: the format's description in ggml.  Level 12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Bytes = np.ndarray


@dataclass(frozen=True)
class Block:
    """numbers: in a block; bytes: of a block; decode: bytes of blocks to numbers."""

    name: str
    numbers: int
    bytes: int
    decode: Callable[[Bytes], np.ndarray]


def _halves(part: Bytes) -> np.ndarray:
    """Columns of two bytes as float32, (blocks, 1)."""
    return np.ascontiguousarray(part).view("<f2").astype(np.float32)


def _columns(raw: Bytes, *widths: int) -> list[Bytes]:
    """Blocks (n, sum of widths) cut into columns."""
    rows = raw.reshape(-1, sum(widths))
    return np.split(rows, np.cumsum(widths)[:-1], axis=1)


def _nibbles(part: Bytes) -> np.ndarray:
    """Bytes (n, k) as (n, 2 k): all lower halves, then all upper ones."""
    return np.concatenate([part & 15, part >> 4], 1).astype(np.float32)


def _plain(kind: str) -> Callable[[Bytes], np.ndarray]:
    def decode(raw: Bytes) -> np.ndarray:
        return raw.view(kind)

    return decode


def _bf16(raw: Bytes) -> np.ndarray:
    return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)


def _q8_0(raw: Bytes) -> np.ndarray:
    scale, values = _columns(raw, 2, 32)
    return (_halves(scale) * values.view(np.int8).astype(np.float32)).ravel()


def _q4_0(raw: Bytes) -> np.ndarray:
    scale, values = _columns(raw, 2, 16)
    return (_halves(scale) * (_nibbles(values) - 8)).ravel()


def _q4_1(raw: Bytes) -> np.ndarray:
    scale, least, values = _columns(raw, 2, 2, 16)
    return (_halves(scale) * _nibbles(values) + _halves(least)).ravel()


def _fifth_bits(part: Bytes) -> np.ndarray:
    """Four bytes (n, 4) as 16 for each bit that is set, (n, 32)."""
    return 16.0 * np.unpackbits(part, axis=1, bitorder="little").astype(np.float32)


def _q5_0(raw: Bytes) -> np.ndarray:
    scale, upper, values = _columns(raw, 2, 4, 16)
    return (_halves(scale) * (_nibbles(values) + _fifth_bits(upper) - 16)).ravel()


def _q5_1(raw: Bytes) -> np.ndarray:
    scale, least, upper, values = _columns(raw, 2, 2, 4, 16)
    return (_halves(scale) * (_nibbles(values) + _fifth_bits(upper)) + _halves(least)).ravel()


def _scales_and_minima(packed: Bytes) -> tuple[np.ndarray, np.ndarray]:
    """Twelve bytes (n, 12) as eight scales and eight minima of six bits, (n, 8, 1) each."""
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([first & 63, (third & 15) | ((first >> 6) << 4)], 1)
    minima = np.concatenate([second & 63, (third >> 4) | ((second >> 6) << 4)], 1)
    return scales[..., None].astype(np.float32), minima[..., None].astype(np.float32)


def _eighths(values: Bytes) -> np.ndarray:
    """128 bytes (n, 128) as (n, 8, 32): each 32 bytes are lower halves, then upper ones."""
    rows = values.reshape(len(values), 4, 1, 32)
    return np.concatenate([rows & 15, rows >> 4], 2).reshape(len(values), 8, 32)


def _q4_k(raw: Bytes) -> np.ndarray:
    scale, least, packed, values = _columns(raw, 2, 2, 12, 128)
    scales, minima = _scales_and_minima(packed)
    step, low = _halves(scale)[..., None] * scales, _halves(least)[..., None] * minima
    return (step * _eighths(values).astype(np.float32) - low).ravel()


def _q5_k(raw: Bytes) -> np.ndarray:
    scale, least, packed, upper, values = _columns(raw, 2, 2, 12, 32, 128)
    scales, minima = _scales_and_minima(packed)
    step, low = _halves(scale)[..., None] * scales, _halves(least)[..., None] * minima
    bits = (upper[:, None, :] >> np.arange(8, dtype=np.uint8)[:, None]) & 1
    return (step * (_eighths(values) + 16.0 * bits).astype(np.float32) - low).ravel()


def _q6_k(raw: Bytes) -> np.ndarray:
    lower, upper, scales, scale = _columns(raw, 128, 64, 16, 2)
    n = len(lower)
    low = lower.reshape(n, 2, 1, 64)
    low = np.concatenate([low & 15, low >> 4], 2).reshape(n, 2, 4, 32)
    high = upper.reshape(n, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)
    values = (low | ((high & 3) << 4)).astype(np.float32) - 32
    steps = _halves(scale) * scales.view(np.int8).astype(np.float32)
    return (steps[..., None] * values.reshape(n, 16, 16)).ravel()


def _quarters(values: Bytes) -> np.ndarray:
    """64 bytes (n, 64) as (n, 16, 16): two bits each, of 32 bytes at a time."""
    rows = values.reshape(len(values), 2, 1, 32)
    shifted = rows >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)
    return (shifted & 3).reshape(len(values), 16, 16)


def _q2_k(raw: Bytes) -> np.ndarray:
    packed, values, scale, least = _columns(raw, 16, 64, 2, 2)
    step = (_halves(scale) * (packed & 15).astype(np.float32))[..., None]
    low = (_halves(least) * (packed >> 4).astype(np.float32))[..., None]
    return (step * _quarters(values).astype(np.float32) - low).ravel()


def _q3_k(raw: Bytes) -> np.ndarray:
    mask, values, packed, scale = _columns(raw, 32, 64, 12, 2)
    low = np.concatenate([packed[:, :8] & 15, packed[:, :8] >> 4], 1)
    shifts = np.array([0, 2, 4, 6], np.uint8)
    high = ((packed[:, None, 8:] >> shifts[:, None]) & 3).reshape(len(packed), 16)
    scales = (low | (high << 4)).astype(np.float32) - 32
    step = (_halves(scale) * scales)[..., None]
    bits = (mask[:, None, :] >> np.arange(8, dtype=np.uint8)[:, None]) & 1
    # Where the mask has no bit, four is taken away.
    whole = _quarters(values).astype(np.float32) - 4.0 * (1 - bits).reshape(len(mask), 16, 16)
    return (step * whole.astype(np.float32)).ravel()


BLOCKS: dict[int, Block] = {
    0: Block("F32", 1, 4, _plain("<f4")),
    1: Block("F16", 1, 2, _plain("<f2")),
    2: Block("Q4_0", 32, 18, _q4_0),
    3: Block("Q4_1", 32, 20, _q4_1),
    6: Block("Q5_0", 32, 22, _q5_0),
    7: Block("Q5_1", 32, 24, _q5_1),
    8: Block("Q8_0", 32, 34, _q8_0),
    10: Block("Q2_K", 256, 84, _q2_k),
    11: Block("Q3_K", 256, 110, _q3_k),
    12: Block("Q4_K", 256, 144, _q4_k),
    13: Block("Q5_K", 256, 176, _q5_k),
    14: Block("Q6_K", 256, 210, _q6_k),
    24: Block("I8", 1, 1, _plain("<i1")),
    25: Block("I16", 1, 2, _plain("<i2")),
    26: Block("I32", 1, 4, _plain("<i4")),
    27: Block("I64", 1, 8, _plain("<i8")),
    28: Block("F64", 1, 8, _plain("<f8")),
    30: Block("BF16", 1, 2, _bf16),
}
