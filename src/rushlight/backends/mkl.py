"""Intel MKL: not a part of rushlight.  Level 12."""

from __future__ import annotations


def is_available() -> bool:
    """Whether rushlight computes with Intel MKL: no."""
    return False


VERBOSE_OFF = 0
VERBOSE_ON = 1


class verbose:  # noqa: N801 - PyTorch's name
    """Context in which MKL would print its calls: it makes none."""

    def __init__(self, enable: int) -> None:
        self.enable = enable

    def __enter__(self) -> verbose:
        return self

    def __exit__(self, *_: object) -> None:
        return None
