"""Recurrent layers as native steps: packing the weights, then one walk over all steps.  Level 9."""

from __future__ import annotations

from typing import NamedTuple

from rushlight.base.dtypes import dtype_by_name, int64
from rushlight.base.symbolic import largest, smallest
from rushlight.codegen.crew import CLAIMS, clear_text
from rushlight.codegen.microkernel import TileSet
from rushlight.codegen.recurrence_crew import recurrence_text
from rushlight.codegen.recurrence_walk import (
    BACKWARD_BUFFERS,
    FORWARD_BUFFERS,
    LINE,
    PARAMS,
    RecurrenceSpec,
)
from rushlight.codegen.recurrent_weights import pack_text, recurrence_tiles
from rushlight.engine.kernels import library_of_text
from rushlight.engine.steps import NativeStep
from rushlight.lowering.recurrence import Recurrence
from rushlight.runtime.host import host_target
from rushlight.runtime.threads import get_num_threads
from rushlight.tape.program import Program

# Multiply-adds that one thread takes at least, as of matrix products.
_SMALLEST_SHARE = 1 << 18
# Multiply-adds of a step from which on threads meet once a step: meeting takes half a microsecond.
_SMALLEST_STEP = 1 << 17
# Sequences of a block at most: enough that reading the weights at each step costs little.
_MOST_SEQUENCES = 48


class Panels(NamedTuple):
    """A weight to pack: its name among the buffers, its slot, lines of each gate, gates, columns of
    a line (k), and how many panels that makes, in `place`."""

    name: str
    source: int
    lines: int
    k: int
    gates: int
    panels: int
    place: int


def recurrence_memory(
    item: Recurrence, program: Program, columns: int, threads: int = 1
) -> tuple[dict[str, int], list[Panels], set[int]]:
    """(slots of all buffers by name, the weights to pack, those that the walk itself writes).

    columns: of a panel; threads: of a crew, each of which has its own sums.
    """
    form, units, outputs = item.form, item.units, item.outputs
    dtype = dtype_by_name(item.dtype)

    def padded(size: int) -> int:
        return -(-size // columns) * columns

    def memory(*shape: int) -> int:
        return program.new_value(shape, dtype).slot

    buffers = dict(item.buffers)
    if item.gradient:
        packed = [("weight", item.weight, outputs, 1, form.gates * units)]
        if item.projection is not None:
            packed.append(("projection", item.projection, units, 1, outputs))
        buffers["states"] = memory(item.batch, padded(outputs))
        if form.projected:
            buffers["hidden"] = memory(item.batch, padded(units))
    else:
        packed = [("weight", item.weight, units, form.gates, outputs)]
        if item.projection is not None:
            packed.append(("projection", item.projection, outputs, 1, units))
        buffers["sums"] = memory(threads * item.batch, form.gates * columns)
    own = {slot for name, slot in buffers.items() if name in ("states", "hidden", "sums")}
    weights = []
    for name, source, lines, gates, k in packed:
        panels = gates * padded(lines) // columns
        buffers[name] = memory(panels, k, columns)
        weights.append(Panels(name, source, lines, k, gates, panels, buffers[name]))
    return buffers, weights, own


def recurrence_steps(item: Recurrence, program: Program) -> list[NativeStep]:
    """The steps of one recurrence."""
    target = host_target()
    form, units, outputs = item.form, item.units, item.outputs
    tiles = recurrence_tiles(item.dtype, target)
    steps: list[NativeStep] = []
    threads = _crew(item, tiles)
    buffers, weights, own = recurrence_memory(item, program, tiles.columns, threads)
    if item.gradient:
        # Rows are up to two lines further apart than they are long.
        dtype = dtype_by_name(item.dtype)
        width = form.gates * units + 2 * LINE // dtype.itemsize
        buffers["factors"] = program.new_value((item.batch, width), dtype).slot
        own.add(buffers["factors"])
    for weight in weights:
        # Forward, a line along k is a row of the weight.
        stride = weight.lines if item.gradient else weight.k
        words = (weight.k, weight.lines, weight.gates, stride)
        places = (weight.source, weight.place)
        steps.append(_pack_step(item, places, words, weight.panels))
    if threads > 1:
        length = CLAIMS + -(-units // tiles.columns)
        buffers["crew"] = program.new_value((length,), int64).slot
        own.add(buffers["crew"])
        steps.append(_clear_step(buffers["crew"], length))
    spec = recurrence_spec(item, threads > 1)
    library = library_of_text(repr(spec), [spec.name], lambda: recurrence_text(spec, target))
    # Nobody looks at what a form does not have.
    nothing = buffers["weight"]
    names = BACKWARD_BUFFERS if item.gradient else FORWARD_BUFFERS
    block = item.batch if threads > 1 else _block(item)
    extent = threads if threads > 1 else -(-item.batch // block)
    numbers = {
        "steps": item.steps, "batch": item.batch, "rows": item.rows, "units": units,
        "outputs": outputs, "block": block, "blocks": extent,
        "backwards": int(form.reverse is not item.gradient), "keeps": int(item.keeps),
        "threads": threads,
    }  # fmt: skip
    work = item.rows * form.gates * units * outputs
    steps.append(
        NativeStep(
            library,
            spec.name,
            [buffers.get(name, nothing) for name in names],
            set(item.written) | own,
            [(numbers[name], None, False) for name in PARAMS],
            extent,
            largest([1, _SMALLEST_SHARE * extent // largest([1, work])]),
            (1, item.rows, form.gates * units, outputs),
        )
    )
    return steps


def recurrence_spec(item: Recurrence, crew: bool = False) -> RecurrenceSpec:
    """What the code of one recurrence depends on."""
    form = item.form._replace(reverse=False)
    if item.gradient:
        form = form._replace(biased=False)
    words = [item.form.mode.lower(), item.dtype]
    words += ["packed"] * form.packed + ["biased"] * form.biased + ["projected"] * form.projected
    words += ["gradient"] * item.gradient
    words += ["crew"] * crew
    return RecurrenceSpec("_".join(words), item.dtype, form, item.gradient, crew)


def _crew(item: Recurrence, tiles: TileSet) -> int:
    """How many threads share the units of each step: several where blocks that fill a core's rows
    would leave threads without one, and a step is long enough to meet once.

    With as many full blocks as threads each thread would only take the same rows in more parts.
    """
    form = item.form
    if item.gradient or form.packed or form.projected or get_num_threads() == 1:
        return 1
    step = item.batch * form.gates * item.units * item.outputs
    if step < _SMALLEST_STEP or -(-item.batch // tiles.rows) >= get_num_threads():
        return 1
    return smallest([get_num_threads(), -(-item.units // tiles.columns), step // _SMALLEST_STEP])


def _block(item: Recurrence) -> int:
    """Sequences of an iteration: for every thread one block, or several even ones."""
    work = item.rows * item.form.gates * item.units * item.outputs
    threads = smallest([get_num_threads(), largest([1, work // _SMALLEST_SHARE])])
    blocks = largest([threads, -(-item.batch // _MOST_SEQUENCES)])
    blocks = -(-blocks // threads) * threads
    return -(-item.batch // blocks)


def _clear_step(crew: int, words: int) -> NativeStep:
    """The step that makes a crew's memory ready."""
    target, name = host_target(), "recurrence_crew_clear"
    library = library_of_text(name, [name], lambda: clear_text(name, target))
    return NativeStep(library, name, [crew], {crew}, [(words, None, False)], 1, 1)


def _pack_step(
    item: Recurrence, places: tuple[int, int], words: tuple[int, ...], panels: int
) -> NativeStep:
    """The step that packs one weight; it is read along k unless a gradient is computed."""
    target, along_k = host_target(), not item.gradient
    name = f"recurrence_{item.dtype}_{'lines' if along_k else 'rows'}_pack"
    library = library_of_text(name, [name], lambda: pack_text(name, item.dtype, along_k, target))
    arguments: list[tuple[int, int | None, bool]] = [(word, None, False) for word in words]
    k = words[0]
    grain = largest([1, _SMALLEST_SHARE // (k * 64)])
    return NativeStep(library, name, list(places), {places[1]}, arguments, panels, grain)
