"""Signal processing, as `torch.signal`.  Level 12."""

from rushlight.signal import windows

__all__ = ["windows"]
