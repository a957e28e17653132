"""Pooling of regions of a feature map.

In: features (N, C, H, W), boxes as list of (L, 4) or one (K, 5) whose first column is the image.
Out: (K, C, height, width).  Each region's samples are a product of its rows and its columns, so a
region is two matrix products with weights that depend on its box alone; gradients reach the
features, not the boxes.  Level 14.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor
from rushlight.nn import Module

# Regions handled together: more would only make the intermediate result large.
_CHUNK = 64


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _rows(boxes: Any, name: str) -> np.ndarray:
    """(K, 5) in float32: the image, then the box.  Raises: ValueError for other shapes."""
    if isinstance(boxes, Tensor):
        if boxes.ndim != 2 or boxes.shape[1] != 5:
            raise ValueError(
                f"{name}: the boxes tensor should be of shape (K, 5); got {tuple(boxes.shape)}"
            )
        return boxes.detach().numpy().astype(np.float32)
    parts = []
    for number, part in enumerate(boxes):
        if part.ndim != 2 or part.shape[1] != 4:
            raise ValueError(
                f"{name}: each box tensor should be of shape (L, 4); got {tuple(part.shape)}"
            )
        corners = part.detach().numpy().astype(np.float32)
        parts.append(np.concatenate([np.full((len(corners), 1), number, np.float32), corners], 1))
    return np.concatenate(parts) if parts else np.zeros((0, 5), np.float32)


def _sampling_weights(
    starts: np.ndarray, bins: np.ndarray, counts: np.ndarray, outputs: int, size: int
) -> np.ndarray:
    """(K, outputs, size): the mean of the bilinear samples of each bin along one axis."""
    weights = np.zeros((len(starts), outputs, size), np.float32)
    bin_index = np.arange(outputs, dtype=np.float32)
    for k, (start, extent, count) in enumerate(zip(starts, bins, counts)):
        steps = np.arange(count, dtype=np.float32) + np.float32(0.5)
        at = start + bin_index[:, None] * extent + steps[None, :] * extent / np.float32(count)
        valid = (at >= -1.0) & (at <= size)
        at = np.maximum(at, 0)
        low = np.minimum(at.astype(np.int64), size - 1)
        high = np.minimum(low + 1, size - 1)
        share = np.where(low >= size - 1, 0, at - low).astype(np.float32)
        rows = np.broadcast_to(np.arange(outputs)[:, None], at.shape)
        np.add.at(weights[k], (rows, low), np.where(valid, 1 - share, 0) / np.float32(count))
        np.add.at(weights[k], (rows, high), np.where(valid, share, 0) / np.float32(count))
    return weights


def _weighted(features: Tensor, images: np.ndarray, down: np.ndarray, across: np.ndarray) -> Tensor:
    """Rows by `down` (K, h, H), columns by `across` (K, w, W): (K, C, h, w)."""
    channels = features.shape[1]
    parts, order = [], []
    for image in np.unique(images):
        which = np.flatnonzero(images == image)
        plane = features[int(image)]
        for start in range(0, len(which), _CHUNK):
            chunk = which[start : start + _CHUNK]
            order.append(chunk)
            left = rl.from_numpy(down[chunk]).to(features.dtype)
            right = rl.from_numpy(across[chunk]).to(features.dtype)
            count, height, rows = left.shape
            # (K h, H) @ (C, H, W) -> (C, K h, W) -> (K, C h, W) @ (K, W, w)
            mixed = left.reshape(count * height, rows) @ plane
            mixed = mixed.reshape(channels, count, height, -1).transpose(0, 1)
            mixed = mixed.reshape(count, channels * height, -1) @ right.transpose(1, 2)
            parts.append(mixed.reshape(count, channels, height, -1))
    if not parts:
        return features.new_zeros((0, channels, down.shape[1], across.shape[1]))
    found = parts[0] if len(parts) == 1 else rl.cat(parts, 0)
    places = np.concatenate(order)
    if not (places[:-1] < places[1:]).all():
        found = found[rl.from_numpy(np.argsort(places))]
    return found


def _align_weights(
    boxes: np.ndarray, features: Tensor, size: tuple[int, int], spatial_scale: float,
    sampling_ratio: int, aligned: bool, least: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    offset = np.float32(0.5 if aligned else 0.0)
    corners = boxes[:, 1:] * np.float32(spatial_scale) - offset
    found = []
    for axis, outputs, length in ((1, size[0], features.shape[2]), (0, size[1], features.shape[3])):
        starts = corners[:, axis]
        extents = np.maximum(corners[:, axis + 2] - starts, np.float32(least)) if least else (
            corners[:, axis + 2] - starts
        )  # fmt: skip
        if sampling_ratio > 0:
            counts = np.full(len(boxes), sampling_ratio)
        else:
            counts = np.ceil(extents / np.float32(outputs)).astype(np.int64)
        found.append(
            _sampling_weights(
                starts, extents / np.float32(outputs), np.maximum(counts, 1), outputs, length
            )
        )
    return found[0], found[1]


def roi_align(
    input: Tensor, boxes: Any, output_size: Any, spatial_scale: float = 1.0,
    sampling_ratio: int = -1, aligned: bool = False,
) -> Tensor:  # fmt: skip
    """The mean of bilinear samples in each bin of each box.  Source: He et al. 2017.

    sampling_ratio: samples along each side of a bin; as many as pixels where not positive.
    aligned: boxes are shifted by half a pixel, as pixels' centres are.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.roi_align(rl.ones(1, 2, 8, 8), [boxes], 3).shape
    torch.Size([2, 2, 3, 3])
    """
    rows = _rows(boxes, "roi_align")
    size = _pair(output_size)
    down, across = _align_weights(
        rows, input, size, spatial_scale, sampling_ratio, aligned, 0.0 if aligned else 1.0
    )
    return _weighted(input, rows[:, 0].astype(np.int64), down, across)


def ps_roi_align(
    input: Tensor, boxes: Any, output_size: Any, spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
) -> Tensor:  # fmt: skip
    """`roi_align` in which each bin has channels of its own.  Source: Li et al. 2017.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.ps_roi_align(rl.ones(1, 8, 8, 8), [boxes], 2).shape
    torch.Size([2, 2, 2, 2])
    """
    rows = _rows(boxes, "ps_roi_align")
    size = _pair(output_size)
    down, across = _align_weights(rows, input, size, spatial_scale, sampling_ratio, True, 0.0)
    return _own_channels(_weighted(input, rows[:, 0].astype(np.int64), down, across), size)


def _own_channels(pooled: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = size
    count, channels = pooled.shape[:2]
    if channels % (height * width):
        raise ValueError("input channels must be a multiple of pooling height * pooling width")
    split = pooled.reshape(count, channels // (height * width), height, width, height, width)
    return split.diagonal(dim1=2, dim2=4).diagonal(dim1=2, dim2=3)


def _bin_edges(
    starts: np.ndarray, extents: np.ndarray, outputs: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """First and one past last pixel of each bin, (K, outputs), within the map."""
    step = extents.astype(np.float32) / np.float32(outputs)
    index = np.arange(outputs, dtype=np.float32)
    first = np.floor(index[None, :] * step[:, None]).astype(np.int64) + starts[:, None]
    last = np.ceil((index[None, :] + 1) * step[:, None]).astype(np.int64) + starts[:, None]
    return np.clip(first, 0, size), np.clip(last, 0, size)


def _round(x: np.ndarray) -> np.ndarray:
    """Halves away from zero, as C rounds."""
    return np.trunc(x + np.copysign(np.float32(0.5), x)).astype(np.int64)


def roi_pool(input: Tensor, boxes: Any, output_size: Any, spatial_scale: float = 1.0) -> Tensor:
    """The greatest feature in each bin of each box, by whole pixels.  Source: Girshick 2015.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.roi_pool(rl.ones(1, 2, 8, 8), [boxes], 3).shape
    torch.Size([2, 2, 3, 3])
    """
    rows = _rows(boxes, "roi_pool")
    height, width = _pair(output_size)
    corners = _round(rows[:, 1:] * np.float32(spatial_scale))
    extents_x = np.maximum(corners[:, 2] - corners[:, 0] + 1, 1)
    extents_y = np.maximum(corners[:, 3] - corners[:, 1] + 1, 1)
    top, bottom = _bin_edges(corners[:, 1], extents_y, height, input.shape[2])
    left, right = _bin_edges(corners[:, 0], extents_x, width, input.shape[3])
    found = []
    for k, image in enumerate(rows[:, 0].astype(np.int64)):
        plane = input[int(image)]
        across = _greatest(_greatest(plane, 1, top[k], bottom[k]), 2, left[k], right[k])
        empty = (bottom[k] <= top[k])[:, None] | (right[k] <= left[k])[None, :]
        found.append(across.masked_fill(rl.from_numpy(empty), 0.0) if empty.any() else across)
    if not found:
        return input.new_zeros((0, input.shape[1], height, width))
    return rl.stack(found)


def _greatest(plane: Tensor, dim: int, first: np.ndarray, last: np.ndarray) -> Tensor:
    """The maximum over first[i] … last[i] - 1 along an axis of (C, H, W), for each i."""
    most = max(int((last - first).max()), 1)
    index = np.minimum(
        first[:, None] + np.arange(most)[None, :], np.maximum(last, first + 1)[:, None] - 1
    )
    index = np.minimum(index, plane.shape[dim] - 1)
    taken = plane.index_select(dim, rl.from_numpy(index.reshape(-1)))
    shape = list(plane.shape)
    shape[dim : dim + 1] = [len(first), most]
    return taken.reshape(shape).amax(dim=dim + 1)


def ps_roi_pool(input: Tensor, boxes: Any, output_size: Any, spatial_scale: float = 1.0) -> Tensor:
    """The mean of each bin's own channels, by whole pixels.  Source: Dai et al. 2016.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.ps_roi_pool(rl.ones(1, 8, 8, 8), [boxes], 2).shape
    torch.Size([2, 2, 2, 2])
    """
    rows = _rows(boxes, "ps_roi_pool")
    size = _pair(output_size)
    corners = _round(rows[:, 1:] * np.float32(spatial_scale))
    weights = []
    for axis, outputs, length in ((1, size[0], input.shape[2]), (0, size[1], input.shape[3])):
        extents = np.maximum(corners[:, axis + 2] - corners[:, axis], 1)
        # torchvision leaves the last row and column out.
        first, last = _bin_edges(corners[:, axis], extents, outputs, length - 1)
        places = np.arange(length)
        inside = (places >= first[..., None]) & (places < last[..., None])
        counts = np.maximum(last - first, 1)[..., None]
        weights.append((inside / counts).astype(np.float32))
    return _own_channels(_weighted(input, rows[:, 0].astype(np.int64), *weights), size)


class _Pooling(Module):
    """Base of the four as modules."""

    def __init__(self, output_size: Any, spatial_scale: float) -> None:
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._facts()})"

    def _facts(self) -> str:
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}"


class RoIAlign(_Pooling):
    """See `roi_align`."""

    def __init__(
        self, output_size: Any, spatial_scale: float, sampling_ratio: int, aligned: bool = False
    ) -> None:
        super().__init__(output_size, spatial_scale)
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, input: Tensor, rois: Any) -> Tensor:
        return roi_align(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned
        )

    def _facts(self) -> str:
        return f"{super()._facts()}, sampling_ratio={self.sampling_ratio}, aligned={self.aligned}"


class RoIPool(_Pooling):
    """See `roi_pool`."""

    def forward(self, input: Tensor, rois: Any) -> Tensor:
        return roi_pool(input, rois, self.output_size, self.spatial_scale)


class PSRoIAlign(_Pooling):
    """See `ps_roi_align`."""

    def __init__(self, output_size: Any, spatial_scale: float, sampling_ratio: int) -> None:
        super().__init__(output_size, spatial_scale)
        self.sampling_ratio = sampling_ratio

    def forward(self, input: Tensor, rois: Any) -> Tensor:
        return ps_roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio)

    def _facts(self) -> str:
        return f"{super()._facts()}, sampling_ratio={self.sampling_ratio}"


class PSRoIPool(_Pooling):
    """See `ps_roi_pool`."""

    def forward(self, input: Tensor, rois: Any) -> Tensor:
        return ps_roi_pool(input, rois, self.output_size, self.spatial_scale)
