"""Pooling over windows: maximum, average, power mean, and their inverses.  Level 11.

The maximum is gathered by its index, so that among equal elements the first takes the whole
gradient, as in PyTorch.
"""

from __future__ import annotations

import functools

import numpy as np

from rushlight.base.dtypes import int64
from rushlight.base.shapes import numel
from rushlight.ops.creation import filled
from rushlight.ops.formats import as_picture, row_major
from rushlight.ops.promotion import check_tensor
from rushlight.ops.spelling import PUBLIC, spelled
from rushlight.primitives import movement as p
from rushlight.primitives.indexing import gather, scatter, take
from rushlight.primitives.reduction import argmax, window_argmax
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def _per_axis(name: str, what: str, value, rank: int) -> tuple[int, ...]:
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            return (int(value[0]),) * rank
        if len(value) != rank:
            raise RuntimeError(
                f"{name}: {what} must either be a single int, or a tuple of {rank} ints, got "
                f"{list(value)}"
            )
        return tuple([int(v) for v in value])
    return (int(value),) * rank


class PoolWindows:
    """Checked numbers of a pooling: kernel, stride, padding, dilation, output sizes."""

    __slots__ = ("dilation", "kernel", "output", "padding", "rank", "sizes", "stride")

    def __init__(self, name, rank, shape, kernel, stride, padding, dilation, ceil_mode) -> None:
        self.rank = rank
        self.kernel = _per_axis(name, "kernel_size", kernel, rank)
        empty = stride is None or (isinstance(stride, (tuple, list)) and not stride)
        self.stride = self.kernel if empty else _per_axis(name, "stride", stride, rank)
        self.padding = _per_axis(name, "padding", padding, rank)
        self.dilation = _per_axis(name, "dilation", dilation, rank)
        self.sizes = tuple(shape[-rank:])
        self._check(name)
        self.output = tuple([self._output_size(axis, ceil_mode) for axis in range(rank)])
        if any(n < 1 for n in self.output):
            raise RuntimeError(
                f"Given input size: {list(shape[-rank - 1 :])}. Calculated output size: "
                f"{list(self.output)}. Output size is too small"
            )

    def _check(self, name: str) -> None:
        if any(k <= 0 for k in self.kernel):
            raise RuntimeError(
                f"{name}: kernel size should be greater than zero, but got {self.kernel}"
            )
        if any(s <= 0 for s in self.stride):
            raise RuntimeError(f"{name}: stride should not be zero, but got {self.stride}")
        if any(d <= 0 for d in self.dilation):
            raise RuntimeError(
                f"{name}: dilation should be greater than zero, but got {self.dilation}"
            )
        for k, a, d in zip(self.kernel, self.padding, self.dilation):
            if a < 0:
                raise RuntimeError(f"pad must be non-negative, but got pad: {a}")
            if a > ((k - 1) * d + 1) // 2:
                raise RuntimeError(
                    "pad should be at most half of effective kernel size, but got "
                    f"pad={a}, kernel_size={k} and dilation={d}"
                )

    def _output_size(self, axis: int, ceil_mode: bool) -> int:
        n, k, s = self.sizes[axis], self.kernel[axis], self.stride[axis]
        a, d = self.padding[axis], self.dilation[axis]
        room = n + 2 * a - d * (k - 1) - 1
        size = (room + (s - 1 if ceil_mode else 0)) // s + 1
        # The last window must begin inside the input or its left border.
        if ceil_mode and (size - 1) * s >= n + a:
            size -= 1
        return size

    def borders(self) -> tuple[tuple[int, int], ...]:
        """What is added before and after each axis so that the windows end where it does."""
        found = []
        for n, k, s, a, d, o in zip(
            self.sizes, self.kernel, self.stride, self.padding, self.dilation, self.output
        ):
            found.append((a, (o - 1) * s + d * (k - 1) + 1 - n - a))
        return tuple(found)

    def fits_exactly(self) -> bool:
        """Whether no window reaches beyond the input."""
        return all(
            (o - 1) * s + d * (k - 1) + 1 <= n
            for n, k, s, d, o in zip(
                self.sizes, self.kernel, self.stride, self.dilation, self.output
            )
        )


def pool_windows(name, rank, shape, kernel, stride, padding, dilation, ceil_mode) -> PoolWindows:
    """The checked numbers, remembered for arguments seen before."""
    given = [tuple(v) if isinstance(v, list) else v for v in (kernel, stride, padding, dilation)]
    return _known_windows(name, rank, tuple(shape), *given, bool(ceil_mode))


@functools.lru_cache(maxsize=512)
def _known_windows(name, rank, shape, kernel, stride, padding, dilation, ceil_mode) -> PoolWindows:
    return PoolWindows(name, rank, shape, kernel, stride, padding, dilation, ceil_mode)


def batched(name: str, input, rank: int) -> tuple[Tensor, bool]:
    check_tensor(name, input)
    shape = input._node.shape
    if len(shape) not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"{name}() Expected {rank + 1}D or {rank + 2}D (batch mode) tensor, but got "
            f"{list(shape)}"
        )
    if 0 in shape[-rank - 1 :]:
        raise RuntimeError(
            f"{name}: Expected {rank + 1}D or {rank + 2}D (batch mode) tensor with optional 0 dim "
            f"batch size for input, but got: {list(shape)}"
        )
    if len(shape) == rank + 2:
        return input, True
    return p.reshape(input, (1, *shape)), False


def unbatched(found: Tensor, was_batched: bool) -> Tensor:
    return found if was_batched else p.reshape(found, found._node.shape[1:])


# ---- maximum -------------------------------------------------------------------------------------


_MAX_LABELS = {
    1: "SqueezeBackward1",
    2: "MaxPool2DWithIndicesBackward0",
    3: "MaxPool3DWithIndicesBackward0",
}


def _max_with_index(name, rank, input, kernel, stride, padding, dilation, ceil_mode, with_index):
    x, was_batched = batched(name, input, rank)
    dtype = x._node.dtype
    if dtype.is_complex or dtype.name == "bool":
        raise NotImplementedError(f'"{name}" not implemented for {dtype}')
    windows = pool_windows(name, rank, x._node.shape, kernel, stride, padding, dilation, ceil_mode)
    index = window_argmax(
        x, windows.kernel, windows.stride, windows.padding, windows.dilation, windows.output
    )
    lead, shape = x._node.shape[:2], index._node.shape
    flat = p.reshape(x, (*lead, numel(windows.sizes)))
    best = gather(flat, p.reshape(index, (*lead, numel(windows.output))), 2)
    values = as_picture(unbatched(p.reshape(best, shape), was_batched), input)
    values = named(values, _MAX_LABELS[rank])
    if not with_index:
        return values
    return values, as_picture(unbatched(index, was_batched), input)


def _define_max_pool(rank: int):
    name = f"max_pool{rank}d"

    def with_indices(
        input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
        return_indices=False,
    ):  # fmt: skip
        return _max_with_index(
            name, rank, input, kernel_size, stride, padding, dilation, ceil_mode, True
        )

    def max_pool(
        input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
        return_indices=False,
    ):  # fmt: skip
        return _max_with_index(
            name, rank, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )

    max_pool.__name__ = max_pool.__qualname__ = name
    max_pool.__doc__ = (
        f"Largest element of each window; with return_indices also its flat position.\n\n"
        f"    Raises: RuntimeError.  Source: torch.nn.functional.{name}.\n"
    )
    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = f"As {name}, with the flat positions."
    if rank == 1:
        spelled()(with_indices)
    return spelled()(max_pool), with_indices


max_pool1d, max_pool1d_with_indices = _define_max_pool(1)
max_pool2d, max_pool2d_with_indices = _define_max_pool(2)
max_pool3d, max_pool3d_with_indices = _define_max_pool(3)


def adaptive_bounds(size: int, outputs: int) -> list[tuple[int, int]]:
    """Start and stop of each window of adaptive pooling: all of the input, evenly."""
    return [(i * size // outputs, -(-(i + 1) * size // outputs)) for i in range(outputs)]


def adaptive_sizes(name: str, output_size, sizes) -> tuple[int, ...]:
    rank = len(sizes)
    if isinstance(output_size, (tuple, list)):
        if len(output_size) == 1 and rank > 1:
            output_size = tuple(output_size) * rank
        if len(output_size) != rank:
            raise RuntimeError(f"{name}: output_size must be {rank} sizes, got {list(output_size)}")
    else:
        output_size = (output_size,) * rank
    found = tuple([n if o is None else int(o) for o, n in zip(output_size, sizes)])
    if any(o < 0 for o in found):
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0, got {list(found)}"
        )
    return found


def _adaptive_table(sizes, output) -> np.ndarray:
    """Flat positions of each window, the first repeated to fill: (prod(output), longest)."""
    flat = np.zeros((1, 1), np.int64)
    for n, o in zip(sizes, output):
        bounds = adaptive_bounds(n, o)
        longest = max([stop - start for start, stop in bounds], default=0)
        rows = [[*range(a, b), *([a] * (longest - b + a))] for a, b in bounds]
        along = np.array(rows, np.int64).reshape(o, longest)
        combined = flat[:, None, :, None] * n + along[None, :, None, :]
        flat = combined.reshape(flat.shape[0] * o, flat.shape[1] * longest)
    return flat


def _adaptive_max(name: str, rank: int, input, output_size, with_index: bool):
    x, was_batched = batched(name, input, rank)
    sizes = x._node.shape[2:]
    output = adaptive_sizes(name, output_size, sizes)
    table = _adaptive_table(sizes, output)
    # A short window is filled up with its own first element: the first of equal maxima wins, so
    # neither the maximum nor its index changes.
    flat = p.reshape(x, (*x._node.shape[:2], numel(sizes)))
    positions = tensor_from_numpy(np.ascontiguousarray(table), int64)
    shape = (*x._node.shape[:2], *output)
    if numel(shape) == 0:
        values = unbatched(filled(shape, 0, x._node.dtype), was_batched)
        return (values, unbatched(filled(shape, 0, int64), was_batched)) if with_index else values
    seen = take(flat, positions, 2)  # (N, C, windows, longest)
    index = argmax(seen, 3, True)
    values = unbatched(p.reshape(gather(seen, index, 3), shape), was_batched)
    label = "SqueezeBackward1" if rank == 1 else f"AdaptiveMaxPool{rank}DBackward0"
    values = named(as_picture(values, input) if rank == 2 else row_major(values), label)
    if not with_index:
        return values
    places = gather(p.expand(positions, seen._node.shape), index, 3)
    places = unbatched(p.reshape(places, shape), was_batched)
    return values, as_picture(places, input) if rank == 2 else row_major(places)


def _define_adaptive_max(rank: int):
    name = f"adaptive_max_pool{rank}d"

    def pool(input, output_size, return_indices=False):
        return _adaptive_max(name, rank, input, output_size, return_indices)

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = (
        f"Largest elements of windows that give `output_size`.  Source: torch.nn.functional.{name}."
    )

    def with_indices(input, output_size, return_indices=True):
        return _adaptive_max(name, rank, input, output_size, True)

    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = f"As {name}, with the flat positions."
    if rank == 1:
        # PyTorch's name at the top gives the positions too, unlike torch.nn.functional's.
        PUBLIC[name] = with_indices
    return pool, with_indices


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _define_adaptive_max(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _define_adaptive_max(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _define_adaptive_max(3)


def _define_unpool(rank: int):
    name = f"max_unpool{rank}d"

    def unpool(input, indices, kernel_size, stride=None, padding=0, output_size=None) -> Tensor:
        check_tensor(name, input)
        if indices._node.dtype is not int64:
            raise RuntimeError(
                f"elements in indices should be type int64 but got: {indices._node.dtype}"
            )
        if indices._node.shape != input._node.shape:
            raise RuntimeError(
                f"Expected shape of indices to be same as that of the input tensor "
                f"({list(input._node.shape)}) but got indices tensor with shape: "
                f"{list(indices._node.shape)}"
            )
        kernel = _per_axis(name, "kernel_size", kernel_size, rank)
        stride = kernel if stride is None else _per_axis(name, "stride", stride, rank)
        padding = _per_axis(name, "padding", padding, rank)
        shape = input._node.shape
        if len(shape) not in (rank + 1, rank + 2):
            raise RuntimeError(
                f"Input to {name} should be a {rank + 1}d or {rank + 2}d Tensor, got {list(shape)}"
            )
        sizes = _unpooled_sizes(name, shape[-rank:], kernel, stride, padding, output_size)
        lead = shape[: len(shape) - rank]
        empty = filled((*lead, numel(sizes)), 0, input._node.dtype)
        flat = (*lead, numel(shape[-rank:]))
        spread = scatter(empty, p.reshape(indices, flat), p.reshape(input, flat), len(lead), "set")
        made = p.reshape(spread, (*lead, *sizes))
        return as_picture(made, input) if rank == 2 else made

    unpool.__name__ = unpool.__qualname__ = name
    unpool.__doc__ = f"Zeros with the maxima put back.  Source: torch.nn.functional.{name}."
    return unpool


def _unpooled_sizes(name, sizes, kernel, stride, padding, output_size) -> tuple[int, ...]:
    default = [(n - 1) * s - 2 * a + k for n, k, s, a in zip(sizes, kernel, stride, padding)]
    if output_size is None:
        return tuple(default)
    wanted = tuple([int(n) for n in output_size])[-len(default) :]
    for d, s, n in zip(default, stride, wanted):
        if not d - s < n < d + s:
            raise ValueError(
                f"invalid output_size {list(output_size)} for {name}: dimension must be between "
                f"{d - s} and {d + s}"
            )
    return wanted


max_unpool1d = _define_unpool(1)
max_unpool2d = _define_unpool(2)
max_unpool3d = _define_unpool(3)
