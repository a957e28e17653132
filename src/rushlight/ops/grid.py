"""Sampling an image at given places, and the places of an affine map.  Level 11.

Places are in [-1, 1] for each axis, the last axis of the image first.  A place becomes a coordinate
in pixels, neighboring pixels are gathered by flat index, and their weights, which are functions of
the coordinate, carry the gradient of the places.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import warnings
from collections.abc import Sequence

from rushlight.base.dtypes import int64
from rushlight.base.limits import finfo
from rushlight.base.shapes import numel
from rushlight.ops.promotion import check_tensor, constant
from rushlight.ops.ranges import linspace
from rushlight.ops.spelling import PUBLIC
from rushlight.primitives import elementwise as e
from rushlight.primitives import movement as p
from rushlight.primitives.indexing import gather
from rushlight.tensor.tensor import Tensor

MODES = ("bilinear", "nearest", "bicubic")
PADDING_MODES = ("zeros", "border", "reflection")
# Keys 1981 leaves this parameter of the cubic kernel free; PyTorch takes -0.75.
CUBIC = -0.75
ALIGNMENT_CHANGED = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. "
    "Please specify align_corners=True if the old behavior is desired. See the documentation of "
    "grid_sample for details."
)


def _pixels(place: Tensor, size: int, align_corners: bool) -> Tensor:
    """Places in [-1, 1] as coordinates: the outermost pixels' centers, or edges, are at ±1."""
    if align_corners:
        return (place + 1) * ((size - 1) / 2)
    return ((place + 1) * size - 1) / 2


def _clamped(x: Tensor, last: int, rank: int) -> Tensor:
    """x within [0, last]; at the bounds and beyond it has no gradient, as in PyTorch.

    NaN becomes the first pixel of an image, the last one of a volume: PyTorch's answers.
    """
    low, high = x._scalar(0.0), x._scalar(float(last))
    if rank == 2:
        return e.where(e.gt(x, low), e.where(e.ge(x, high), high, x), low)
    return e.where(e.lt(x, high), e.where(e.le(x, low), low, x), high)


def _outside_unless_finite(x: Tensor) -> Tensor:
    """x, NaN and infinities as a place outside: in three dimensions PyTorch reads 0 there."""
    return e.where(e.lt(e.absolute(x), x._scalar(math.inf)), x, x._scalar(-2.0))


def _reflected(x: Tensor, size: int, align_corners: bool) -> Tensor:
    """x reflected at the outermost pixels' centers, or edges, until it lies between them."""
    low, span = (0.0, size - 1.0) if align_corners else (-0.5, float(size))
    if span == 0:
        return x * 0.0
    beyond = e.absolute(x - low)
    flips = constant(e.floor(beyond / span))
    rest = beyond - flips * span
    odd = e.ne(flips - e.floor(flips / 2) * 2, flips._scalar(0.0))
    return e.where(odd, (span + low) - rest, rest + low)


def _padded_coordinate(
    x: Tensor, size: int, padding_mode: str, align_corners: bool, rank: int
) -> Tensor:
    if padding_mode == "border":
        return _clamped(x, size - 1, rank)
    if padding_mode == "reflection":
        return _clamped(_reflected(x, size, align_corners), size - 1, rank)
    return x if rank == 2 else _outside_unless_finite(x)


class _Image:
    """The input's pixels, read by coordinates that are whole numbers.

    Shapes: pixels (N, C, elements); coordinates (N, places), one tensor for each axis.
    """

    def __init__(self, input: Tensor, padding_mode: str, align_corners: bool) -> None:
        self.sizes = tuple(input.shape[2:])
        self.batch, self.channels = input.shape[:2]
        self.pixels = p.reshape(input, (self.batch, self.channels, numel(self.sizes)))
        self.padding_mode = padding_mode
        self.align_corners = align_corners

    def read(self, coordinates: Sequence[Tensor]) -> Tensor:
        """Pixels, 0 where they lie outside.  Shapes: -> (N, C, places)."""
        within = [
            e.ge(x, x._scalar(0.0)) & e.le(x, x._scalar(float(size - 1)))
            for x, size in zip(coordinates, self.sizes)
        ]
        inside = functools.reduce(operator.and_, within)
        # A coordinate outside, or NaN, must not reach the index.
        kept = [e.where(here, x, x._scalar(0.0)) for here, x in zip(within, coordinates)]
        if numel(self.sizes) > 2 / finfo(kept[0].dtype).eps:  # not every index is such a number
            kept = [e.cast(x, int64) for x in kept]
        flat = kept[0]
        for x, size in zip(kept[1:], self.sizes[1:]):
            flat = flat * size + x
        places = flat.shape[-1]
        shape = (self.batch, self.channels, places)
        index = p.expand(p.reshape(e.cast(flat, int64), (self.batch, 1, places)), shape)
        found = gather(self.pixels, index, 2)
        mask = p.expand(p.reshape(inside, (self.batch, 1, places)), shape)
        return e.where(mask, found, found._scalar(0.0))

    def read_padded(self, coordinates: Sequence[Tensor]) -> Tensor:
        """Pixels, the ones outside by the padding mode."""
        return self.read([
            _padded_coordinate(x, size, self.padding_mode, self.align_corners, len(self.sizes))
            for x, size in zip(coordinates, self.sizes)
        ])  # fmt: skip

    def weighted(self, pixels: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Pixels times the product of one weight for each axis."""
        product = weights[0]
        for weight in weights[1:]:
            product = product * weight
        return pixels * p.reshape(product, (self.batch, 1, product.shape[-1]))


def _linear(image: _Image, coordinates: Sequence[Tensor]) -> Tensor:
    """Each pixel around the place, weighted by its nearness along every axis."""
    corners = []
    for x in coordinates:
        low = constant(e.floor(x))
        corners.append([(low, (low + 1) - x), (low + 1, x - low)])
    parts = [
        image.weighted(image.read([at for at, _ in corner]), [weight for _, weight in corner])
        for corner in itertools.product(*corners)
    ]
    return functools.reduce(e.add, parts)


def _cubic_weights(t: Tensor) -> list[Tensor]:
    """Weights of the pixels at -1, 0, 1, 2 for a place at t in [0, 1).  Source: Keys 1981."""

    def near(x: Tensor) -> Tensor:
        return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _cubic(image: _Image, coordinates: Sequence[Tensor]) -> Tensor:
    around = []
    for x in coordinates:
        low = constant(e.floor(x))
        weights = _cubic_weights(x - low)
        around.append([(low + (i - 1), weight) for i, weight in enumerate(weights)])
    parts = [
        image.weighted(image.read_padded([at for at, _ in pixel]), [weight for _, weight in pixel])
        for pixel in itertools.product(*around)
    ]
    return functools.reduce(e.add, parts)


def _check(input: Tensor, grid: Tensor, mode: str) -> None:
    check_tensor("grid_sampler", input)
    check_tensor("grid_sampler", grid, "grid")
    if input._node.dtype is not grid._node.dtype:
        raise RuntimeError(
            "grid_sampler(): expected input and grid to have same dtype, but input has "
            f"{input.dtype} and grid has {grid.dtype}"
        )
    if input.ndim not in (4, 5) or grid.ndim != input.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != input.ndim - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {input.ndim - 2} in last dimension, but "
            f"got grid with sizes {list(grid.shape)}"
        )
    if 0 in input.shape[1:]:
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has "
            f"sizes {list(input.shape)}"
        )
    if mode == "bicubic" and input.ndim != 4:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


def _sample(
    input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool
) -> Tensor:
    _check(input, grid, mode)
    rank = input.ndim - 2
    places = numel(grid.shape[1:-1])
    rows = p.reshape(grid, (grid.shape[0], places, rank))
    columns = [
        _pixels(rows[:, :, rank - 1 - axis], size, align_corners)  # (N, places)
        for axis, size in enumerate(input.shape[2:])
    ]
    image = _Image(input, padding_mode, align_corners)
    if mode == "bicubic":
        found = _cubic(image, columns)
    else:
        columns = [
            _padded_coordinate(x, size, padding_mode, align_corners, rank)
            for x, size in zip(columns, image.sizes)
        ]
        if mode == "nearest":
            found = image.read([constant(e.round_even(x)) for x in columns])
        else:
            found = _linear(image, columns)
    return p.reshape(found, (*input.shape[:2], *grid.shape[1:-1]))


def grid_sample(
    input, grid, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """The input's values at the places of `grid`, by interpolation.

    Shapes: (N, C, H, W), (N, h, w, 2) -> (N, C, h, w); (N, C, D, H, W), (N, d, h, w, 3) likewise.
    Raises: ValueError for an unknown mode, RuntimeError for shapes or dtypes that do not fit.
    Source: torch.nn.functional.grid_sample.
    """
    if mode not in MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in PADDING_MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    if align_corners is None:
        warnings.warn(ALIGNMENT_CHANGED, stacklevel=2)
    return _sample(input, grid, mode, padding_mode, bool(align_corners))


def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners) -> Tensor:
    """`grid_sample` with its modes given as numbers.  Source: torch.grid_sampler."""
    return _sample(
        input, grid, MODES[interpolation_mode], PADDING_MODES[padding_mode], align_corners
    )


def _base_places(sizes: Sequence[int], align_corners: bool, like: Tensor) -> list[Tensor]:
    """The places of the pixels along each axis, the last axis first."""
    places = []
    for size in reversed(sizes):
        ends = 1.0 if align_corners else 1.0 - 1.0 / size
        row = linspace(-ends, ends, size, dtype=like.dtype, device=like.device)
        places.append(row * 0.0 if size == 1 else row)
    return places


def affine_grid_generator(theta, size, align_corners) -> Tensor:
    """`affine_grid` without its checks.  Source: torch.affine_grid_generator."""
    sizes = tuple(size[2:])
    rank = len(sizes)
    total = None
    for i, places in enumerate(_base_places(sizes, align_corners, theta)):
        axis = rank - 1 - i
        shape = [1] * (rank + 2)
        shape[1 + axis] = sizes[axis]
        column = p.reshape(theta[:, :, i], (theta.shape[0], *(1,) * rank, rank))
        part = p.reshape(places, tuple(shape)) * column
        total = part if total is None else total + part
    shift = p.reshape(theta[:, :, rank], (theta.shape[0], *(1,) * rank, rank))
    return total + shift  # (N, *sizes, rank)


def affine_grid(theta, size, align_corners: bool | None = None) -> Tensor:
    """The places that an affine map gives to the pixels of an image of `size`, for `grid_sample`.

    Shapes: (N, 2, 3) and (N, C, H, W) -> (N, H, W, 2); (N, 3, 4) and (N, C, D, H, W) likewise.
    Raises: ValueError for a theta or size that do not fit, NotImplementedError for other ranks.
    Source: torch.nn.functional.affine_grid.
    """
    if align_corners is None:
        warnings.warn(ALIGNMENT_CHANGED, stacklevel=2)
    check_tensor("affine_grid", theta, "theta")
    if not theta.dtype.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    rank = len(size) - 2
    if rank not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (rank, rank + 1):
        raise ValueError(
            f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size "
            f"{size}. Got {theta.shape}."
        )
    if math.prod(size) <= 0 or min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    if align_corners and min(size[2:]) == 1:
        warnings.warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when "
            "align_corners=True. This is not an intended use case of affine_grid. See the "
            "documentation of affine_grid for details.",
            stacklevel=2,
        )
    return affine_grid_generator(theta, size, bool(align_corners))


PUBLIC["affine_grid_generator"] = affine_grid_generator
for _name in ("grid_sampler", "grid_sampler_2d", "grid_sampler_3d"):
    PUBLIC[_name] = grid_sampler
