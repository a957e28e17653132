"""Rearranging images: patches to columns and back, pixels and channels.  Level 11."""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import contiguous_strides, numel
from rushlight.ops.formats import as_picture, resulting
from rushlight.ops.padding import padded
from rushlight.ops.promotion import check_tensor
from rushlight.ops.spelling import spelled
from rushlight.primitives import movement as p
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor


def _pair(value) -> tuple[int, int]:
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            return (int(value[0]),) * 2
        if len(value) != 2:
            raise RuntimeError(f"expected 2 numbers, got {list(value)}")
        return int(value[0]), int(value[1])
    return int(value), int(value)


class _Patches:
    """Checked numbers of fold and unfold over an image of height and width."""

    __slots__ = ("counts", "dilation", "kernel", "padding", "sizes", "stride")

    def __init__(self, name, sizes, kernel, dilation, padding, stride) -> None:
        self.sizes = sizes
        self.kernel, self.dilation = _pair(kernel), _pair(dilation)
        self.padding, self.stride = _pair(padding), _pair(stride)
        if min(self.kernel) <= 0 or min(self.dilation) <= 0 or min(self.stride) <= 0:
            raise RuntimeError(
                f"{name}: kernel size, dilation and stride should be greater than zero, but got "
                f"{self.kernel}, {self.dilation}, {self.stride}"
            )
        if min(self.padding) < 0:
            raise RuntimeError(f"{name}: padding should be non-negative, but got {self.padding}")
        self.counts = tuple(
            [
                (n + 2 * a - d * (k - 1) - 1) // s + 1
                for n, k, d, a, s in zip(
                    sizes, self.kernel, self.dilation, self.padding, self.stride
                )
            ]
        )
        if min(self.counts) <= 0:
            raise RuntimeError(
                f"{name}: given image of spatial size {list(sizes)}, kernel_size={self.kernel}, "
                f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}, the "
                f"shape of the array of sliding blocks is {list(self.counts)}, but its components "
                "must be at least one."
            )

    def padded_sizes(self) -> tuple[int, ...]:
        return tuple([n + 2 * a for n, a in zip(self.sizes, self.padding)])

    def window(self, strides) -> tuple[int, ...]:
        """Strides of (N, C, *kernel, *blocks) over a padded image with these strides."""
        inner = [t * d for t, d in zip(strides[2:], self.dilation)]
        outer = [t * s for t, s in zip(strides[2:], self.stride)]
        return (*strides[:2], *inner, *outer)


def unfold(input, kernel_size, dilation=1, padding=0, stride=1) -> Tensor:
    """Patches as columns.  Shapes: (N, C, H, W) -> (N, C * kernel, blocks).

    Raises: RuntimeError.  Source: torch.nn.functional.unfold.
    """
    check_tensor("unfold", input)
    shape = input._node.shape
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(shape)}"
        )
    x = input if len(shape) == 4 else p.reshape(input, (1, *shape))
    patches = _Patches("unfold", shape[-2:], kernel_size, dilation, padding, stride)
    x = padded(x, [(0, 0), (0, 0), *[(a, a) for a in patches.padding]])
    lead = x._node.shape[:2]
    size = (*lead, *patches.kernel, *patches.counts)
    strides = patches.window(contiguous_strides(x._node.shape))
    seen = p.strided_read(x, x._scalar(0, int64), size, strides)
    columns = (lead[1] * numel(patches.kernel), numel(patches.counts))
    found = p.reshape(seen, (lead[0], *columns) if len(shape) == 4 else columns)
    return named(found, "Im2ColBackward0" if len(shape) == 4 else "SqueezeBackward1")


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1) -> Tensor:
    """Columns added back into images, the adjoint of `unfold`.

    Shapes: (N, C * kernel, blocks) -> (N, C, *output_size).  Raises: RuntimeError.
    Source: torch.nn.functional.fold.
    """
    check_tensor("fold", input)
    shape = input._node.shape
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(shape)}"
        )
    patches = _Patches("fold", _pair(output_size), kernel_size, dilation, padding, stride)
    batch = shape[0] if len(shape) == 3 else 1
    rows, blocks = shape[-2:]
    if rows % numel(patches.kernel):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={rows} and kernel_size={patches.kernel}."
        )
    if blocks != numel(patches.counts):
        raise RuntimeError(
            f"Given output_size={patches.sizes}, kernel_size={patches.kernel}, dilation="
            f"{patches.dilation}, padding={patches.padding}, stride={patches.stride}, expected "
            f"size of input's dimension 2 to match the calculated number of sliding blocks "
            f"{patches.counts[0]} * {patches.counts[1]} = {numel(patches.counts)}, but got "
            f"input.size(2)={blocks}."
        )
    channels = rows // numel(patches.kernel)
    size = (batch, channels, *patches.kernel, *patches.counts)
    wide = (batch, channels, *patches.padded_sizes())
    x = p.reshape(input, size)
    strides = patches.window(contiguous_strides(wide))
    image = p.strided_add(x, x._scalar(0, int64), size, strides, wide)
    image = padded(image, [(0, 0), (0, 0), *[(-a, -a) for a in patches.padding]])
    return image if len(shape) == 3 else p.reshape(image, image._node.shape[1:])


@spelled()
@resulting(as_picture)
def pixel_shuffle(input, upscale_factor) -> Tensor:
    """(*, C r^2, H, W) -> (*, C, H r, W r).  Source: torch.nn.functional.pixel_shuffle."""
    check_tensor("pixel_shuffle", input)
    shape = input._node.shape
    r = int(upscale_factor)
    if len(shape) < 3:
        raise RuntimeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got input with "
            f"{len(shape)} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, channels, height, width = shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    k = len(lead)
    x = p.reshape(input, (*lead, channels // (r * r), r, r, height, width))
    x = p.permute(x, (*range(k), k, k + 3, k + 1, k + 4, k + 2))
    found = p.reshape(x, (*lead, channels // (r * r), height * r, width * r))
    return named(found, "PixelShuffleBackward0")


@spelled()
@resulting(as_picture)
def pixel_unshuffle(input, downscale_factor) -> Tensor:
    """(*, C, H r, W r) -> (*, C r^2, H, W).  Source: torch.nn.functional.pixel_unshuffle."""
    check_tensor("pixel_unshuffle", input)
    shape = input._node.shape
    r = int(downscale_factor)
    if len(shape) < 3:
        raise RuntimeError(
            f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with "
            f"{len(shape)} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, channels, height, width = shape
    if height % r or width % r:
        raise RuntimeError(
            "pixel_unshuffle expects height and width to be divisible by downscale_factor, but "
            f"{height} x {width} is not divisible by {r}"
        )
    k = len(lead)
    x = p.reshape(input, (*lead, channels, height // r, r, width // r, r))
    x = p.permute(x, (*range(k), k, k + 2, k + 4, k + 1, k + 3))
    found = p.reshape(x, (*lead, channels * r * r, height // r, width // r))
    return named(found, "PixelUnshuffleBackward0")


@spelled(aliases=("native_channel_shuffle",))
@resulting(as_picture)
def channel_shuffle(input, groups) -> Tensor:
    """Channels of the groups dealt out in turn.  Source: torch.nn.functional.channel_shuffle."""
    check_tensor("channel_shuffle", input)
    shape = input._node.shape
    if len(shape) <= 2:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    batch, channels, *sizes = shape
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and "
            f"{groups} groups."
        )
    x = p.reshape(input, (batch, groups, channels // groups, *sizes))
    x = p.permute(x, (0, 2, 1, *range(3, 3 + len(sizes))))
    return p.reshape(x, shape)
