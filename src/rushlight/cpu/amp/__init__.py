"""PyTorch's former `torch.cpu.amp`: `amp` for one kind of device.  Level 12."""

from rushlight.cpu.amp.autocast_mode import autocast
from rushlight.cpu.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast"]
