"""PyTorch's `torch.testing`: comparison with tolerances, and tensors to test with.  Level 12."""

from rushlight.testing._comparison import assert_allclose, assert_close
from rushlight.testing._creation import make_tensor

__all__ = ["assert_allclose", "assert_close", "make_tensor"]
