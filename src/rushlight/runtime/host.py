"""This machine's Target: vector unit from LLVM's feature list, caches from the system.

Where the system does not tell a cache size, a small common one is assumed: blocks that are a
little too small cost a few per cent, blocks that are too large cost far more.  Level 8.
"""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import llvmlite.binding as llvm

from rushlight.base.forks import lock_known_to_forks
from rushlight.base.target import Target
from rushlight.base.threads import usable_cores

_ASSUMED_L1 = 32 << 10
_ASSUMED_L2 = 256 << 10
_ASSUMED_L3 = 4 << 20
_LINE_BYTES = 64
_CACHE_DIRECTORY = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _bytes_of(text: str) -> int:
    text = text.strip()
    if text and text[-1] in _UNITS:
        return int(text[:-1]) * _UNITS[text[-1]]
    return int(text)


def _cache_sizes() -> dict[int, int]:
    """Level to bytes of the data or unified cache of the first core; empty where unknown."""
    sizes: dict[int, int] = {}
    for index in sorted(_CACHE_DIRECTORY.glob("index*")):
        try:
            if (index / "type").read_text().strip() == "Instruction":
                continue
            level = int((index / "level").read_text())
            sizes[level] = _bytes_of((index / "size").read_text())
        except (OSError, ValueError):
            continue
    return sizes


def _vector_unit(architecture: str, features: dict[str, bool]) -> tuple[int, int, bool]:
    """Bytes of a vector register, how many there are, and whether masks are free."""
    if architecture in ("x86_64", "amd64", "i686"):
        wide = ("avx512f", "avx512bw", "avx512vl", "avx512dq")
        if all(features.get(name) for name in wide):
            return 64, 32, True
        if features.get("avx2") and features.get("fma"):
            return 32, 16, False
        return 16, 16, False
    return 16, 32, False


@functools.cache
def host_target() -> Target:
    """The Target of the machine this process runs on."""
    with lock_known_to_forks("llvm"):
        triple = llvm.get_process_triple()
        features = dict(llvm.get_host_cpu_features())
        cpu = llvm.get_host_cpu_name()
    architecture = triple.split("-", 1)[0]
    vector_bytes, registers, masked = _vector_unit(architecture, features)
    sizes = _cache_sizes()
    signed = tuple(("+" if on else "-") + name for name, on in sorted(features.items()))
    return Target(
        triple=triple,
        cpu=cpu,
        features=signed,
        vector_bytes=vector_bytes,
        vector_registers=registers,
        masked_memory=masked,
        l1_bytes=sizes.get(1, _ASSUMED_L1),
        l2_bytes=sizes.get(2, _ASSUMED_L2),
        l3_bytes=sizes.get(3, _ASSUMED_L3),
        line_bytes=_LINE_BYTES,
        cores=usable_cores(),
    )


def host_summary() -> str:
    """One line that names the machine, for reports."""
    target = host_target()
    return (
        f"{platform.machine()} {target.cpu}, {target.cores} cores, vectors of "
        f"{target.vector_bytes} bytes, caches {target.l1_bytes >> 10}K/"
        f"{target.l2_bytes >> 10}K/{target.l3_bytes >> 10}K"
    )
