"""PyTorch's `torch.backends`: which accelerators and libraries compute, answered truthfully.

None of PyTorch's backends exists here, so every `is_available()` is False.  Switches that scripts
set, such as `cudnn.benchmark`, are kept and read back, and have nothing to act on.  Level 12.
"""

from rushlight.backends import cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
