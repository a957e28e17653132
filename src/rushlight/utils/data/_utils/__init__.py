"""The folder in which PyTorch keeps what data loading is made of.  Level 12."""

from rushlight.utils.data._utils import collate, worker

__all__ = ["collate", "worker"]
