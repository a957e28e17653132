"""Products of a template: which core, tiles and panels serve the sizes at hand.

In: products with Syms for sizes, and the numbers of an instance.  Out: what to write into the rows
and words of the plan's calls.  Level 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.base.dtypes import dtype_by_name
from rushlight.base.symbolic import Sym
from rushlight.engine.product_code import load_what_serves, note_use, spec_among_loaded
from rushlight.engine.products import offsets_of, product_calls, with_place_to_pack
from rushlight.engine.steps import NativeStep
from rushlight.lowering.matmul import Product
from rushlight.runtime.host import host_target
from rushlight.runtime.launch import EXTENT_WORD, FUNCTION_WORD, GRAIN_WORD


class Numbers:
    """The numbers a template wants, each once.  wanted: Syms, by place."""

    def __init__(self) -> None:
        self.wanted: list[Sym] = []
        self._places: dict[Any, int] = {}

    def place(self, sym: Sym) -> int:
        """Where the number is found."""
        key = (sym.coefficient, sym.factors)
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = len(self.wanted)
            self.wanted.append(sym)
        return found


class VaryingProduct:
    """How to ask for a product's sizes: `product` with Syms, its native steps, its table's slot.

    run, row, start: where its calls stand, and their words.  key: the sizes in place now.
    """

    __slots__ = ("product", "steps", "table", "run", "row", "start", "sizes", "key", "calls")

    def __init__(self, product: Product, steps: list[NativeStep], table: int) -> None:
        self.product = product
        self.steps = steps
        self.table = table
        self.key: Any = None
        self.calls: Any = None
        self.sizes: Any = None
        self.run: Any = None
        self.row = 0
        self.start = 0


class Chosen:
    """How a product of certain sizes is computed.

    words: of its calls, one after the other; rows: what stands in the row of each.
    offsets: the table, if it is a batch's.  workspace: bytes.  libraries: what holds the code.
    owes: name of better code that is not there, or ""; work: multiply-adds.
    """

    __slots__ = (
        "words", "rows", "offsets", "offsets_address", "workspace", "libraries", "owes", "work",
    )  # fmt: skip

    def __init__(self, pattern: Product, sizes: tuple[int, ...], room: tuple[int, int]) -> None:
        product = with_product_sizes(pattern, sizes)
        spec, self.owes = None, ""
        self.work = product.batches * product.m * product.n * product.k
        if not product.is_vector:
            spec, self.owes = spec_among_loaded(product, host_target())
        made = product_calls(product, spec)
        calls = made.calls
        count, width = room
        if len(calls) < count:
            calls = with_place_to_pack(calls)
        words = [[*call.words, *[0] * (width - len(call.words))] for call in calls]
        self.words = np.array(words, np.int64).reshape(-1)
        self.rows = np.array(
            [(call.library[call.function], call.extent, call.grain) for call in calls], np.int64
        )
        self.libraries = [call.library for call in calls]
        self.offsets: np.ndarray | None = None
        if product.batch:
            self.offsets = offsets_of(product)
            self.offsets_address = self.offsets.ctypes.data
        self.workspace = made.workspace * dtype_by_name(product.dtype).itemsize


CALL_COLUMNS = np.array([FUNCTION_WORD, EXTENT_WORD, GRAIN_WORD])
# By dtypes, number of calls, threads and sizes: equal layers share them, and so do other steps.
# The longest unused is forgotten first.
_chosen: dict[tuple, Chosen] = {}
_MOST_CHOSEN = 1 << 12


def chosen(product: Product, sizes: tuple[int, ...], room: tuple[int, int], threads: int) -> Chosen:
    """How a product of these sizes is computed; room: in how many calls, of how many words each."""
    name = (product.arithmetic, product.stored, room, threads, sizes)
    found = _chosen.pop(name, None)
    if found is not None and found.owes and note_use(found.owes, found.work):
        found = None
    if found is None:
        found = Chosen(product, sizes, room)
        if len(_chosen) >= _MOST_CHOSEN:
            del _chosen[next(iter(_chosen))]
    _chosen[name] = found
    return found


def prepare(product: Product) -> None:
    """Load what serves a product whose sizes are Syms."""
    sizes = flat_sizes(product)
    count = max([len(size.samples) for size in sizes if size.__class__ is Sym], default=1)
    samples = [
        with_product_sizes(
            product, [s.samples[number] if s.__class__ is Sym else s for s in sizes]
        )
        for number in range(count)
    ]  # fmt: skip
    load_what_serves(samples, host_target())


def flat_sizes(product: Product) -> list:
    """All sizes of a product: Syms and ints."""
    return [
        product.m, product.n, product.k, *product.a_strides, *product.b_strides, *product.batch,
        *[step for steps in product.batch_steps for step in steps],
    ]  # fmt: skip


def with_product_sizes(product: Product, sizes: Sequence[int]) -> Product:
    """A product of other sizes, listed as by `flat_sizes`."""
    m, n, k, a_row, a_column, b_row, b_column, *rest = sizes
    axes = len(product.batch)
    steps = zip(*[iter(rest[axes:])] * 3)
    return Product(
        product.dtype, product.a, product.b, product.c, m, n, k, (a_row, a_column),
        (b_row, b_column), tuple(rest[:axes]), tuple(steps), product.stored,
        product.unrounded,
    )  # fmt: skip


def places_of(product: Product, wanted: Numbers, constants: list[int]) -> list[int]:
    """For each of a product's sizes the place of its number, or ~ of its place among constants."""
    return [place_of(size, wanted, constants) for size in flat_sizes(product)]


def place_of(size: Any, wanted: Numbers, constants: list[int]) -> int:
    """The place of a size's number, or ~ of its place among constants."""
    if size.__class__ is Sym:
        return wanted.place(size)
    if size not in constants:
        constants.append(size)
    return ~constants.index(size)
