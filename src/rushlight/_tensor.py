"""The module in which PyTorch keeps the class Tensor.  Level 12."""

from rushlight.tensor.tensor import Tensor

__all__ = ["Tensor"]
