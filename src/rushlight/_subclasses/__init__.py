"""Tensors without values that PyTorch's compiler runs programs on.  Level 12.

Programs ask whether a tensor is one; none is, as nothing is traced here.
"""

from rushlight._subclasses.fake_tensor import FakeTensor, FakeTensorMode

__all__ = ["FakeTensor", "FakeTensorMode"]
