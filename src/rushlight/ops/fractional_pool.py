"""Max pooling over windows placed at random (Graham 2014).  Level 11.

The places of the windows follow from one random number for each sample, channel and axis, which is
drawn (or read) at the call.  The windows are gathered, and of each the largest value is gathered by
its index, so that among equal elements the first takes the whole gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.dtypes import int64
from rushlight.base.shapes import numel
from rushlight.ops.creation import arithmetic_value
from rushlight.ops.promotion import check_tensor
from rushlight.ops.random import rand
from rushlight.primitives import movement as p
from rushlight.primitives.indexing import gather
from rushlight.primitives.reduction import argmax
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def _per_axis(value: Any, rank: int) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank


def _window_starts(samples: np.ndarray, size: int, output: int, kernel: int) -> np.ndarray:
    """Where the windows of one axis start.  Shapes: (N, C) -> (N, C, output).

    Source: Graham 2014, section 3, pseudo-random sequences; computed in the samples' dtype as
    PyTorch does, whose rounding decides where a window starts.
    """
    starts = np.empty((*samples.shape, output), np.int64)
    if output > 1:
        step = samples.dtype.type(size - kernel) / samples.dtype.type(output - 1)
        places = np.arange(output - 1, dtype=samples.dtype)
        scaled = ((samples[..., None] + places) * step).astype(np.int64)
        starts[..., :-1] = scaled - (samples[..., None] * step).astype(np.int64)
    starts[..., -1] = size - kernel
    return starts


def _window_places(
    samples: np.ndarray, sizes: tuple[int, ...], output: tuple[int, ...], kernel: tuple[int, ...]
) -> np.ndarray:
    """Flat index of every element of every window.  Shapes: -> (N, C, windows, elements)."""
    rank = len(sizes)
    flat = np.zeros((*samples.shape[:2], *(1,) * (2 * rank)), np.int64)
    for axis, size in enumerate(sizes):
        # Two axes take their numbers in the order (width, height), three in the order of the axes.
        column = samples[..., 1 - axis if rank == 2 else axis]
        starts = _window_starts(column, size, output[axis], kernel[axis])
        places = starts[..., None] + np.arange(kernel[axis])  # (N, C, output, kernel)
        shape = [*samples.shape[:2], *(1,) * (2 * rank)]
        shape[2 + axis], shape[2 + rank + axis] = output[axis], kernel[axis]
        flat = flat * size + places.reshape(shape)
    return flat.reshape(*samples.shape[:2], numel(output), numel(kernel))


def _output_sizes(name: str, sizes: tuple, output_size: Any, output_ratio: Any) -> tuple[int, ...]:
    if output_size is not None:
        return tuple(int(n) for n in _per_axis(output_size, len(sizes)))
    if output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    ratios = _per_axis(output_ratio, len(sizes))
    return tuple(int(size * ratio) for size, ratio in zip(sizes, ratios))


def _pool(
    name: str, rank: int, input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any,
    samples: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    check_tensor(name, input)
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"{name}: expected {rank + 1}D or {rank + 2}D input, got {list(input.shape)}"
        )
    sizes = tuple(input.shape[-rank:])
    kernel = tuple(int(n) for n in _per_axis(kernel_size, rank))
    output = _output_sizes(name, sizes, output_size, output_ratio)
    for size, wanted, width in zip(sizes, output, kernel):
        if wanted + width - 1 > size:
            raise RuntimeError(
                f"{name}: pool size {width} and output size {wanted} need an input of at least "
                f"{wanted + width - 1}, got {size}"
            )
    batch = 1 if input.ndim == rank + 1 else input.shape[0]
    channels = input.shape[-rank - 1]
    if samples is None:
        samples = rand(batch, channels, rank, dtype=input.dtype)
    if samples.shape[0] < batch or tuple(samples.shape[1:]) != (channels, rank):
        raise RuntimeError(
            f"{name}: expected random samples of shape {[batch, channels, rank]}, got "
            f"{list(samples.shape)}"
        )
    places = _window_places(arithmetic_value(samples)[:batch], sizes, output, kernel)
    flat = (batch, channels, numel(output) * numel(kernel))
    table = tensor_from_numpy(places.reshape(flat), int64)
    x = p.reshape(input, (batch, channels, numel(sizes)))
    seen = p.reshape(gather(x, table, 2), places.shape)  # (N, C, windows, elements)
    index = argmax(seen, 3, True)
    shape = (*input.shape[:-rank], *output)
    values = p.reshape(gather(seen, index, 3), shape)
    found = gather(p.reshape(table, places.shape), index, 3)
    return values, p.reshape(found, shape)


def fractional_max_pool2d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
    _random_samples=None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Largest values of windows placed at random, and their flat places.

    Shapes: (N, C, H, W) or (C, H, W).  Source: torch.nn.functional.fractional_max_pool2d.
    """
    return _pool("fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio,
                 _random_samples)  # fmt: skip


def fractional_max_pool3d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
    _random_samples=None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Largest values of windows placed at random, and their flat places.

    Shapes: (N, C, D, H, W) or (C, D, H, W).  Source: torch.nn.functional.fractional_max_pool3d.
    """
    return _pool("fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio,
                 _random_samples)  # fmt: skip


def fractional_max_pool2d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices: bool = False,
    _random_samples=None,
) -> Any:  # fmt: skip
    """Largest values of windows placed at random; also their flat places if `return_indices`."""
    found = fractional_max_pool2d_with_indices(
        input, kernel_size, output_size, output_ratio, _random_samples=_random_samples
    )
    return found if return_indices else found[0]


def fractional_max_pool3d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices: bool = False,
    _random_samples=None,
) -> Any:  # fmt: skip
    """Largest values of windows placed at random; also their flat places if `return_indices`."""
    found = fractional_max_pool3d_with_indices(
        input, kernel_size, output_size, output_ratio, _random_samples=_random_samples
    )
    return found if return_indices else found[0]
