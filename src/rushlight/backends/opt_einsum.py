"""What orders the contractions of einsum: not the opt_einsum package.  Level 12."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

enabled = False
strategy: str | None = None


def is_available() -> bool:
    """Whether rushlight orders contractions with the opt_einsum package: no."""
    return False


def get_opt_einsum() -> None:
    """The opt_einsum package: not used."""
    return None


@contextlib.contextmanager
def flags(enabled: bool = False, **others: object) -> Iterator[None]:
    """Context with other switches; without effect."""
    yield
