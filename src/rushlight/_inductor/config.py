"""Options of PyTorch's code generator: any name can be set; none has an effect.  Level 12."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

debug = False
max_autotune = False
max_autotune_gemm = False
coordinate_descent_tuning = False
epilogue_fusion = True
freezing = False
fx_graph_cache = True
fallback_random = False
force_fuse_int_mm_with_mul = False
use_mixed_mm = False
conv_1x1_as_mm = False
compile_threads = 1
benchmark_kernel = False
shape_padding = True
cpp_wrapper = False


class triton:  # noqa: N801 - PyTorch's name
    """Options of a code generator that is not here."""

    cudagraphs = False
    cudagraph_trees = True
    unique_kernel_names = True


class cpp:  # noqa: N801 - PyTorch's name
    """Options of a code generator that is not here."""

    threads = -1
    simdlen: int | None = None


@contextlib.contextmanager
def patch(arg1: Any = None, arg2: Any = None, **kwargs: Any) -> Iterator[None]:
    """Options that hold within the context: a name and a value, a dictionary, or keywords."""
    changes = {**(arg1 if isinstance(arg1, dict) else {}), **kwargs}
    if isinstance(arg1, str):
        changes[arg1] = arg2
    own = vars(sys.modules[__name__])
    missing = object()
    before = {name: own.get(name, missing) for name in changes}
    own.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is missing:
                own.pop(name, None)
            else:
                own[name] = value
