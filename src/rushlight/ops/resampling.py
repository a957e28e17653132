"""Resizing images: interpolate in all modes, one axis at a time.  Level 11.

Each output position along an axis is a weighted sum of few input positions; positions and weights
depend on sizes only and enter as constants.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.base.dtypes import int32, int64, narrow, uint8
from rushlight.ops.average_pool import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from rushlight.ops.formats import as_picture
from rushlight.ops.promotion import check_tensor, to_dtype, widened
from rushlight.primitives import elementwise as e
from rushlight.primitives.indexing import take
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

_AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}
# Keys' cubic convolution with the parameter PyTorch uses, and the one of its antialiasing.
CUBIC, CUBIC_ANTIALIAS = -0.75, -0.5


def _gathered(x: Tensor, axis: int, table: np.ndarray) -> Tensor:
    return take(x, tensor_from_numpy(np.array(table, np.int64, order="C"), int64), axis)


def _weighted(x: Tensor, axis: int, tables, weights) -> Tensor:
    """The sum over k of x at tables[k] times weights[k], along an axis."""
    dtype = x._node.dtype
    if dtype is uint8:
        return _weighted_bytes(x, axis, tables, weights)
    after = (1,) * (len(x._node.shape) - axis - 1)
    total: Any = None
    for table, weight in zip(tables, weights):
        column = narrow(weight.reshape((-1, *after)), dtype)
        factor = tensor_from_numpy(np.array(column, order="C"), dtype)
        part = e.mul(_gathered(x, axis, table), factor)
        total = part if total is None else e.add(total, part)
    return total


def _weighted_bytes(x: Tensor, axis: int, tables, weights) -> Tensor:
    """As `_weighted`, in integers: weights of up to 15 bits, each axis rounded to bytes.

    Source: the integer kernels of torch.nn.functional.interpolate, which follow Pillow's.
    """
    greatest = max(float(weight.max()) for weight in weights)
    bits = 0
    while bits < 22 and int(0.5 + greatest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    after = (1,) * (len(x._node.shape) - axis - 1)
    wide = e.cast(x, int32)
    total = x._scalar(1 << (bits - 1), int32)
    for table, weight in zip(tables, weights):
        scaled = weight * (1 << bits)
        whole = np.trunc(scaled + np.where(scaled < 0, -0.5, 0.5)).astype(np.int32)
        factor = tensor_from_numpy(np.array(whole.reshape((-1, *after)), order="C"), int32)
        total = e.add(total, e.mul(_gathered(wide, axis, table), factor))
    shifted = e.shift_right(total, x._scalar(bits, int32))
    return e.cast(e.minimum(e.maximum(shifted, x._scalar(0, int32)), x._scalar(255, int32)), uint8)


def _source_positions(size: int, outputs: int, scale, align_corners: bool) -> np.ndarray:
    """Where each output position lies in the input, as a real number."""
    at = np.arange(outputs, dtype=np.float64)
    if align_corners:
        return at * ((size - 1) / (outputs - 1) if outputs > 1 else 0.0)
    return (at + 0.5) * _ratio(size, outputs, scale) - 0.5


def _ratio(size: int, outputs: int, scale) -> float:
    return 1 / scale if scale is not None and scale > 0 else size / outputs


def _nearest(x: Tensor, axis: int, outputs: int, scale, exact: bool) -> Tensor:
    size = x._node.shape[axis]
    # In float32, as PyTorch rounds.
    ratio = np.float32(_ratio(size, outputs, scale))
    at = np.arange(outputs, dtype=np.float32)
    if exact:
        at = at + np.float32(0.5)
    table = np.minimum(np.floor(at * ratio).astype(np.int64), size - 1)
    return _gathered(x, axis, table)


def _linear(x: Tensor, axis: int, outputs: int, scale, align_corners: bool) -> Tensor:
    size = x._node.shape[axis]
    at = np.maximum(_source_positions(size, outputs, scale, align_corners), 0)
    low = np.minimum(at.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    share = at - low
    return _weighted(x, axis, (low, high), (1 - share, share))


def _cubic_near(t, a: float):
    return ((a + 2) * t - (a + 3)) * t * t + 1


def _cubic_far(t, a: float):
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def _cubic(x: Tensor, axis: int, outputs: int, scale, align_corners: bool) -> Tensor:
    size = x._node.shape[axis]
    at = _source_positions(size, outputs, scale, align_corners)
    low = np.floor(at)
    t = at - low
    tables = [np.clip(low.astype(np.int64) + k, 0, size - 1) for k in (-1, 0, 1, 2)]
    weights = (
        _cubic_far(t + 1, CUBIC),
        _cubic_near(t, CUBIC),
        _cubic_near(1 - t, CUBIC),
        _cubic_far(2 - t, CUBIC),
    )
    return _weighted(x, axis, tables, weights)


def _antialiased(x: Tensor, axis: int, outputs: int, scale, align_corners: bool, cubic: bool):
    """Filters widened by the reduction, so that every input position counts."""
    size = x._node.shape[axis]
    if align_corners:
        ratio = (size - 1) / (outputs - 1) if outputs > 1 else 0.0
    else:
        ratio = _ratio(size, outputs, scale)
    reach = (2.0 if cubic else 1.0) * max(ratio, 1.0)
    shrink = 1 / ratio if ratio >= 1 else 1.0
    centers = ratio * (np.arange(outputs) + 0.5)
    starts = np.maximum((centers - reach + 0.5).astype(np.int64), 0)
    stops = np.minimum((centers + reach + 0.5).astype(np.int64), size)
    longest = int((stops - starts).max())
    columns = starts[:, None] + np.arange(longest)[None, :]
    distance = np.abs((columns - centers[:, None] + 0.5) * shrink)
    weight = _cubic_filter(distance) if cubic else np.maximum(1 - distance, 0)
    weight = np.where(columns < stops[:, None], weight, 0)
    weight = weight / weight.sum(1, keepdims=True)
    columns = np.minimum(columns, size - 1)
    return _weighted(x, axis, list(columns.T), list(weight.T))


def _cubic_filter(t):
    near = _cubic_near(t, CUBIC_ANTIALIAS)
    far = _cubic_far(t, CUBIC_ANTIALIAS)
    return np.where(t < 1, near, np.where(t < 2, far, 0))


def _output_sizes(sizes, size, scale_factor, recompute: bool):
    """(output sizes, scales to use or None for each axis)."""
    rank = len(sizes)
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if size is not None:
        found = tuple(size) if isinstance(size, (tuple, list)) else (size,) * rank
        if len(found) != rank:
            raise ValueError(
                f"Input and output must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {list(sizes)} and output size of {list(found)}."
            )
        return tuple([int(n) for n in found]), (None,) * rank
    scales = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * rank
    if len(scales) != rank:
        raise ValueError(
            "Input and scale_factor must have the same number of spatial dimensions, but got input "
            f"with spatial dimensions of {list(sizes)} and scale_factor of shape {list(scales)}."
        )
    found = tuple([math.floor(n * s) for n, s in zip(sizes, scales)])
    if recompute:
        return found, (None,) * rank
    return found, tuple([float(s) for s in scales])


def _check_mode(mode: str, rank: int, align_corners, antialias: bool) -> None:
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | "
                "bilinear | bicubic | trilinear"
            )
    elif mode not in ("bicubic", *_LINEAR):
        raise NotImplementedError(
            f"Input Error: mode {mode!r}; modes are nearest | linear | bilinear | bicubic | "
            "trilinear | area | nearest-exact"
        )
    if antialias and not (mode in ("bilinear", "bicubic") and rank == 2):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D "
            "tensor as input"
        )
    if not 1 <= rank <= 3:
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {rank + 2}D) for the "
            f"modes: nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact "
            f"(got {mode})"
        )
    if _LINEAR.get(mode, rank) != rank or (mode == "bicubic" and rank != 2):
        raise NotImplementedError(f"Got {rank + 2}D input, which mode {mode!r} does not support")


def _label(mode: str, rank: int, antialias: bool) -> str:
    """What autograd calls the result: `UpsampleBilinear2DBackward0`."""
    kind = "".join(part.capitalize() for part in mode.split("-"))
    if kind == "NearestExact":
        return f"UpsampleNearestExact{rank}DBackward0"
    return f"Upsample{kind}{rank}D{'Aa' if antialias else ''}Backward0"


def interpolate(
    input, size=None, scale_factor=None, mode="nearest", align_corners=None,
    recompute_scale_factor=None, antialias=False,
) -> Tensor:  # fmt: skip
    """Resize the spatial axes of (N, C, *spatial), to `size` or by `scale_factor`.

    mode: nearest, nearest-exact, linear, bilinear, trilinear, bicubic or area.
    Raises: ValueError, NotImplementedError.  Source: torch.nn.functional.interpolate.
    """
    check_tensor("interpolate", input)
    shape = input._node.shape
    rank = len(shape) - 2
    _check_mode(mode, rank, align_corners, antialias)
    output, scales = _output_sizes(shape[2:], size, scale_factor, bool(recompute_scale_factor))
    if any(n <= 0 for n in output) or 0 in shape[1:]:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {list(shape)} and "
            f"output {list(output)}"
        )
    if mode == "area":
        return _AREA[rank](input, output)
    dtype = input._node.dtype
    # Weights and sums of 16-bit floats are float32, and rounded once.
    found = input if mode.startswith("nearest") else widened(input)
    # Bytes have integer kernels in the modes of images.
    if not dtype.is_floating_point and not (
        dtype is uint8 and (mode.startswith("nearest") or rank == 2)
    ):
        raise NotImplementedError(f'"interpolate_{mode}" not implemented for {dtype}')
    # The last axis first, as PyTorch's separable kernels do.
    for axis in range(rank + 1, 1, -1):
        outputs, scale = output[axis - 2], scales[axis - 2]
        if mode.startswith("nearest"):
            found = _nearest(found, axis, outputs, scale, mode == "nearest-exact")
        elif antialias:
            found = _antialiased(
                found, axis, outputs, scale, bool(align_corners), mode == "bicubic"
            )
        elif mode == "bicubic":
            found = _cubic(found, axis, outputs, scale, bool(align_corners))
        else:
            found = _linear(found, axis, outputs, scale, bool(align_corners))
    found = to_dtype(found, dtype)
    return named(as_picture(found, input), _label(mode, rank, antialias))


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None) -> Tensor:
    """As `interpolate`.  Source: torch.nn.functional.upsample."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None) -> Tensor:
    """Nearest-neighbor resizing.  Source: torch.nn.functional.upsample_nearest."""
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None) -> Tensor:
    """Bilinear resizing with aligned corners.  Source: torch.nn.functional.upsample_bilinear."""
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
