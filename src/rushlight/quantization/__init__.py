"""PyTorch's older name of `torch.ao.quantization`.  Level: quantization (15)."""

from rushlight.ao.quantization import *  # noqa: F403
from rushlight.ao.quantization import __all__ as __all__
