"""Short-time Fourier transform and its inverse, by overlapping frames.  Level 11."""

from __future__ import annotations

import math

from rushlight.base.dtypes import int64
from rushlight.base.orders import dense_order
from rushlight.ops.arithmetic import mul, true_divide
from rushlight.ops.complex import view_as_real
from rushlight.ops.formats import lying
from rushlight.ops.fourier import fft, ifft, irfft, rfft
from rushlight.ops.padding import pad
from rushlight.ops.promotion import all_members, check_tensor, constant
from rushlight.ops.shaping import narrow, transpose
from rushlight.ops.spelling import spelled
from rushlight.primitives.elementwise import make_complex
from rushlight.primitives.movement import reshape, strided_add
from rushlight.tensor.tensor import Tensor


def _settings(name: str, n_fft: int, hop_length, win_length, window) -> tuple[int, int]:
    """(hop, window length) with PyTorch's defaults and errors."""
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    if n_fft <= 0:
        raise RuntimeError(f"{name}: expected 0 < n_fft, got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is not None and window._node.shape != (length,):
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={length}, but got "
            f"window with size {list(window._node.shape)}"
        )
    return hop, length


def _centered_window(like: Tensor, window, length: int, n_fft: int) -> Tensor:
    """The window in the middle of n_fft points; ones without a window."""
    if window is None:
        window = like.new_ones((length,), dtype=like._node.dtype.to_real())
    left = (n_fft - length) // 2
    return pad(window, (left, n_fft - length - left)) if length < n_fft else window


@spelled(method=True)
def stft(input, n_fft: int, hop_length=None, win_length=None, window=None, center: bool = True,
         pad_mode: str = "reflect", normalized: bool = False, onesided=None, return_complex=None,
         align_to_window=None) -> Tensor:  # fmt: skip
    """Spectra of overlapping frames.  Shapes: (T) or (B, T) -> (…, frequencies, frames).

    Raises: RuntimeError for settings that do not fit.  Source: torch.stft.
    """
    check_tensor("stft", input)
    hop, length = _settings("stft", n_fft, hop_length, win_length, window)
    if input.ndim not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, but got {input.ndim}D")
    whole = input._node.dtype.is_complex or (window is not None and window._node.dtype.is_complex)
    if return_complex is None:
        if not whole:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will "
                "further require that return_complex=True in a future PyTorch release."
            )
        return_complex = True
    onesided = not whole if onesided is None else onesided
    if onesided and whole:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    batch = input._node.shape[:-1]
    x = reshape(input, (math.prod(batch), 1, input._node.shape[-1]))
    if center:
        x = pad(x, (n_fft // 2, n_fft // 2), pad_mode)
    if x._node.shape[-1] < n_fft:
        raise RuntimeError(
            f"stft: expected 0 < n_fft <= {x._node.shape[-1]}, but got n_fft={n_fft}"
        )
    x = reshape(x, (x._node.shape[0], x._node.shape[-1]))
    frames = mul(x.unfold(-1, n_fft, hop), _centered_window(input, window, length, n_fft))
    norm = "ortho" if normalized else None
    spectra = transpose((rfft if onesided else fft)(frames, norm=norm), 1, 2)
    spectra = reshape(spectra, (*batch, *spectra._node.shape[1:]))
    if return_complex:
        return spectra
    made, rank = view_as_real(spectra), len(batch)
    return lying(made, dense_order((*range(rank), rank + 1, rank, rank + 2)))


def _overlapped(frames: Tensor, hop: int) -> Tensor:
    """(B, frames, n) added up where they overlap: (B, samples)."""
    batch, count, n = frames._node.shape
    samples = n + hop * (count - 1)
    offset = frames._scalar(0, int64)
    return strided_add(frames, offset, (batch, count, n), (samples, hop, 1), (batch, samples))


@spelled(method=True)
def istft(input, n_fft: int, hop_length=None, win_length=None, window=None, center: bool = True,
          normalized: bool = False, onesided=None, length=None, return_complex: bool = False
          ) -> Tensor:  # fmt: skip
    """The signal whose short-time spectra are nearest to `input`; reads the window's overlap.

    Shapes: (…, frequencies, frames) -> (…, T).
    Raises: RuntimeError if the windows leave gaps.  Source: torch.istft.
    """
    check_tensor("istft", input)
    hop, points = _settings("istft", n_fft, hop_length, win_length, window)
    if not input._node.dtype.is_complex:
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    if input.ndim not in (2, 3):
        raise RuntimeError(f"istft: expected a tensor with 2 or 3 dimensions, got {input.ndim}")
    bins, count = input._node.shape[-2:]
    onesided = bins != n_fft if onesided is None else onesided
    if bins != (n_fft // 2 + 1 if onesided else n_fft):
        raise RuntimeError(f"istft: {bins} frequencies do not belong to n_fft={n_fft}")
    batch = input._node.shape[:-2]
    spectra = transpose(reshape(input, (math.prod(batch), bins, count)), 1, 2)
    norm = "ortho" if normalized else None
    taper = _centered_window(input, window, points, n_fft)
    if return_complex:
        frames = ifft(_all_bins(spectra, n_fft) if onesided else spectra, norm=norm)
    else:  # a real signal: the negative frequencies say nothing new
        frames = irfft(narrow(spectra, 2, 0, n_fft // 2 + 1), n_fft, norm=norm)
    signal = _overlapped(mul(frames, taper), hop)
    weight = reshape(mul(taper, taper), (1, 1, n_fft)).expand((1, count, n_fft))
    envelope = _overlapped(weight.clone(), hop)
    start = n_fft // 2 if center else 0
    total = signal._node.shape[-1]
    stop = total - (n_fft // 2 if center else 0)
    if length is not None:
        stop = min(start + length, total)
    signal = narrow(signal, 1, start, max(stop - start, 0))
    envelope = narrow(envelope, 1, start, max(stop - start, 0))
    if envelope.numel() and float(all_members(constant(envelope)).abs().min().item()) < 1e-11:
        raise RuntimeError("window overlap add min: 1: the windows leave gaps between them")
    signal = true_divide(signal, envelope)
    if length is not None and length > stop - start:
        signal = pad(signal, (0, length - (stop - start)))
    return reshape(signal, (*batch, signal._node.shape[-1]))


def _all_bins(spectra: Tensor, n_fft: int) -> Tensor:
    """All frequencies of a real signal from the non-negative ones."""
    whole = irfft(spectra, n_fft)
    return fft(make_complex(whole, whole._scalar(0.0)))
