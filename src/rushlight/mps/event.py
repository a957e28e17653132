"""PyTorch's `torch.mps.event`.  Level 12."""

from __future__ import annotations

from rushlight import streams
from rushlight.engine import mps


class Event(streams.Event):
    """A mark behind the work of an Apple GPU.  Raises: RuntimeError without one."""

    kind = mps.kind
