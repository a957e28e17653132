"""`torch.func.vmap`, where `transform/` has it.  Level: func."""

from rushlight.transform.vectorization import vmap

__all__ = ["vmap"]
