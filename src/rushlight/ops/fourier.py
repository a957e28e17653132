"""Fourier transforms, as `torch.fft`: composed from the primitive `dft`.  Level 11.

`norm` says where the division by the number of points stands: None or "backward" (in the inverse),
"forward", or "ortho" (its square root in both).
"""

from __future__ import annotations

import math

import numpy as np

from rushlight.base.dtypes import get_default_dtype, narrow
from rushlight.base.orders import dense_order, steps_in, transformed_axes
from rushlight.base.shapes import wrap_axis
from rushlight.ops.creation import made
from rushlight.ops.formats import lying
from rushlight.ops.joining import flip, roll
from rushlight.ops.promotion import check_tensor, to_dtype
from rushlight.ops.shaping import narrow as part_of
from rushlight.primitives import elementwise as e
from rushlight.primitives.movement import concatenate, expand
from rushlight.primitives.spectral import dft
from rushlight.tensor.memory import order_in_memory
from rushlight.tensor.tensor import Tensor

_SWAPPED = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}


def _floating(name: str, x) -> Tensor:
    check_tensor(name, x)
    return x if x._node.dtype.is_inexact else to_dtype(x, get_default_dtype())


def _complex(name: str, x) -> Tensor:
    x = _floating(name, x)
    return x if x._node.dtype.is_complex else e.make_complex(x, x._scalar(0.0))


def _real(name: str, x) -> Tensor:
    x = _floating(name, x)
    if x._node.dtype.is_complex:
        raise RuntimeError(f"{name} expects a real input tensor, but got {x._node.dtype}")
    return x


def _resized(x: Tensor, axis: int, size: int) -> Tensor:
    """Cut, or filled with zeros, to `size` along an axis."""
    if size < 1:
        raise RuntimeError(f"Invalid number of data points ({size}) specified")
    own = x._node.shape[axis]
    if own == size:
        return x
    if own > size:
        return part_of(x, axis, 0, size)
    shape = list(x._node.shape)
    shape[axis] = size - own
    return concatenate((x, expand(x._scalar(0.0), tuple(shape))), axis)


def _scaled(x: Tensor, count: int, norm, inverse: bool) -> Tensor:
    if norm not in _SWAPPED:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        factor = 1 / math.sqrt(count)
    elif (norm == "forward") is inverse:
        return x
    else:
        factor = 1 / count
    return e.mul(x, x._scalar(factor))


def _axes_and_sizes(name: str, x: Tensor, s, dim) -> tuple[tuple[int, ...], list]:
    """Axes, and sizes or None for unchanged ones."""
    rank = x.ndim
    if dim is None:
        count = rank if s is None else len(tuple(s))
        if count > rank:
            raise RuntimeError(
                f"Got shape with {count} values but input tensor only has {rank} dimensions."
            )
        axes = tuple(range(rank - count, rank))
    else:
        given = (dim,) if isinstance(dim, int) else tuple(dim)
        axes = tuple(wrap_axis(d, rank) for d in given)
    if len(set(axes)) != len(axes):
        raise RuntimeError("FFT dims must be unique")
    sizes = [None] * len(axes) if s is None else [None if n == -1 else n for n in s]
    if len(sizes) != len(axes):
        raise RuntimeError("When given, dim and shape arguments must have the same length")
    return axes, sizes


def _transform(x: Tensor, axes, sizes, norm, inverse: bool) -> Tensor:
    """The complex transform of a complex tensor."""
    for axis, size in zip(axes, sizes):
        x = _resized(x, axis, x._node.shape[axis] if size is None else size)
    count = math.prod(x._node.shape[a] for a in axes)
    return _scaled(dft(x, tuple(axes), inverse), count, norm, inverse)


def fftn(input, s=None, dim=None, norm=None) -> Tensor:
    """Transform along several axes.  Source: torch.fft.fftn.

    >>> import rushlight as rl
    >>> rl.fft.fftn(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).real
    tensor([[ 7., -1.],
            [-1.,  3.]])
    """
    x = _complex("fftn", input)
    return _transform(x, *_axes_and_sizes("fftn", x, s, dim), norm, False)


def ifftn(input, s=None, dim=None, norm=None) -> Tensor:
    """Inverse of fftn.  Source: torch.fft.ifftn.

    >>> import rushlight as rl
    >>> rl.fft.ifftn(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).real
    tensor([[ 1.7500, -0.2500],
            [-0.2500,  0.7500]])
    """
    x = _complex("ifftn", input)
    return _transform(x, *_axes_and_sizes("ifftn", x, s, dim), norm, True)


def fft(input, n=None, dim=-1, norm=None) -> Tensor:
    """Transform along one axis, cut or filled to n points.  Source: torch.fft.fft.

    >>> import rushlight as rl
    >>> rl.fft.fft(rl.tensor([0.5, 1.0, 2.0])).real
    tensor([ 3.5000, -1.0000, -1.0000])
    """
    return fftn(input, None if n is None else (n,), (dim,), norm)


def ifft(input, n=None, dim=-1, norm=None) -> Tensor:
    """Inverse of fft.  Source: torch.fft.ifft.

    >>> import rushlight as rl
    >>> rl.fft.ifft(rl.tensor([0.5, 1.0, 2.0])).real
    tensor([ 1.1667, -0.3333, -0.3333])
    """
    return ifftn(input, None if n is None else (n,), (dim,), norm)


def fft2(input, s=None, dim=(-2, -1), norm=None) -> Tensor:
    """Transform along two axes.  Source: torch.fft.fft2.

    >>> import rushlight as rl
    >>> rl.fft.fft2(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).real
    tensor([[ 7., -1.],
            [-1.,  3.]])
    """
    return fftn(input, s, dim, norm)


def ifft2(input, s=None, dim=(-2, -1), norm=None) -> Tensor:
    """Inverse of fft2.  Source: torch.fft.ifft2.

    >>> import rushlight as rl
    >>> rl.fft.ifft2(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).real
    tensor([[ 1.7500, -0.2500],
            [-0.2500,  0.7500]])
    """
    return ifftn(input, s, dim, norm)


# ---- real signals: half of the spectrum ----------------------------------------------------------


def _last(axes) -> int:
    if not axes:
        raise RuntimeError("fft must transform at least one axis")
    return axes[-1]


def _half_order(x: Tensor, axes, last: int):
    """How the result of a transform between a real signal and half a spectrum lies in memory."""
    shape = x._node.shape
    steps = steps_in(shape, order_in_memory(x))
    return dense_order(transformed_axes(shape, steps, axes, last))


def rfftn(input, s=None, dim=None, norm=None) -> Tensor:
    """The last axis's non-negative frequencies of a real signal.  Source: torch.fft.rfftn.

    >>> import rushlight as rl
    >>> rl.fft.rfftn(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).real
    tensor([[ 7., -1.],
            [-1.,  3.]])
    """
    x = _real("rfftn", input)
    axes, sizes = _axes_and_sizes("rfftn", x, s, dim)
    last = _last(axes)
    for axis, size in zip(axes, sizes):
        x = _resized(x, axis, x._node.shape[axis] if size is None else size)
    order = _half_order(x, axes, last)
    found = _transform(e.make_complex(x, x._scalar(0.0)), axes, [None] * len(axes), norm, False)
    return lying(part_of(found, last, 0, found._node.shape[last] // 2 + 1), order)


def irfftn(input, s=None, dim=None, norm=None) -> Tensor:
    """The real signal of which `input` is the half spectrum.  Source: torch.fft.irfftn.

    >>> import rushlight as rl
    >>> rl.fft.irfftn(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).shape
    torch.Size([2, 2])
    """
    x = _complex("irfftn", input)
    axes, sizes = _axes_and_sizes("irfftn", x, s, dim)
    last = _last(axes)
    points = 2 * (x._node.shape[last] - 1) if sizes[-1] is None else sizes[-1]
    if points < 1:
        raise RuntimeError(f"Invalid number of data points ({points}) specified")
    x = _resized(x, last, points // 2 + 1)
    for axis, size in zip(axes[:-1], sizes[:-1]):
        x = _resized(x, axis, x._node.shape[axis] if size is None else size)
    if len(axes) > 1:
        x = dft(x, tuple(axes[:-1]), True)
    order = _half_order(x, (last,), last)
    # A real signal's negative frequencies are the conjugates of the positive ones.
    mirrored = flip(part_of(x, last, 1, points - points // 2 - 1), (last,))
    whole = concatenate((x, e.conj(mirrored)), last)
    found = e.real(dft(whole, (last,), True))
    found = lying(found, order)
    return _scaled(found, math.prod(found._node.shape[a] for a in axes), norm, True)


def rfft(input, n=None, dim=-1, norm=None) -> Tensor:
    """The non-negative frequencies of a real signal.  Source: torch.fft.rfft.

    >>> import rushlight as rl
    >>> rl.fft.rfft(rl.tensor([0.5, 1.0, 2.0])).real
    tensor([ 3.5000, -1.0000])
    """
    return rfftn(input, None if n is None else (n,), (dim,), norm)


def irfft(input, n=None, dim=-1, norm=None) -> Tensor:
    """The real signal of n points with this half spectrum.  Source: torch.fft.irfft.

    >>> import rushlight as rl
    >>> rl.fft.irfft(rl.tensor([0.5, 1.0, 2.0]))
    tensor([ 1.1250, -0.3750,  0.1250, -0.3750])
    """
    return irfftn(input, None if n is None else (n,), (dim,), norm)


def rfft2(input, s=None, dim=(-2, -1), norm=None) -> Tensor:
    """rfftn along two axes.  Source: torch.fft.rfft2.

    >>> import rushlight as rl
    >>> rl.fft.rfft2(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).real
    tensor([[ 7., -1.],
            [-1.,  3.]])
    """
    return rfftn(input, s, dim, norm)


def irfft2(input, s=None, dim=(-2, -1), norm=None) -> Tensor:
    """irfftn along two axes.  Source: torch.fft.irfft2.

    >>> import rushlight as rl
    >>> rl.fft.irfft2(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).shape
    torch.Size([2, 2])
    """
    return irfftn(input, s, dim, norm)


def _swapped(norm):
    if norm not in _SWAPPED:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return _SWAPPED[norm]


def hfftn(input, s=None, dim=None, norm=None) -> Tensor:
    """The real spectrum of a signal of which `input` is the half.  Source: torch.fft.hfftn.

    >>> import rushlight as rl
    >>> rl.fft.hfftn(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).shape
    torch.Size([2, 2])
    """
    return irfftn(e.conj(_complex("hfftn", input)), s, dim, _swapped(norm))


def ihfftn(input, s=None, dim=None, norm=None) -> Tensor:
    """Inverse of hfftn.  Source: torch.fft.ihfftn.

    >>> import rushlight as rl
    >>> rl.fft.ihfftn(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).shape
    torch.Size([2, 2])
    """
    return e.conj(rfftn(_real("ihfftn", input), s, dim, _swapped(norm)))


def hfft(input, n=None, dim=-1, norm=None) -> Tensor:
    """hfftn along one axis.  Source: torch.fft.hfft.

    >>> import rushlight as rl
    >>> rl.fft.hfft(rl.tensor([0.5, 1.0, 2.0]))
    tensor([ 4.5000, -1.5000,  0.5000, -1.5000])
    """
    return hfftn(input, None if n is None else (n,), (dim,), norm)


def ihfft(input, n=None, dim=-1, norm=None) -> Tensor:
    """Inverse of hfft.  Source: torch.fft.ihfft.

    >>> import rushlight as rl
    >>> rl.fft.ihfft(rl.tensor([0.5, 1.0, 2.0])).real
    tensor([ 1.1667, -0.3333])
    """
    return ihfftn(input, None if n is None else (n,), (dim,), norm)


def hfft2(input, s=None, dim=(-2, -1), norm=None) -> Tensor:
    """hfftn along two axes.  Source: torch.fft.hfft2.

    >>> import rushlight as rl
    >>> rl.fft.hfft2(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).shape
    torch.Size([2, 2])
    """
    return hfftn(input, s, dim, norm)


def ihfft2(input, s=None, dim=(-2, -1), norm=None) -> Tensor:
    """Inverse of hfft2.  Source: torch.fft.ihfft2.

    >>> import rushlight as rl
    >>> rl.fft.ihfft2(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).shape
    torch.Size([2, 2])
    """
    return ihfftn(input, s, dim, norm)


# ---- frequencies ---------------------------------------------------------------------------------


def fftfreq(n, d=1.0, *, dtype=None, **keywords) -> Tensor:
    """Frequencies of the n results of fft at sample distance d.  Source: torch.fft.fftfreq.

    >>> import rushlight as rl
    >>> rl.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    dtype = dtype or get_default_dtype()
    return made("fftfreq", narrow(np.fft.fftfreq(n, d), dtype), dtype, **keywords)


def rfftfreq(n, d=1.0, *, dtype=None, **keywords) -> Tensor:
    """Frequencies of the results of rfft.  Source: torch.fft.rfftfreq.

    >>> import rushlight as rl
    >>> rl.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    dtype = dtype or get_default_dtype()
    return made("rfftfreq", narrow(np.fft.rfftfreq(n, d), dtype), dtype, **keywords)


def _shifted(input, dim, inverse: bool) -> Tensor:
    axes = tuple(range(input.ndim)) if dim is None else dim
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    halves = [input._node.shape[a] // 2 for a in axes]
    if inverse:
        halves = [(input._node.shape[a] + 1) // 2 for a in axes]
    return roll(input, tuple(halves), axes)


def fftshift(input, dim=None) -> Tensor:
    """Zero frequency moved to the middle.  Source: torch.fft.fftshift.

    >>> import rushlight as rl
    >>> rl.fft.fftshift(rl.tensor([0.5, 1.0, 2.0]))
    tensor([2.0000, 0.5000, 1.0000])
    """
    check_tensor("fftshift", input)
    return _shifted(input, dim, False)


def ifftshift(input, dim=None) -> Tensor:
    """Inverse of fftshift.  Source: torch.fft.ifftshift.

    >>> import rushlight as rl
    >>> rl.fft.ifftshift(rl.tensor([0.5, 1.0, 2.0]))
    tensor([1.0000, 2.0000, 0.5000])
    """
    check_tensor("ifftshift", input)
    return _shifted(input, dim, True)
