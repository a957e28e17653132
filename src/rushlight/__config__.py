"""PyTorch's `torch.__config__`: what the library was built with.  Level 12."""

from __future__ import annotations

import platform

import numpy

from rushlight.base.threads import thread_count
from rushlight.version import __version__

__all__ = ["parallel_info", "show"]


def show() -> str:
    """What computes, as text."""
    return (
        f"rushlight {__version__}: no C++ library\n"
        f"  - Python {platform.python_version()}, NumPy {numpy.__version__}\n"
        f"  - kernels for {platform.machine() or 'this processor'} through LLVM (llvmlite)\n"
        "  - USE_CUDA=0, USE_MKL=0, USE_MKLDNN=0, USE_OPENMP=0\n"
    )


def parallel_info() -> str:
    """How many threads kernels use, as text."""
    return f"rushlight's own pool of threads: {thread_count.count} threads\n"
