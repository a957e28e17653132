"""Padding: `nn.functional.pad` in all modes.  Level 11."""

from __future__ import annotations

import functools

import numpy as np

from rushlight.base.dtypes import bool_, int64
from rushlight.base.shapes import contiguous_strides
from rushlight.ops.creation import filled
from rushlight.ops.formats import as_picture, resulting
from rushlight.ops.promotion import check_tensor
from rushlight.ops.spelling import spelled
from rushlight.primitives import movement as p
from rushlight.primitives.indexing import take
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def axis_pads(pad, rank: int) -> list[tuple[int, int]]:
    """(low, high) for each axis from PyTorch's list, which begins with the last axis."""
    pad = [int(n) for n in pad]
    pads = [(0, 0)] * rank
    for place in range(len(pad) // 2):
        pads[rank - 1 - place] = (pad[2 * place], pad[2 * place + 1])
    return pads


def padded(x: Tensor, pads, value=0) -> Tensor:
    """x with constant borders; a negative amount removes elements."""
    if all(low == 0 and high == 0 for low, high in pads):
        return x
    shape = x._node.shape
    if any(low < 0 or high < 0 for low, high in pads):
        x = _cropped(x, [(max(-low, 0), max(-high, 0)) for low, high in pads])
    final = tuple([n + low + high for n, (low, high) in zip(shape, pads)])
    kept = x._node.shape
    if kept == final:
        return x
    border = filled(final, value, x._node.dtype)
    strides = contiguous_strides(final)
    offset = sum([max(low, 0) * s for (low, _), s in zip(pads, strides)])
    return p.strided_write(border, x, x._scalar(offset, int64), kept, strides)


def _cropped(x: Tensor, amounts) -> Tensor:
    shape = x._node.shape
    size = tuple([n - low - high for n, (low, high) in zip(shape, amounts)])
    strides = contiguous_strides(shape)
    offset = sum([low * s for (low, _), s in zip(amounts, strides)])
    return p.strided_read(x, x._scalar(offset, int64), size, strides)


@spelled()
@resulting(as_picture)
def constant_pad_nd(input, pad, value=0) -> Tensor:
    """Constant borders.  Raises: RuntimeError if an axis would vanish.

    Source: torch.constant_pad_nd.
    """
    check_tensor("constant_pad_nd", input)
    shape = input._node.shape
    if len(pad) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pad)}")
    if len(pad) // 2 > len(shape):
        raise RuntimeError(
            "Length of pad should be no more than twice the number of dimensions of the input. "
            f"Pad length is {len(pad)} while the input has {len(shape)} dimensions."
        )
    pads = axis_pads(pad, len(shape))
    for axis, (n, (low, high)) in enumerate(zip(shape, pads)):
        if n + low + high < 0:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {low} and {high}, resulted in a "
                f"negative output size, which is invalid. Check dimension {axis} of your input."
            )
    if input._node.dtype is bool_:
        value = bool(value)
    found = padded(input, pads, value)
    if found is input:
        return named(p.copy(input), "CloneBackward0")
    return named(found, "ConstantPadNdBackward0")


@functools.lru_cache(maxsize=64)
def _border_index(mode: str, size: int, low: int, high: int) -> Tensor:
    """The position each padded position shows; the same tensor each time, for nobody to write."""
    return tensor_from_numpy(_border_positions(mode, size, low, high).astype(np.int64), int64)


def _border_positions(mode: str, size: int, low: int, high: int) -> np.ndarray:
    at = np.arange(-low, size + high)
    if mode == "replicate":
        return np.clip(at, 0, size - 1)
    if mode == "circular":
        # What a negative amount removes is gone before the rest wraps around.
        kept = size + min(low, 0) + min(high, 0)
        return np.arange(-max(low, 0), kept + max(high, 0)) % kept + max(-low, 0)
    at = np.abs(at)
    return np.where(at >= size, 2 * (size - 1) - at, at)


def _check_border(mode: str, input: Tensor, pad) -> None:
    shape = input._node.shape
    count = len(pad) // 2
    if len(shape) not in (count + 1, count + 2) or count not in (1, 2, 3):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now: "
            f"{mode} of {2 * count} amounts does not fit an input of {len(shape)} dims"
        )
    for axis, (low, high) in enumerate(axis_pads(pad, len(shape))):
        size = shape[axis]
        if mode == "reflect" and max(low, high) >= max(size, 1):
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, "
                f"but got: padding ({low}, {high}) at dimension {axis} of input {list(shape)}"
            )
        if mode == "circular" and max(low, high) > size:
            raise RuntimeError(
                "Padding value causes wrapping around more than once: "
                f"({low}, {high}) at dimension {axis} of input {list(shape)}"
            )
        if (low or high) and (size == 0 or size + low + high < 0):
            raise RuntimeError(
                f"pad: dimension {axis} of input {list(shape)} cannot be padded by ({low}, {high})"
            )
    first_spatial = len(shape) - count
    if 0 in shape[first_spatial - 1 :]:
        raise RuntimeError(
            f"Expected {count + 1}D or {count + 2}D (batch mode) tensor with possibly 0 batch size "
            f"and other non-zero dimensions for input, but got: {list(shape)}"
        )


@resulting(as_picture)
def pad(input, pad, mode: str = "constant", value=None) -> Tensor:
    """Borders around the last axes; `pad` lists (low, high) beginning with the last axis.

    mode: "constant" (with `value`), "reflect", "replicate" or "circular".
    Raises: RuntimeError, NotImplementedError.  Source: torch.nn.functional.pad.
    """
    check_tensor("pad", input)
    pad = tuple([int(n) for n in pad])
    if len(pad) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, got {len(pad)}")
    if len(pad) > 2 * len(input._node.shape):
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pad)} and input of dimension {len(input._node.shape)}"
        )
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    if value:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    _check_border(mode, input, pad)
    pads = axis_pads(pad, len(input._node.shape))
    found = input
    for axis, (low, high) in enumerate(pads):
        if low or high:
            found = take(found, _border_index(mode, input._node.shape[axis], low, high), axis)
    return p.copy(input) if found is input else found
