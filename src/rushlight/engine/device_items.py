"""What no loop nest describes, as launches on a device: windows, sorts, recurrences.  Level 9."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import int64
from rushlight.codegen.grid_recurrence import THREADS as COLUMNS
from rushlight.codegen.grid_recurrence import recurrence_kernel
from rushlight.codegen.grid_sorting import (
    KEYS,
    MERGE,
    ORDER,
    PIECE_BITS,
    PIECES,
    STEP,
    GridSort,
    sort_kernel,
)
from rushlight.codegen.grid_sorting import PARAMS as SORT_PARAMS
from rushlight.codegen.grid_sorting import THREADS as SORT_THREADS
from rushlight.codegen.grid_tile import TILE
from rushlight.codegen.grid_windows import PARAMS as WINDOWS_PARAMS
from rushlight.codegen.grid_windows import GridWindows, windows_kernel
from rushlight.codegen.recurrence_walk import BACKWARD_BUFFERS, FORWARD_BUFFERS, PARAMS
from rushlight.engine.convolutions import windows_buffers
from rushlight.engine.device_attention import attention_launches
from rushlight.engine.device_products import product_launch
from rushlight.engine.device_step import DeviceStep, launch_of
from rushlight.engine.recurrences import recurrence_memory, recurrence_spec
from rushlight.loopnest.ir import (
    PARALLEL,
    VECTOR,
    Buffer,
    Const,
    Expr,
    Kernel,
    Load,
    Loop,
    Param,
    Store,
    Var,
    call,
)
from rushlight.lowering.attention import Attention
from rushlight.lowering.convolution import Windows
from rushlight.lowering.matmul import Product
from rushlight.lowering.ordering import Sort
from rushlight.lowering.recurrence import Recurrence
from rushlight.tape.program import Program


def item_launches(
    item: Product | Windows | Sort | Recurrence | Attention,
    program: Program,
    constants: dict,
    backend: Any,
) -> list[DeviceStep]:
    """The launches of one item of a lowering; the tables they read are added to `constants`."""
    if isinstance(item, Windows):
        return [_windows(item, program, constants, backend)]
    if isinstance(item, Sort):
        return _sort(item, program, backend)
    if isinstance(item, Attention):
        return attention_launches(item, backend)
    if isinstance(item, Recurrence):
        return _recurrence(item, program, backend)
    return [product_launch(item, program, constants, backend)]


# ---- convolutions --------------------------------------------------------------------------------


def _windows(windows: Windows, program: Program, constants: dict, backend: Any) -> DeviceStep:
    words = dict(windows.words)
    words["tiles_m"], words["tiles_n"] = -(-words["m"] // TILE), -(-words["n"] // TILE)
    buffers = windows_buffers(windows, program, constants)
    spec = GridWindows(windows.dtype, windows.form)
    extent = windows.batches * words["groups"] * words["tiles_m"] * words["tiles_n"]
    return launch_of(
        backend.loaded(spec.name, lambda: windows_kernel(spec)), buffers, {windows.c},
        [words[name] for name in WINDOWS_PARAMS], extent,
    )  # fmt: skip


# ---- sorts ---------------------------------------------------------------------------------------


def _sort(sort: Sort, program: Program, backend: Any) -> list[DeviceStep]:
    """Keys, sorted pieces, merges of twice as many each time, and the order."""
    count = GridSort(KEYS, sort.dtype, sort.descending).words
    memory = [program.new_value((sort.rows, sort.size), int64).slot for _ in range(count)]
    pieces = -(-sort.size >> PIECE_BITS)
    bits = max(PIECE_BITS, (sort.size - 1).bit_length())
    groups = {
        KEYS: -(-sort.size // SORT_THREADS), ORDER: -(-sort.size // SORT_THREADS),
        PIECES: pieces, MERGE: pieces, STEP: (1 << (bits - 1)) // SORT_THREADS,
    }  # fmt: skip

    def act(name: str, step: int = 0, mirrored: int = 0) -> DeviceStep:
        spec = GridSort(name, sort.dtype, sort.descending)
        outside = {KEYS: [sort.x], ORDER: [sort.order]}.get(name, [])
        numbers = {
            "size": sort.size, "inner": sort.inner, "groups": groups[name], "step": step,
            "mirrored": mirrored,
        }  # fmt: skip
        return launch_of(
            backend.loaded(spec.name, lambda: sort_kernel(spec)), [*outside, *memory],
            {sort.order} if name == ORDER else set(memory),
            [numbers[p] for p in SORT_PARAMS], sort.rows * groups[name],
        )  # fmt: skip

    steps = [act(KEYS), act(PIECES)]
    for merge in range(PIECE_BITS, bits):
        steps.append(act(STEP, merge, 1))
        steps += [act(STEP, step) for step in range(merge - 1, PIECE_BITS - 1, -1)]
        steps.append(act(MERGE))
    return [*steps, act(ORDER)]


# ---- recurrences ---------------------------------------------------------------------------------


def _recurrence(item: Recurrence, program: Program, backend: Any) -> list[DeviceStep]:
    """Weights in panels, then one walk over all steps."""
    form = item.form
    buffers, weights, own = recurrence_memory(item, program, COLUMNS)
    kernel = _packing(item.dtype, not item.gradient)
    steps = [
        launch_of(
            backend.compile(kernel), [weight.source, weight.place], {weight.place},
            (weight.k, weight.lines, weight.gates, weight.panels * weight.k),
            weight.panels * weight.k,
        )
        for weight in weights
    ]  # fmt: skip
    spec = recurrence_spec(item)
    # Nobody looks at what a form does not have.
    nothing = buffers["weight"]
    names = BACKWARD_BUFFERS if item.gradient else FORWARD_BUFFERS
    numbers = {
        "steps": item.steps, "batch": item.batch, "rows": item.rows, "units": item.units,
        "outputs": item.outputs, "block": 1, "blocks": item.batch,
        "backwards": int(form.reverse is not item.gradient), "keeps": int(item.keeps), "threads": 1,
    }  # fmt: skip
    steps.append(
        launch_of(
            backend.loaded(f"grid_{spec.name}", lambda: recurrence_kernel(spec)),
            [buffers.get(name, nothing) for name in names], set(item.written) | own,
            [numbers[p] for p in PARAMS], item.batch,
        )
    )  # fmt: skip
    return steps


def _packing(dtype: str, along_k: bool) -> Kernel:
    """Weights into panels of COLUMNS, as `codegen/recurrent_weights.py` has them."""
    k, lines, gates = Param("k"), Param("lines"), Param("gates")
    panel, step = call("floordiv", Var("row"), k), call("mod", Var("row"), k)
    column: Expr = call("floordiv", panel, gates) * COLUMNS + Var("c")
    line: Expr = call("mod", panel, gates) * lines + column
    source: Expr = line * k + step if along_k else step * lines + line
    element = Load("source", source, dtype, call("lt", column, lines))
    store = Store("target", Var("row") * COLUMNS + Var("c"), element)
    vector = Loop("c", Const(COLUMNS, "int64"), VECTOR, (store,))
    return Kernel(
        f"panels_{dtype}_{along_k}",
        (Buffer("source", dtype, "in"), Buffer("target", dtype, "out")),
        (k, lines, gates, Param("rows")), (Loop("row", Param("rows"), PARALLEL, (vector,)),),
    )  # fmt: skip
