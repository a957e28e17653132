"""torch.utils: data loading and exchange.  Level 12."""

from rushlight.utils import data

__all__ = ["data"]
