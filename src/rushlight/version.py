"""Version of rushlight, and what it was built with: PyTorch's `torch.version`.  Level 12."""

from __future__ import annotations

__version__ = "0.1.0"

debug = False
# No CUDA, ROCm or Intel GPU runtime: rushlight computes on the CPU.
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
