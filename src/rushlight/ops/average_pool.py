"""Average and power-mean pooling.  Level 11."""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import narrow
from rushlight.base.shapes import numel
from rushlight.ops.arithmetic import div
from rushlight.ops.formats import as_picture, row_major
from rushlight.ops.pool import (
    PoolWindows,
    adaptive_bounds,
    adaptive_sizes,
    batched,
    pool_windows,
    unbatched,
)
from rushlight.ops.promotion import check_tensor, to_dtype, widened
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives import movement as p
from rushlight.primitives.contraction import matmul
from rushlight.primitives.reduction import reduce_sum, window_sum
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def _constant(array, like: Tensor) -> Tensor:
    """An array of constants in the dtype of `like`."""
    dtype = like._node.dtype
    return tensor_from_numpy(np.array(narrow(array, dtype), order="C"), dtype)


def _divisors(windows: PoolWindows, count_include_pad: bool):
    """How many elements each window averages: a number, or an array of the output's shape."""
    if not any(windows.padding) and windows.fits_exactly():
        return numel(windows.kernel)
    counts = np.ones((1,) * windows.rank)
    for axis in range(windows.rank):
        n, k = windows.sizes[axis], windows.kernel[axis]
        s, a = windows.stride[axis], windows.padding[axis]
        start = np.arange(windows.output[axis]) * s - a
        stop = np.minimum(start + k, n + a)
        if not count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        shape = [1] * windows.rank
        shape[axis] = -1
        counts = counts * (stop - start).reshape(shape)
    return counts


def _average(
    name, rank, input, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
) -> Tensor:
    x, was_batched = batched(name, input, rank)
    if not x._node.dtype.is_inexact and x._node.dtype.name != "int64":
        raise RuntimeError(f'"{name}" not implemented for {x._node.dtype}')
    windows = pool_windows(name, rank, x._node.shape, kernel, stride, padding, 1, ceil_mode)
    ones = (1,) * rank
    total = window_sum(widened(x), windows.kernel, windows.stride, windows.borders(), ones, ones)
    if divisor_override is not None:
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        divisor = divisor_override
    else:
        divisor = _divisors(windows, count_include_pad)
    if isinstance(divisor, np.ndarray):
        by = _constant(divisor, total)
    else:
        by = total._scalar(divisor)
    if total._node.dtype.is_inexact:
        found = e.div(total, by)
    else:
        found = div(total, by, rounding_mode="trunc")
    found = to_dtype(found, x._node.dtype)
    label = "SqueezeBackward1" if rank == 1 else f"AvgPool{rank}DBackward0"
    found = unbatched(found, was_batched)
    return named(as_picture(found, input) if rank == 2 else row_major(found), label)


def _define_average(rank: int):
    name = f"avg_pool{rank}d"

    def pool(
        input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
        divisor_override=None,
    ) -> Tensor:  # fmt: skip
        return _average(
            name, rank, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
            divisor_override,
        )  # fmt: skip

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = f"Mean of each window.  Source: torch.nn.functional.{name}."
    return spelled(function=rank == 1, out=True)(pool)


avg_pool1d = _define_average(1)
avg_pool2d = _define_average(2)
avg_pool3d = _define_average(3)


# ---- adaptive ------------------------------------------------------------------------------------


def _averaging_matrix(size: int, outputs: int) -> np.ndarray:
    matrix = np.zeros((outputs, size))
    for row, (start, stop) in enumerate(adaptive_bounds(size, outputs)):
        matrix[row, start:stop] = 1 / (stop - start)
    return matrix


def _averaged_along(x: Tensor, axis: int, outputs: int) -> Tensor:
    """x with one axis averaged down to `outputs` positions by a constant matrix."""
    shape = x._node.shape
    matrix = _constant(_averaging_matrix(shape[axis], outputs), x)
    last = len(shape) - 1
    order = [a for a in range(len(shape)) if a != axis] + [axis]
    rows = p.reshape(p.permute(x, tuple(order)), (numel(shape) // shape[axis], shape[axis]))
    found = matmul(rows, matrix, False, True)
    found = p.reshape(found, (*[shape[a] for a in order[:-1]], outputs))
    return p.permute(found, (*range(axis), last, *range(axis, last)))


def _adaptive_average(name: str, rank: int, input, output_size) -> Tensor:
    x, was_batched = batched(name, input, rank)
    if not x._node.dtype.is_inexact:
        raise RuntimeError(f'"{name}" not implemented for {x._node.dtype}')
    dtype = x._node.dtype
    x = widened(x)
    sizes = x._node.shape[2:]
    output = adaptive_sizes(name, output_size, sizes)
    lead = x._node.shape[:2]
    if all(o and n % o == 0 for n, o in zip(sizes, output)):
        split: list[int] = []
        for n, o in zip(sizes, output):
            split += [o, n // o]
        parts = p.reshape(x, (*lead, *split))
        total = reduce_sum(parts, tuple(range(3, 3 + 2 * rank, 2)), False)
        count = numel(sizes) // numel(output)
        return unbatched(to_dtype(e.div(total, total._scalar(count)), dtype), was_batched)
    for axis, (n, o) in enumerate(zip(sizes, output)):
        if n != o:
            x = _averaged_along(x, 2 + axis, o)
    return unbatched(to_dtype(x, dtype), was_batched)


def _adaptive_label(rank: int, output: tuple[int, ...]) -> str:
    """PyTorch takes a mean where one window covers everything."""
    if rank == 1:
        return "SqueezeBackward1"
    if numel(output) == 1:
        return "MeanBackward1"
    return f"AdaptiveAvgPool{rank}DBackward0"


def _define_adaptive(rank: int):
    name = f"adaptive_avg_pool{rank}d"

    def pool(input, output_size) -> Tensor:
        found = _adaptive_average(name, rank, input, output_size)
        if found is input:
            return found
        found = as_picture(found, input) if rank == 2 else row_major(found)
        return named(found, _adaptive_label(rank, found._node.shape[-rank:]))

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = f"Means of windows that give `output_size`.  Source: torch.nn.functional.{name}."
    return spelled(function=rank == 1)(pool)


adaptive_avg_pool1d = _define_adaptive(1)
adaptive_avg_pool2d = _define_adaptive(2)
adaptive_avg_pool3d = _define_adaptive(3)


# ---- power mean ----------------------------------------------------------------------------------


def _define_power(rank: int):
    name = f"lp_pool{rank}d"

    def pool(input, norm_type, kernel_size, stride=None, ceil_mode=False) -> Tensor:
        check_tensor(name, input)
        kernel = (kernel_size,) * rank if isinstance(kernel_size, int) else tuple(kernel_size)
        powered = input.pow(norm_type)
        mean = _average(name, rank, powered, kernel, stride, 0, ceil_mode, True, None)
        size = e.mul(e.mul(e.sign(mean), e.relu(e.absolute(mean))), mean._scalar(numel(kernel)))
        return size.pow(1.0 / norm_type)

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = (
        f"The norm_type-th root of each window's sum of powers.  Source: "
        f"torch.nn.functional.{name}."
    )
    return pool


lp_pool1d = _define_power(1)
lp_pool2d = _define_power(2)
lp_pool3d = _define_power(3)
