"""oneDNN: not a part of rushlight.  Level 12."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

# Switches that are kept, without effect.
enabled = False
deterministic = False
allow_tf32 = False
fp32_precision = "none"


def is_available() -> bool:
    """Whether rushlight computes with oneDNN: no."""
    return False


@contextlib.contextmanager
def flags(enabled: bool = False, **others: object) -> Iterator[None]:
    """Context with other switches; without effect."""
    yield


VERBOSE_OFF = 0
VERBOSE_ON = 1
VERBOSE_ON_CREATION = 2


class verbose:  # noqa: N801 - PyTorch's name
    """Context in which oneDNN would print its calls: it makes none."""

    def __init__(self, level: int) -> None:
        self.level = level

    def __enter__(self) -> verbose:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def is_acl_available() -> bool:
    """Whether Arm's compute library is used: no."""
    return False
