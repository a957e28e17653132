"""PyTorch's `torch.ao.nn`: modules whose weights are integers.  Level: ao (14)."""

from rushlight.ao.nn import intrinsic, quantized

__all__ = ["intrinsic", "quantized"]
