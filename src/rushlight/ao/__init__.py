"""PyTorch's `torch.ao`: quantized modules, and what makes them of others.  Level: ao (12)."""

from rushlight.ao import nn, quantization

__all__ = ["nn", "quantization"]
