"""DLPack under the names of `torch.utils.dlpack`.  Level: utils (12)."""

from rushlight.tensor.dlpack import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
