"""What PyTorch tries out with tensors on a mesh.  Level 12.

Source: torch.distributed.tensor.experimental.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["implicit_replication"]


@contextlib.contextmanager
def implicit_replication() -> Iterator[None]:
    """A stretch in which plain tensors count as replicated; in one process they always do."""
    yield
