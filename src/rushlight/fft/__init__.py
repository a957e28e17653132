"""PyTorch's `torch.fft`: names for the spellings of `ops.fourier`; computes nothing.  Level 12."""

from rushlight.ops import fourier
from rushlight.ops.spelling import with_out
from rushlight.tensor.tensor import Tensor as Tensor

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2",
    "ifftn", "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft",
    "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

fft = with_out(fourier.fft)
fft2 = with_out(fourier.fft2)
fftfreq = with_out(fourier.fftfreq)
fftn = with_out(fourier.fftn)
fftshift = fourier.fftshift
hfft = with_out(fourier.hfft)
hfft2 = with_out(fourier.hfft2)
hfftn = with_out(fourier.hfftn)
ifft = with_out(fourier.ifft)
ifft2 = with_out(fourier.ifft2)
ifftn = with_out(fourier.ifftn)
ifftshift = fourier.ifftshift
ihfft = with_out(fourier.ihfft)
ihfft2 = with_out(fourier.ihfft2)
ihfftn = with_out(fourier.ihfftn)
irfft = with_out(fourier.irfft)
irfft2 = with_out(fourier.irfft2)
irfftn = with_out(fourier.irfftn)
rfft = with_out(fourier.rfft)
rfft2 = with_out(fourier.rfft2)
rfftfreq = with_out(fourier.rfftfreq)
rfftn = with_out(fourier.rfftn)
