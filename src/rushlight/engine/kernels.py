"""Kernels to addresses, through the cache in memory and on disk.  Level 9."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from rushlight.base.config import config
from rushlight.base.observe import LIBRARY, clock, tell, watchers
from rushlight.base.stats import stats
from rushlight.codegen.fingerprint import codegen_fingerprint
from rushlight.codegen.llvm import module_text
from rushlight.loopnest.ir import Kernel
from rushlight.loopnest.verify import verify_kernel
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import Library, loaded_libraries
from rushlight.runtime.kernel_cache import process_cache

_cache = process_cache()

# With more libraries than this loaded, most of them for programs that never came back, all plans
# are forgotten; those that come back find their kernels in memory or on disk.
MOST_LIBRARIES = 1 << 14

# Where a library came from: what `stats` counts and events are called.
COMPILED, FROM_DISK, REUSED = "compiled", "from disk", "reused"


@dataclass(frozen=True)
class Origin:
    """What machine code was made from.

    kernel: its loop nest; None for code that is written as LLVM text at once.
    make_text: gives its LLVM text again.
    source: COMPILED or FROM_DISK.
    """

    kernel: Kernel | None
    make_text: Callable[[], str]
    source: str


def _full_identity(identity: str) -> str:
    return f"{identity} {codegen_fingerprint()}"


def is_loaded(identity: str) -> bool:
    """Whether the module of an identity can be had without a compile or a look at the disk."""
    return _cache.holds(_full_identity(identity), host_target())


def prepare_text(identity: str, make_text: Callable[[], str]) -> None:
    """Make the object code of an identity beside the program: loading it later then is brief."""
    _cache.prepare(_full_identity(identity), make_text, host_target())


def is_crowded() -> bool:
    """Whether plans hold more code than a process should."""
    return loaded_libraries() > MOST_LIBRARIES


def library_of_text(
    identity: str,
    names: list[str],
    make_text: Callable[[], str],
    kernel: Kernel | None = None,
    quick: bool = False,
) -> Library:
    """The loaded module of an identity; its text is made only when it must be compiled."""
    started = clock()
    compiles, loads = _cache.compiles, _cache.loads
    library = _cache.get(_full_identity(identity), names, make_text, host_target(), quick)
    if _cache.compiles > compiles:
        source = COMPILED
        stats.kernels_compiled += 1
    elif _cache.loads > loads:
        source = FROM_DISK
        stats.kernels_from_disk += 1
    else:
        source = REUSED
        stats.kernels_reused += 1
    if library.origin is None:
        library.origin = Origin(kernel, make_text, source)
    if watchers and source != REUSED:
        tell(LIBRARY, source, started, library)
    return library


def kernel_library(kernel: Kernel, brief: bool = False) -> tuple[Library, str]:
    """The loaded module of a loop nest, and the name of its function.

    brief: it has little to do, so code that compiles quickly will do; where full code is loaded
    already, that serves as well.
    """
    printed = repr(kernel)
    name = f"kernel_{hashlib.sha256(printed.encode()).hexdigest()[:24]}"
    named = replace(kernel, name=name)
    if brief and not is_loaded(printed):
        printed += " brief"
    else:
        brief = False

    def make_text() -> str:
        if config.verify:
            verify_kernel(kernel)
        return module_text([named], host_target(), brief)

    return library_of_text(printed, [name], make_text, kernel, brief), name
