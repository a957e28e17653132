"""What a convolution asks of the machine: products with matrices of windows, and nests around them.

The product has a row for each output channel.  Its columns are output positions and its sum runs
over the kernel (POSITIONS); where the kernel is larger than the output, as in a gradient of the
weight, the sum runs over the kernel's positions as they lie in memory (TRANSPOSED).  Where x is
spread by zeros, the outputs of one phase meet the same elements of the kernel, and each phase is a
convolution without zeros.  The order of each sum follows from the shapes alone.  Level 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rushlight.base.shapes import contiguous_strides, numel, view_strides
from rushlight.base.symbolic import Sym
from rushlight.loopnest.ir import Accumulator, Const, Expr, Reduce, Var
from rushlight.lowering.alone import Maker
from rushlight.lowering.matmul import Product
from rushlight.lowering.windows import NO_AXIS, WindowAxis, output_place, phases, three_axes
from rushlight.schedule.views import StridedOperand, strided_operand
from rushlight.tape.program import Program, Value

POSITIONS, TRANSPOSED = "positions", "transposed"
# Steps of k between additions to memory: the contraction cores' block.
BLOCK = 512
# Images with fewer positions stand beside each other in one row of the product.
_FEW_POSITIONS = 32
# Lanes of the widest vectors: what a row of positions is rounded up to.
_LANES = 16
_MOST_WASTE = 1.25
# Kernels with fewer positions than this are read with all channels one after the other.
_SHORT_KERNEL = 128
# Pieces of work that a long sum is cut into where there are few columns to share.
_CHUNKS = 32
_PANEL = 32
_CHUNK_WORK = 1 << 20


@dataclass(frozen=True)
class Windows:
    """One product with a matrix of windows; see codegen/convolution.py for the words."""

    dtype: str
    form: str
    a: int
    x: int
    c: int
    words: dict[str, int]
    batches: int
    axes: int
    # Distance of neighbors on the vector axis: 1, 2, or 0 for any other.
    step: int
    # Whether the number of columns follows from the batch, which may change from step to step.
    loose: bool
    # Of each line its place in memory and its distance from the window's along each axis.
    lines: np.ndarray
    blocks: tuple[tuple[int, int, int], ...] = ()
    chunks: tuple[int, ...] = ()


def is_convolution(value: Value) -> bool:
    """Whether the operation is a convolution, whose sums are rounded or not."""
    return value.primitive.name in ("convolution", "unrounded_convolution")


def convolution_operands(value: Value, program: Program) -> tuple[StridedOperand, StridedOperand]:
    """x and the kernel as they lie in memory, each with the strides its form can read."""
    x = strided_operand(program, value.inputs[0])
    w = strided_operand(program, value.inputs[1])
    form, swapped = _form(value, program)
    if form == POSITIONS:
        return x, _whole(program, value.inputs[1])
    if swapped:
        return (x if _runs(x) else _whole(program, value.inputs[0])), w
    return x, (w if _runs(w) else _whole(program, value.inputs[1]))


def _whole(program: Program, slot: int) -> StridedOperand:
    shape = tuple(program.values[slot].shape)
    return StridedOperand(slot, shape, contiguous_strides(shape))


def _runs(operand: StridedOperand) -> bool:
    """Whether the spatial axes are one long axis in memory."""
    spatial = operand.shape[2:]
    size = numel(spatial)
    if size.__class__ is Sym and min(size.samples) < _SHORT_KERNEL:
        return False  # short ones are read as a whole: where sizes vary, all of them then are
    steps = view_strides(spatial, operand.strides[2:], (size,))
    return steps is not None and size >= _SHORT_KERNEL


def _form(value: Value, program: Program) -> tuple[str, bool]:
    """(form, whether x and the kernel change places)."""
    _, _, spread, spacing, _ = value.params
    kernel = program.values[value.inputs[1]].shape[2:]
    if numel(kernel) > numel(tuple(value.shape[2:])):
        if all(d == 1 for d in spread):
            return TRANSPOSED, False
        if all(d == 1 for d in spacing):
            return TRANSPOSED, True
    return POSITIONS, False


def can_exchange(value: Value, program: Program) -> bool:
    """Whether the result can be written with its first two axes exchanged at no cost."""
    form, swapped = _form(value, program)
    if form == TRANSPOSED:
        return not swapped
    kernel = program.values[value.inputs[1]].shape[2:]
    return numel(kernel) > 1 and all(d == 1 for d in value.params[2])


def convolution_items(
    value: Value, maker: Maker, x: StridedOperand, w: StridedOperand, target: Value,
    exchanged: bool,
) -> None:  # fmt: skip
    """Adds the Nests, Products and Windows that fill `target`, which has the value's shape.

    exchanged: the first two axes of `target` are exchanged (see `can_exchange`).
    """
    lowering = _Lowering(value, maker, x, w, target, exchanged)
    form, swapped = _form(value, maker.program)
    if form == POSITIONS:
        lowering.positions()
    else:
        lowering.transposed(swapped)


class _Lowering:
    def __init__(
        self, value: Value, maker: Maker, x: StridedOperand, w: StridedOperand, target: Value,
        exchanged: bool,
    ) -> None:  # fmt: skip
        self.maker, self.program = maker, maker.program
        self.items: list = maker.nests
        self.x, self.w, self.target, self.exchanged = x, w, target, exchanged
        self.dtype = target.dtype
        stride, padding, spread, spacing, self.groups = value.params
        self.batch, self.channels = x.shape[0], w.shape[1]
        self.outputs = w.shape[0] // self.groups  # of one group
        axes = [
            WindowAxis(n, k, o, s, low, d, kd, x_step, w_step)
            for n, k, o, s, (low, _), d, kd, x_step, w_step in zip(
                x.shape[2:], w.shape[2:], value.shape[2:], stride, padding, spread, spacing,
                x.strides[2:], w.strides[2:],
            )
        ]  # fmt: skip
        self.axes = three_axes(axes)
        self.count = max(1, sum(a is not NO_AXIS for a in self.axes))

    # ---- sums over the kernel --------------------------------------------------------------------

    def positions(self) -> None:
        """One product for each phase of the outputs."""
        if self._is_plain_product():
            self._plain_product()
            return
        for phase, sizes in phases(self.axes):
            self._phase(phase, sizes)

    def _is_plain_product(self) -> bool:
        """Whether each image is a matrix already: a kernel of one element that moves by one."""
        if any((a.kernel, a.stride, a.low, a.spread) != (1, 1, 0, 1) for a in self.axes):
            return False
        if any(a.size != a.output for a in self.axes):
            return False
        positions = numel(tuple(a.output for a in self.axes))
        steps = self._image_step()
        return positions >= _FEW_POSITIONS and steps is not None and 1 in steps

    def _image_step(self) -> tuple[int, int] | None:
        """Strides of x as (channels, positions) of one image."""
        sizes = self.x.shape[2:]
        steps = view_strides(sizes, self.x.strides[2:], (numel(sizes),))
        return None if steps is None else (self.x.strides[1], steps[0])

    def _plain_product(self) -> None:
        steps = self._image_step()
        assert steps is not None
        m, k = self.outputs, self.channels
        n = numel(tuple(a.output for a in self.axes))
        batch = (self.batch, self.groups)
        along = ((0, self.x.strides[0], self.groups * m * n), (m * k, k * steps[0], m * n))
        slots = (self.w.slot, self.x.slot, self.target.slot)
        self.items.append(Product(self.dtype.name, *slots, m, n, k, (k, 1), steps, batch, along))

    def _phase(self, phase: tuple[int, ...], sizes: tuple[int, ...]) -> None:
        """The outputs at `phase` + a multiple of the periods."""
        axes = self.axes
        taps = [a.taps(f) for a, f in zip(axes, phase)]
        alone = all(a.period == 1 for a in axes)
        every_tap = all(len(t) == a.kernel for t, a in zip(taps, axes))
        if not all(taps):
            self._place(None, phase, sizes, False)
            return
        count = numel(sizes)
        merged = self.batch > 1 and (
            count < _FEW_POSITIONS or -(-count // _LANES) * _LANES > _MOST_WASTE * count
        )
        rows = self.outputs * self.groups
        channels = np.arange(self.channels) * self.x.strides[1]
        distances = [np.array([d for _, d in t]) for t in taps]
        lines = _table_of_lines(channels, distances, [a.x_step for a in axes])
        kernel = self.w.slot if every_tap else self._kernel_of(taps).slot
        found = self.target
        # The rows of a merged product hold one channel of every image: the exchanged order.
        if not alone or (merged and not self.exchanged):
            shape = (rows, self.batch, count) if merged else (self.batch, rows, count)
            found = self.program.new_value(shape, self.dtype)
        c_batch, c_row = rows * count, count
        if merged or self.exchanged:
            c_batch, c_row = count, self.batch * count
        columns = self.batch * count if merged else count
        words = {
            "m": self.outputs, "n": columns, "k": len(lines), "groups": self.groups,
            "a_group": self.outputs * len(lines), "a_row": len(lines), "a_step": 1,
            "x_batch": 0 if merged else self.x.strides[0],
            "x_group": self.channels * self.x.strides[1],
            "c_batch": c_batch, "c_group": self.outputs * c_row, "c_row": c_row,
            "v_outer": self.x.strides[0],
            **_vector_words(sizes, [a.period * a.stride // a.spread for a in axes]),
            **_image_words([a.size for a in axes], [a.x_step for a in axes]),
        }  # fmt: skip
        self._windows(
            POSITIONS, (kernel, self.x.slot, found.slot), words, lines,
            batches=1 if merged else self.batch, loose=merged,
        )  # fmt: skip
        if found is not self.target:
            self._place(found, phase, sizes, merged)

    def _kernel_of(self, taps: list[list[tuple[int, int]]]) -> Value:
        """The kernel's elements at the taps, contiguous."""
        axes, maker = self.axes, self.maker
        counts = [len(t) for t in taps]
        rows = self.outputs * self.groups
        kernel = self.program.new_value((rows, self.channels, *counts), self.dtype)
        source = self.program.values[self.w.slot]
        firsts = [t[0][0] for t in taps]
        steps = [(t[1][0] - t[0][0]) if len(t) > 1 else 0 for t in taps]
        start = sum(f * a.w_step for f, a in zip(firsts, axes))

        def body(shared, ordered, c):
            at: Expr = shared[0] * maker.size(self.w.strides[1]) + maker.size(start)
            for index, step, axis in zip((*shared[1:], c), steps, axes):
                at = at + index * maker.size(step * axis.w_step)
            place = shared[0]
            for index, size in zip((*shared[1:], c), counts):
                place = place * maker.size(size) + index
            return [maker.store(kernel, place, maker.load(source, at))]

        maker.loops((rows * self.channels, *counts[:2]), (), counts[2], body)
        return kernel

    def _place(
        self, found: Value | None, phase: tuple[int, ...], sizes: tuple[int, ...], merged: bool
    ) -> None:
        """Adds the nest that puts a phase's outputs where they belong; None stands for zeros."""
        maker, target = self.maker, self.target
        rows, count = self.outputs * self.groups, numel(sizes)

        def body(shared, ordered, c):
            image, row, z, y = shared
            lead = image * maker.size(rows) + row
            place = output_place(maker, self.axes, phase, lead, (z, y, c))
            if found is None:
                return [maker.store(target, place, Const(0, self.dtype.name))]
            if merged:
                lead = row * maker.size(self.batch) + image
            at = (
                lead * maker.size(count) + (z * maker.size(sizes[1]) + y) * maker.size(sizes[2]) + c
            )
            return [maker.store(target, place, maker.load(found, at))]

        maker.loops((self.batch, rows, *sizes[:2]), (), sizes[2], body)

    # ---- sums over the kernel's positions in memory ----------------------------------------------

    def transposed(self, swapped: bool) -> None:
        """One product, cut into chunks of the sum; rows are outputs, or images if swapped."""
        axes, x, w = self.axes, self.x, self.w
        summed, seen = (x, w) if swapped else (w, x)
        sizes = [a.size if swapped else a.kernel for a in axes]
        limits = [a.kernel if swapped else a.size for a in axes]
        factors = [a.spread if swapped else a.spacing for a in axes]
        steps = [a.w_step if swapped else a.x_step for a in axes]
        output = tuple(a.output for a in axes)
        lines = self._lines_of_outputs(seen, steps, swapped)
        rows = self.batch if swapped else self.outputs
        blocks, chunks = self._blocks(summed, numel(tuple(sizes)), rows, len(lines))
        parts = len(chunks) - 1
        count = numel(output)
        every = self.outputs * self.groups
        if swapped:
            c_group, c_row = self.outputs * count, every * count
        else:
            c_group, c_row = self.outputs * len(lines), len(lines)
        found = self.target
        if parts > 1 or swapped == self.exchanged:
            shape = (parts, self.batch, every, count) if swapped else (parts, every, len(lines))
            found = self.program.new_value(shape, self.dtype)
        run = view_strides(summed.shape[2:], summed.strides[2:], (numel(summed.shape[2:]),))
        assert run is not None
        words = {
            "m": rows, "n": len(lines), "k": self.channels * numel(tuple(sizes)),
            "groups": self.groups,
            "a_group": self.channels * summed.strides[1] if swapped
            else self.outputs * summed.strides[0],
            "a_row": summed.strides[0], "a_step": run[0],
            "x_batch": 0,
            "x_group": self.outputs * seen.strides[0] if swapped
            else self.channels * seen.strides[1],
            "c_batch": self.batch * every * count, "c_group": c_group, "c_row": c_row,
            "v_outer": seen.strides[1],
            **_vector_words(sizes, factors), **_image_words(limits, steps),
        }  # fmt: skip
        self._windows(
            TRANSPOSED, (summed.slot, seen.slot, found.slot), words, lines,
            batches=parts, loose=False, blocks=tuple(blocks), chunks=tuple(chunks),
        )  # fmt: skip
        if found is not self.target:
            self._sum_parts(found, parts, count, swapped)

    def _lines_of_outputs(
        self, seen: StridedOperand, steps: list[int], swapped: bool
    ) -> np.ndarray:
        """A line for each output position of each image, or of each output channel if swapped."""
        sign = -1 if swapped else 1
        outer = np.arange(self.outputs if swapped else self.batch) * seen.strides[0]
        at = [sign * (np.arange(a.output) * a.stride - a.low) for a in self.axes]
        return _table_of_lines(outer, at, steps)

    def _blocks(
        self, summed: StridedOperand, length: int, rows: int, columns: int
    ) -> tuple[list[tuple[int, int, int]], list[int]]:
        """(blocks of steps that lie evenly in memory, where each chunk of them begins)."""
        run = view_strides(summed.shape[2:], summed.strides[2:], (numel(summed.shape[2:]),))
        assert run is not None
        blocks: list[tuple[int, int, int]] = []
        total = self.channels * length
        # By the shape alone: what lies evenly by chance must not change the order of the sum.
        if length < _SHORT_KERNEL:
            spans = [(0, total)]
        else:
            spans = [(c * length, (c + 1) * length) for c in range(self.channels)]
        for start, stop in spans:
            offset = (start // length) * summed.strides[1]
            for at in range(start, stop, BLOCK):
                steps = min(BLOCK, stop - at)
                blocks.append((at, steps, offset + (at - start) * run[0]))
        panels = -(-columns // _PANEL) * self.groups
        wanted = min(-(-_CHUNKS // panels), max(1, rows * columns * total // _CHUNK_WORK))
        wanted = min(wanted, len(blocks))
        return blocks, [i * len(blocks) // wanted for i in range(wanted + 1)]

    def _sum_parts(self, found: Value, parts: int, count: int, swapped: bool) -> None:
        """Adds the nest that adds the chunks' products in order, in the target's order."""
        maker, target = self.maker, self.target
        rows = self.outputs * self.groups
        whole = self.batch * rows * count

        def total(place: Expr, at: Expr) -> list:
            if parts == 1:
                return [maker.store(target, place, maker.load(found, at))]
            element = maker.load(found, Var("part") * maker.size(whole) + at)
            total = Accumulator(("total",), "sum", element)
            reduce = Reduce("part", maker.size(parts), 1, (), (total,))
            return [reduce, maker.store(target, place, Var("total", element.dtype))]

        def in_other_order(shared, ordered, c):
            image, row = shared
            place = (image * maker.size(rows) + row) * maker.size(count) + c
            return total(place, (row * maker.size(self.batch) + image) * maker.size(count) + c)

        def as_they_lie(shared, ordered, c):
            at = shared[0] * maker.size(whole // rows) + c
            return total(at, at)

        if swapped == self.exchanged:
            maker.loops((self.batch, rows), (), count, in_other_order)
        else:
            maker.loops((rows,), (), whole // rows, as_they_lie)

    # ---- the request -----------------------------------------------------------------------------

    def _windows(
        self, form: str, slots: tuple[int, int, int], words: dict[str, int], lines,
        *, batches: int, loose: bool, blocks=(), chunks=(),
    ) -> None:  # fmt: skip
        step = words["x_factor"] * words["x_stride"]
        # Where rows have one position each, lanes after the first one are not used.
        if words["v_width"] == 1 and step > 1:
            step = 1
        # Elements between neighbors are read only where they are of the same row of x.
        if step not in (1, 2) or (step == 2 and words["x_stride"] != 1):
            step = 0
        self.items.append(
            Windows(
                self.dtype.name, form, *slots, words, batches, self.count, step, loose, lines,
                blocks, chunks,
            )
        )  # fmt: skip


def _table_of_lines(outer: np.ndarray, at: list[np.ndarray], steps: Sequence[int]) -> np.ndarray:
    """(lines, 4): `outer` plus where it lies along each axis, and the places along the axes."""
    z, y, x = at
    lines = np.empty((len(outer), len(z), len(y), len(x), 4), np.int64)
    lines[..., 1], lines[..., 2], lines[..., 3] = z[:, None, None], y[:, None], x
    lines[..., 0] = lines[..., 1:] @ np.array(steps, np.int64) + outer[:, None, None, None]
    return lines.reshape(-1, 4)


def _vector_words(sizes, factors) -> dict[str, int]:
    return {
        "v_width": sizes[2], "v_height": sizes[1], "v_rows": sizes[0] * sizes[1],
        "z_factor": factors[0], "y_factor": factors[1], "x_factor": factors[2],
    }  # fmt: skip


def _image_words(sizes, steps) -> dict[str, int]:
    return {
        "z_stride": steps[0], "y_stride": steps[1], "x_stride": steps[2],
        "depth": sizes[0], "height": sizes[1], "width": sizes[2],
    }  # fmt: skip
