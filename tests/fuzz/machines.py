"""Machines that must give the same bits: two threads, another vector unit, other code."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import rushlight
from rushlight.base.target import without_avx512
from rushlight.engine import attention, kernels, products, steps
from rushlight.runtime.host import host_target


@contextlib.contextmanager
def two_threads() -> Iterator[None]:
    """Every kernel that can be shared out is, however small."""
    threads = rushlight.get_num_threads()
    shares = steps._SMALLEST_SHARE, products._SMALLEST_SHARE, products._PACK_GRAIN
    steps._SMALLEST_SHARE = products._SMALLEST_SHARE = products._PACK_GRAIN = 1
    share, attention._SMALLEST_SHARE = attention._SMALLEST_SHARE, 1
    rushlight.set_num_threads(2)
    try:
        yield
    finally:
        steps._SMALLEST_SHARE, products._SMALLEST_SHARE, products._PACK_GRAIN = shares
        attention._SMALLEST_SHARE = share
        rushlight.set_num_threads(threads)


@contextlib.contextmanager
def avx2() -> Iterator[None]:
    """Kernels are made for the same machine without its 512-bit unit."""
    narrow = without_avx512(host_target())
    kernels.host_target = products.host_target = attention.host_target = lambda: narrow
    try:
        yield
    finally:
        kernels.host_target = products.host_target = attention.host_target = host_target


@contextlib.contextmanager
def full_code() -> Iterator[None]:
    """Small kernels get the code that is fastest over many elements, not what compiles quickly."""
    few = steps.FEW_ELEMENTS
    steps.FEW_ELEMENTS = -1
    try:
        yield
    finally:
        steps.FEW_ELEMENTS = few


MACHINES: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "two threads": two_threads,
    "full code": full_code,
}
if host_target().vector_bytes == 64:
    MACHINES["code for AVX2"] = avx2
