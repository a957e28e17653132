"""The folder in which PyTorch keeps its function transforms.  Level 12."""

from rushlight._functorch import vmap

__all__ = ["vmap"]
