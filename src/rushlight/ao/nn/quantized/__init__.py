"""PyTorch's `torch.ao.nn.quantized`.  Level: ao (12)."""

from rushlight.ao.nn.quantized import dynamic, modules

__all__ = ["dynamic", "modules"]
