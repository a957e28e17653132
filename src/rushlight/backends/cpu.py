"""What kind of CPU computes.  Level 12."""

from __future__ import annotations

import importlib


def get_cpu_capability() -> str:
    """The widest vectors that kernels use: "AVX512", "AVX2" or "DEFAULT"."""
    target = importlib.import_module("rushlight.runtime.host").host_target()
    return {64: "AVX512", 32: "AVX2"}.get(target.vector_bytes, "DEFAULT")
