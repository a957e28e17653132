"""NNPACK: not a part of rushlight.  Level 12."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


def is_available() -> bool:
    """Whether rushlight computes with NNPACK: no."""
    return False


@contextlib.contextmanager
def flags(enabled: bool = False, **others: object) -> Iterator[None]:
    """Context with other switches; without effect."""
    yield
