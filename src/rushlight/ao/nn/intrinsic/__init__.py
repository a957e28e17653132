"""PyTorch's `torch.ao.nn.intrinsic`: layers that were fused, still in numbers.  Level: ao (14)."""

from rushlight.ao.nn.fused import (
    BNReLU2d,
    ConvBn1d,
    ConvBn2d,
    ConvBnReLU1d,
    ConvBnReLU2d,
    ConvReLU1d,
    ConvReLU2d,
    ConvReLU3d,
    LinearBn1d,
    LinearReLU,
)
from rushlight.ao.nn.intrinsic import quantized

__all__ = [
    "BNReLU2d",
    "ConvBn1d",
    "ConvBn2d",
    "ConvBnReLU1d",
    "ConvBnReLU2d",
    "ConvReLU1d",
    "ConvReLU2d",
    "ConvReLU3d",
    "LinearBn1d",
    "LinearReLU",
    "quantized",
]
