"""PyTorch's `torch.ao.nn`: modules whose weights are integers.  Level: ao (12)."""

from rushlight.ao.nn import quantized

__all__ = ["quantized"]
