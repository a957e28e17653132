"""Switches of the cuDNN library, kept for the scripts that set them.  Level 12."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

enabled = True
benchmark = False
benchmark_limit: int | None = None
deterministic = False
allow_tf32 = True
fp32_precision = "none"


class _Precision:
    """How float32 convolutions and recurrent layers may round: kept."""

    fp32_precision = "none"


conv = _Precision()
rnn = _Precision()


def is_available() -> bool:
    """Whether cuDNN computes convolutions: no."""
    return False


def version() -> int | None:
    """Version of cuDNN: none."""
    return None


def is_acceptable(tensor: object) -> bool:
    """Whether cuDNN takes this tensor: no."""
    return False


_NAMES = ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32")


def set_flags(
    _enabled: bool | None = None,
    _benchmark: bool | None = None,
    _benchmark_limit: int | None = None,
    _deterministic: bool | None = None,
    _allow_tf32: bool | None = None,
    _fp32_precision: str = "none",
) -> tuple:
    """Set the switches that are not None; returns what they were."""
    own = vars(sys.modules[__name__])
    before = tuple(own[name] for name in _NAMES)
    given = (_enabled, _benchmark, _benchmark_limit, _deterministic, _allow_tf32)
    own.update({name: value for name, value in zip(_NAMES, given) if value is not None})
    return before


@contextlib.contextmanager
def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
) -> Iterator[None]:
    """Context with other switches; without effect."""
    before = set_flags(enabled, benchmark, benchmark_limit, deterministic, allow_tf32)
    try:
        yield
    finally:
        vars(sys.modules[__name__]).update(dict(zip(_NAMES, before)))
