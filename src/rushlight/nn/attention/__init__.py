"""PyTorch's `torch.nn.attention`: which kernels of attention may run, and masks as functions.

There is one way to compute attention here, and it gives the same numbers whatever was chosen; the
choice is kept for whoever asks.  Level 12.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator

from rushlight.backends import cuda as switches

__all__ = ["SDPBackend", "WARN_FOR_UNFUSED_KERNELS", "sdpa_kernel"]

# Whether PyTorch warns when a chosen kernel cannot be used.
WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(enum.IntEnum):
    """PyTorch's kernels of attention."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


_SWITCHES = {
    SDPBackend.MATH: "math",
    SDPBackend.FLASH_ATTENTION: "flash",
    SDPBackend.EFFICIENT_ATTENTION: "mem_efficient",
    SDPBackend.CUDNN_ATTENTION: "cudnn",
}


def _cur_sdpa_kernel_backends() -> list[SDPBackend]:
    """The kernels that may run."""
    return [kind for kind, name in _SWITCHES.items() if getattr(switches._attention, name)]


@contextlib.contextmanager
def sdpa_kernel(
    backends: list[SDPBackend] | SDPBackend, set_priority: bool = False
) -> Iterator[None]:
    """Context that allows the given kernels only.

    Raises: AssertionError unless `backends` is one or several of SDPBackend.
    """
    chosen = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not all(isinstance(one, SDPBackend) for one in chosen):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of them")
    before = dict(vars(switches._attention))
    vars(switches._attention).update({name: kind in chosen for kind, name in _SWITCHES.items()})
    try:
        yield
    finally:
        vars(switches._attention).update(before)
