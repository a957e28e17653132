"""PyTorch's `torch.ao.nn.intrinsic.quantized`: fused layers among integers.  Level: ao (14)."""

from rushlight.ao.nn.quantized.static.conv import ConvReLU1d, ConvReLU2d, ConvReLU3d
from rushlight.ao.nn.quantized.static.linear import LinearReLU

__all__ = ["ConvReLU1d", "ConvReLU2d", "ConvReLU3d", "LinearReLU"]
