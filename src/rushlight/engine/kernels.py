"""Kernels to addresses, through the cache in memory and on disk.  Level 9."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from rushlight.base.stats import stats
from rushlight.codegen.fingerprint import codegen_fingerprint
from rushlight.codegen.llvm import module_text
from rushlight.loopnest.ir import Kernel
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import Library
from rushlight.runtime.kernel_cache import DiskCache, KernelCache, default_directory

_cache = KernelCache(DiskCache(default_directory()))


def library_of_text(identity: str, names: list[str], make_text: Callable[[], str]) -> Library:
    """The loaded module of an identity; its text is made only when it must be compiled."""
    before = _cache.compiles
    library = _cache.get(f"{identity} {codegen_fingerprint()}", names, make_text, host_target())
    stats.kernels_compiled += _cache.compiles - before
    return library


def kernel_library(kernel: Kernel) -> tuple[Library, str]:
    """The loaded module of a loop nest, and the name of its function."""
    printed = repr(kernel)
    name = f"kernel_{hashlib.sha256(printed.encode()).hexdigest()[:24]}"
    named = Kernel(name, kernel.buffers, kernel.params, kernel.body)
    library = library_of_text(printed, [name], lambda: module_text([named], host_target()))
    return library, name
