"""Machine code of matrix products: which serves given sizes best, and what serves them too.

Code for a GEMM is made for a class of sizes: how B is read, how many rows a core has, which right
edges there are, whether A is copied.  All of it gives the same bits.  A program of fixed sizes gets
the best; where sizes vary, what serves every size is loaded once, and code that would be better is
made when what it would have saved comes to as much as making it takes.  Level 9.
"""

from __future__ import annotations

import functools
from dataclasses import replace

from rushlight.base.later import Later
from rushlight.base.stats import stats
from rushlight.base.target import Target
from rushlight.codegen.arithmetic import NARROW
from rushlight.codegen.gemm import (
    A_COLUMNS,
    A_DIRECT,
    A_LINES,
    B_ANY,
    B_COLUMNS,
    B_DIRECT,
    B_LINES,
    B_LOCAL_COLUMNS,
    B_LOCAL_ROWS,
    B_ROWS,
    EDGE_ANY,
    GATHER_ROWS,
    GemmSpec,
    function_names,
    gemm_text,
)
from rushlight.codegen.gemm_choices import (
    choose_a_mode,
    choose_b_mode,
    choose_core_rows,
    choose_edge,
    most_rows_of_modes,
)
from rushlight.codegen.microkernel import K_BLOCK, largest_rows
from rushlight.engine.kernels import is_loaded, library_of_text, prepare_text
from rushlight.lowering.matmul import Product
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import Library

# Up to here the code that serves every shape loses at most half a microsecond to the code for one,
# which takes up to 200 ms to compile, and every few shapes need another.
_FEW_MULTIPLICATIONS = 1 << 13
# Ways to read B, those that serve most sizes well first.
_ALONG_ROWS = (B_LOCAL_ROWS, B_ROWS, B_DIRECT)
_ALONG_COLUMNS = (B_LOCAL_COLUMNS, B_COLUMNS, B_LINES)
# Multiply-adds that take as long as a compile, about a tenth of a second.
_MULTIPLICATIONS_OF_A_COMPILE = 1 << 31


@functools.cache
def _spec_named(dtype: str, mode: str, rows: int, edge: str, a_mode: str) -> GemmSpec:
    """The code for such products."""
    name = f"gemm_{dtype}_{a_mode}_{mode}_{rows}_{edge}"
    return GemmSpec(name, dtype, mode, rows, edge, a_mode)


@functools.cache
def _serving_every_shape(dtype: str) -> GemmSpec:
    spec = GemmSpec("", dtype, B_ANY, GATHER_ROWS)
    return replace(spec, name=f"gemm_{dtype}_{B_ANY}_{spec.core_rows}_{spec.edge}")


def _serving_small(product: Product, target: Target) -> GemmSpec:
    """The code for products of few multiplications: one for all, or for each order of operands
    where they have to be packed."""
    dtype = product.arithmetic
    if dtype not in NARROW:
        return _serving_every_shape(dtype)
    mode = B_LOCAL_ROWS if product.b_strides[1] == 1 else B_LOCAL_COLUMNS
    a_mode = choose_a_mode(1, 1, product.k, *product.a_strides, dtype, mode, target)
    return _spec_named(dtype, mode, GATHER_ROWS, EDGE_ANY, a_mode)


@functools.cache
def _identity(spec: GemmSpec) -> str:
    return repr(spec)


class _Loaded:
    """Code that is loaded for one target, by the name of its specification; it stays loaded, for
    there are few classes of sizes.

    owed: multiply-adds computed by other code for lack of the best, by the best one's name.
    wanted: specifications of code that is owed, by name.  coming: those that a thread makes now.
    absent: names not in memory either, when so many kernels had been made or read.
    """

    def __init__(self) -> None:
        self.target: Target | None = None
        self.libraries: dict[str, Library] = {}
        self.owed: dict[str, int] = {}
        self.absent: dict[str, int] = {}
        self.wanted: dict[str, GemmSpec] = {}
        self.coming: dict[str, Later] = {}

    def of(self, target: Target) -> dict[str, Library]:
        """The libraries made for a target."""
        if self.target is not target:
            self.libraries, self.owed, self.absent, self.target = {}, {}, {}, target
            self.wanted, self.coming = {}, {}
        return self.libraries


_loaded = _Loaded()


def library_of(spec: GemmSpec, target: Target) -> Library:
    """The loaded code of a specification."""
    libraries = _loaded.of(target)
    found = libraries.get(spec.name)
    if found is None:
        found = libraries[spec.name] = library_of_text(
            _identity(spec), function_names(spec), lambda: gemm_text(spec, target)
        )
    return found


def _can_be_had(spec: GemmSpec, target: Target) -> bool:
    """Whether code can be had without a compile or a look at the disk."""
    name = spec.name
    if name in _loaded.of(target):
        return True
    # Asked for each size of a product, and what is asked for is a digest of a long text.
    made = stats.kernels_compiled + stats.kernels_from_disk
    if _loaded.absent.get(name) == made:
        return False
    if is_loaded(_identity(spec)):
        return True
    _loaded.absent[name] = made
    return False


def best_spec(product: Product, m: int, target: Target) -> GemmSpec:
    """The fastest code for such a product of m rows."""
    dtype, n, k = product.arithmetic, product.n, product.k
    mode = choose_b_mode(m, k, *product.b_strides, dtype, target)
    rows = choose_core_rows(m, target)
    edge = choose_edge(n, dtype, rows, mode, target)
    a_mode = choose_a_mode(m, n, k, *product.a_strides, dtype, mode, target)
    return _spec_named(dtype, mode, rows, edge, a_mode)


def spec_for(product: Product, target: Target) -> GemmSpec:
    """The fastest code for the sizes; where that had to be compiled, what serves nearly as well."""
    best = best_spec(product, product.m, target)
    if _can_be_had(best, target):
        return best
    if _work(product) <= _FEW_MULTIPLICATIONS:
        return _serving_small(product, target)
    # The last batch of an epoch is short: it takes the code of the others, half as fast at worst.
    for rows in most_rows_of_modes(product.arithmetic, target):
        for k in (product.k, K_BLOCK):
            longer = best_spec(replace(product, k=k), rows, target)
            if 1 < product.m <= rows and product.k <= k and _can_be_had(longer, target):
                return longer
    return best


def spec_among_loaded(product: Product, target: Target) -> tuple[GemmSpec, str]:
    """Code for one of many sizes: the fastest of what is loaded, unless it is time for the best;
    and the name of better code that would have to be made, or ""."""
    best = best_spec(product, product.m, target)
    if _can_be_had(best, target):
        return best, ""
    serving = _serving(product, best, target)
    if _work(product) <= _FEW_MULTIPLICATIONS:
        smallest = _serving_small(product, target)
        return next((s for s in (smallest, *serving) if _can_be_had(s, target)), smallest), ""
    if not _is_due(best.name, target):
        for general in serving:
            if _can_be_had(general, target):
                _loaded.wanted[best.name] = best
                return general, best.name
    return best, ""


def note_use(name: str, multiplications: int) -> bool:
    """Better code was not there for so much work; returns whether it can be had now."""
    _loaded.owed[name] = _loaded.owed.get(name, 0) + multiplications
    return _is_due(name, host_target())


def _is_due(name: str, target: Target) -> bool:
    """Whether better code is worth making, and made: a thread does that, and no step waits."""
    if _loaded.owed.get(name, 0) < _MULTIPLICATIONS_OF_A_COMPILE:
        return False
    coming = _loaded.coming.get(name)
    if coming is None:
        spec = _loaded.wanted.get(name)
        if spec is None:
            return False
        coming = _loaded.coming[name] = Later(lambda: _prepare(spec, target))
    return coming.is_over()


def _prepare(spec: GemmSpec, target: Target) -> None:
    prepare_text(_identity(spec), lambda: gemm_text(spec, target))


def load_what_serves(products: list[Product], target: Target) -> None:
    """Load code that serves all sizes of a product, of which some are given."""
    fixed = all([product.n == products[0].n for product in products])
    for product in products:
        if not product.is_vector and _work(product) > _FEW_MULTIPLICATIONS:
            serving = _serving(product, best_spec(product, product.m, target), target, fixed)
            if not any([_can_be_had(spec, target) for spec in serving]):
                library_of(serving[0], target)


def _serving(
    product: Product, best: GemmSpec, target: Target, fixed: bool = True
) -> list[GemmSpec]:
    """Code for any number of rows, the fastest first; fixed: for this number of columns, or for
    any."""
    rows, mode = largest_rows(target), best.b_mode
    modes = list(_ALONG_ROWS if mode in _ALONG_ROWS else _ALONG_COLUMNS)
    packing = A_LINES if product.a_strides[1] == 1 else A_COLUMNS
    a_modes = [A_DIRECT, packing] if 1 in product.a_strides else [A_DIRECT]
    if best.dtype in NARROW:
        modes, a_modes = [m for m in modes if m not in (B_DIRECT, B_LINES)], [best.a_mode]
    found = []
    for b_mode in dict.fromkeys((mode, *modes)):
        edges = [EDGE_ANY]
        if fixed:
            edges.insert(0, choose_edge(product.n, best.dtype, rows, b_mode, target))
        for a_mode in dict.fromkeys((best.a_mode, *a_modes)):
            if a_mode == A_DIRECT or b_mode != B_LINES:
                found += [_spec_named(best.dtype, b_mode, rows, e, a_mode) for e in edges]
    return found


def _work(product: Product) -> int:
    return product.batches * product.m * product.n * product.k
