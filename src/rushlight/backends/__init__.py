"""PyTorch's `torch.backends`: which accelerators and libraries compute, answered truthfully.

None of PyTorch's backends exists here, so every `is_available()` is False.  Switches that scripts
set, such as `cudnn.benchmark`, are kept and read back, and have nothing to act on.  Level 12.
"""

import contextlib
from collections.abc import Iterator

from rushlight.backends import (
    cpu,
    cuda,
    cudnn,
    cusparselt,
    kleidiai,
    mha,
    miopen,
    mkl,
    mkldnn,
    mps,
    nnpack,
    openmp,
    opt_einsum,
    quantized,
    xnnpack,
)

__all__ = [
    "cpu",
    "cuda",
    "cudnn",
    "cusparselt",
    "disable_global_flags",
    "flags",
    "kleidiai",
    "mha",
    "miopen",
    "mkl",
    "mkldnn",
    "mps",
    "nnpack",
    "openmp",
    "opt_einsum",
    "quantized",
    "xnnpack",
]

# How float32 products may round: kept, they are always computed in float32.
fp32_precision = "none"


def disable_global_flags() -> None:
    """Forbid changes of switches outside of `flags` contexts; they have no effect anyway."""


@contextlib.contextmanager
def __allow_nonbracketed_mutation() -> Iterator[None]:
    """Context in which switches may be changed; they always may."""
    yield


@contextlib.contextmanager
def flags(fp32_precision: str = "none") -> Iterator[None]:
    """Context with a precision of products; without effect."""
    yield
