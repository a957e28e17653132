"""Kernels that are used only where they were seen to be right: a product is tried before the first.

Instructions of one generation of cards were written from their manual and tried on an emulator
that has the same reading of it.  A card that disagrees is asked once, warned of, and computes by
other kernels.  Level 9.
"""

from __future__ import annotations

import warnings
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from rushlight.base.dtypes import dtype_by_name, narrow, widen
from rushlight.codegen.grid_warpgroup import GridGroupProduct, group_product_kernel

# Rows and columns beyond a tile, and two turns of its loop over k.
_SHAPE = (136, 144, 128)
_found: WeakKeyDictionary[Any, dict[str, bool]] = WeakKeyDictionary()


def warpgroups_multiply(dtype: str, backend: Any) -> bool:
    """Whether products by `wgmma` are right on a device, to the last bit where sums are exact."""
    known = _found.setdefault(backend, {})
    if dtype not in known:
        known[dtype] = _tried(dtype, backend)
        if not known[dtype]:
            warnings.warn(
                f"{backend.facts.name}: products of {dtype} by wgmma are wrong there, and are "
                "computed by mma.sync; please report it",
                RuntimeWarning,
                stacklevel=2,
            )
    return known[dtype]


def _tried(dtype: str, backend: Any) -> bool:
    m, n, k = _SHAPE
    kind = dtype_by_name(dtype)
    # Small integers: no sum is rounded, whatever its order, until the result is.
    generator = np.random.default_rng(0)
    x, y = (generator.integers(-3, 4, size).astype(np.float32) for size in ((m, k), (n, k)))
    arrays = [np.asarray(narrow(a, kind)) for a in (x, y, np.zeros((m, n), np.float32))]
    given = [backend.from_host(array) for array in (*arrays, np.zeros(3, np.int64))]
    spec = GridGroupProduct(dtype)
    kernel, function = backend.loaded(spec.name, lambda: group_product_kernel(spec))
    words = [m, n, k, k, k, 2, 2, 4]
    backend.stream.begin()
    backend.launch(function, kernel.blocks(4), [array.address for array in given], words)
    return np.array_equal(
        widen(given[2].to_host(), kind), widen(np.asarray(narrow(x @ y.T, kind)), kind)
    )
