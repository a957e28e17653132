"""Making modules equal in all processes; there is one.  Level 12.

Source: torch.distributed.utils.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def _sync_module_states(
    module: Any,
    process_group: Any,
    broadcast_bucket_size: int,
    src: int,
    params_and_buffers_to_ignore: Iterable[str] = (),
    broadcast_buffers: bool = True,
) -> None:
    """Give a module the values that process `src` has: they are its own."""
