"""PyTorch's `torch.mps.event`.  Level 12."""

from __future__ import annotations


class Event:
    """An event on an Apple GPU.  Raises: RuntimeError."""

    def __init__(self, enable_timing: bool = False) -> None:
        raise RuntimeError("mps.Event needs the MPS backend; rushlight runs on the CPU")
