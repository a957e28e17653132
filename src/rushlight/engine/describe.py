"""Kernels of a compiled plan in words and numbers: name, loops, operations, bytes, user's lines.

In: a compiled plan and one of its steps.  Out: `KernelFacts`, worked out when somebody asks and
kept with the step.  Names come from the functions called, the operations, the sizes and the dtype
alone, so they are the same in every process.  Level 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rushlight.base.dtypes import DType
from rushlight.base.shapes import numel
from rushlight.engine.steps import NativeStep
from rushlight.loopnest.cost import cost_of
from rushlight.loopnest.ir import Kernel
from rushlight.loopnest.pretty import print_kernel
from rushlight.primitives.attention import attention, attention_gradient
from rushlight.schedule.fusion import OPAQUE, PRODUCT, Schedule
from rushlight.schedule.pretty import group_values
from rushlight.tape.memo import Line
from rushlight.tape.program import OPERATION, OUTPUT, Value

# Operations a name lists before it says how many more there are.
_LISTED = 6
_BACKWARD = "backward"
# The name of a step that is of no group: it serves the whole plan.
WHOLE_PLAN = "whole_plan"
_SHORT = {
    "float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "complex64": "c64",
    "complex128": "c128", "int64": "i64", "int32": "i32", "int16": "i16", "int8": "i8",
    "uint8": "u8", "bool": "bool", "complex32": "c32", "uint16": "u16", "uint32": "u32",
    "uint64": "u64",
}  # fmt: skip


# Name of a dtype, and a shape.
Shaped = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class KernelFacts:
    """One kernel of a plan.

    operations: the primitives it computes, in recorded order; lines: where the program recorded
    them, each once.
    flops: floating-point operations of one run; moved: bytes it must read and write at least.
    itemsize: bytes of the elements it computes with.
    loops: its loops and their extents.  inputs, outputs: dtypes and shapes; the tables
    that a kernel reads beside the program's values are left out.
    """

    name: str
    operations: tuple[str, ...]
    lines: tuple[Line, ...]
    flops: int
    moved: int
    itemsize: int
    loops: str
    inputs: tuple[Shaped, ...]
    outputs: tuple[Shaped, ...]


def facts_of(compiled: Any, step: NativeStep) -> KernelFacts:
    """The facts of one native step of a CompiledPlan."""
    if step.facts is None:
        members = getattr(step, "members", ())
        if members:
            step.facts = _together([facts_of(compiled, member) for member in members])
        else:
            step.facts = _facts(compiled.schedule, step)
    return step.facts


def _together(facts: list[KernelFacts]) -> KernelFacts:
    """Of one launch that does the work of several kernels alike."""
    first = facts[0]
    return KernelFacts(
        f"{first.name}_and_{len(facts) - 1}_alike",
        first.operations,
        tuple(dict.fromkeys(line for each in facts for line in each.lines)),
        sum(each.flops for each in facts),
        sum(each.moved for each in facts),
        first.itemsize,
        f"{first.loops}, and those of {len(facts) - 1} alike",
        tuple(shaped for each in facts for shaped in each.inputs),
        tuple(shaped for each in facts for shaped in each.outputs),
    )


def _facts(schedule: Schedule, step: NativeStep) -> KernelFacts:
    values = group_values(schedule, step.group) if step.group >= 0 else []
    kernel = step.library.origin.kernel
    if kernel is not None:
        flops, moved, loops = _nest_cost(schedule, step, kernel)
    elif step.sizes:
        flops, moved, loops = _product_cost(schedule, step)
    else:
        flops, moved, loops = _code_cost(schedule, step)
    program = schedule.program.values
    slots = list(dict.fromkeys(step.buffers))
    return KernelFacts(
        kernel_name(schedule, step),
        tuple(v.primitive.name for v in values),
        _lines_of(values),
        flops,
        moved,
        max(program[slot].dtype.itemsize for slot in step.written),
        loops,
        tuple(
            _shaped(program[slot])
            for slot in slots
            if slot not in step.written and _is_recorded(program[slot])
        ),
        tuple(_shaped(program[slot]) for slot in slots if slot in step.written),
    )


def _is_recorded(value: Value) -> bool:
    """Whether the program knows the value; tables and partial results are the kernels' own."""
    return value.source != OPERATION or value.primitive is not None


def _shaped(value: Value) -> Shaped:
    return value.dtype.name, tuple(value.shape)


def shaped_text(shaped: Shaped) -> str:
    """As `float32[2, 3]`."""
    return f"{shaped[0]}{list(shaped[1])}"


def _lines_of(values: list[Value]) -> tuple[Line, ...]:
    """One for each line of the program; the first function called there stands for all."""
    found: dict[tuple[str, int], Line] = {}
    for value in values:
        if value.line is not None:
            found.setdefault(value.line[:2], value.line)
    return tuple(found.values())


# ---- names ---------------------------------------------------------------------------------------


def kernel_name(schedule: Schedule, step: NativeStep) -> str:
    """What was called, sizes and dtype, as `softmax_64x128_f32`."""
    if step.group < 0:  # it serves the whole plan
        return WHOLE_PLAN
    name = group_name(schedule, step.group, step.sizes)
    if step.sizes and step.function.endswith("_pack"):
        return f"pack_{name}"
    return f"{name}_part{step.part + 1}" if step.part and not step.sizes else name


def group_name(schedule: Schedule, position: int, sizes: tuple[int, ...] = ()) -> str:
    """The name of the kernel or kernels of one group."""
    group = schedule.groups[position]
    values = group_values(schedule, position)
    main = _largest(list(group.members.values()), schedule)
    words = _operation_words(values, main if group.kind == PRODUCT else None)
    if group.kind == PRODUCT and sizes:
        shape = sizes[1:] if sizes[0] == 1 else sizes
    elif group.kind in (PRODUCT, OPAQUE):
        shape = tuple(main.shape)
    else:
        shape = tuple(group.domain)
    text = "x".join(map(str, shape)) or "1"
    return f"{words}_{text}_{_short(main.dtype)}"


def _largest(members: list, schedule: Schedule) -> Value:
    """The member's value, or reduced operand, that has most elements: it names sizes and dtype."""
    candidates = []
    for member in members:
        candidates.append(member.value)
        if member.value.kind == "reduction":
            candidates.append(schedule.program.values[member.value.inputs[0]])
    return max(candidates, key=lambda v: (v.numel, v.dtype.is_inexact, v.dtype.itemsize))


def _operation_words(values: list[Value], main: Value | None) -> str:
    """What is computed: the functions that the program called, else the primitives.

    main: the matrix product among the values; of the function that called it, the other parts are
    named one by one.  So are the parts of a backward, which is one call.
    """
    operations = [v for v in values if v.source == OPERATION and v.primitive is not None]
    computing = [v for v in operations if v.kind != "movement" and v.primitive.name != "cast"]
    within = "" if main is None else _spelling(main)
    short: list[str] = []
    for value in computing or operations or values:
        spelling = _spelling(value)
        if spelling == _BACKWARD and spelling not in short:
            short.append(spelling)
        own = value is main or spelling in ("", within, _BACKWARD)
        word = _name(value).removeprefix("reduce_") if own else spelling
        if not short or own or word != short[-1]:
            short.append(word)
    if len(short) > _LISTED:
        more = len(short) - _LISTED + 1
        short = [*short[: _LISTED - 2], f"{more}more", short[-1]]
    return "_".join(short)


def _spelling(value: Value) -> str:
    """The function called, by its public name: PyTorch has two each called `softmax`."""
    return value.line.spelling.removesuffix("_of_top") if value.line is not None else ""


def _name(value: Value) -> str:
    return getattr(value.primitive, "name", value.source).replace(" ", "")


def _short(dtype: DType) -> str:
    return _SHORT.get(dtype.name, dtype.name)


# ---- costs ---------------------------------------------------------------------------------------


def _nest_cost(schedule: Schedule, step: NativeStep, kernel: Kernel) -> tuple[int, int, str]:
    """A buffer moves no more often than each element once: what is read again is in cache."""
    program = schedule.program.values
    words = {p.name: int(word[0]) for p, word in zip(kernel.params, step.words)
             if word[1] is None}  # fmt: skip
    cost = cost_of(kernel, words)
    moved = 0
    for buffer, slot in zip(kernel.buffers, step.buffers):
        value = program[slot]
        for accesses in (cost.read.get(buffer.name, 0), cost.written.get(buffer.name, 0)):
            moved += min(accesses, max(value.numel, 1)) * value.dtype.itemsize
    return cost.operations, moved, cost.loops or "1"


def _product_cost(schedule: Schedule, step: NativeStep) -> tuple[int, int, str]:
    batches, m, n, k = step.sizes
    program = schedule.program.values
    sizes = [program[slot].numel * program[slot].dtype.itemsize for slot in step.buffers[:3]]
    if step.function.endswith("_pack"):
        return 0, 2 * sizes[1], f"{step.extent} parallel (panels of {k} x {n})"
    loops = f"{step.extent} parallel (tiles of {m} x {n} x {k})"
    return 2 * batches * m * n * k, sum(sizes), loops


def _code_cost(schedule: Schedule, step: NativeStep) -> tuple[int, int, str]:
    """Of code that is written at once and is no product: each buffer moves once."""
    program = schedule.program.values
    slots = dict.fromkeys(step.buffers)
    moved = sum(program[slot].numel * program[slot].dtype.itemsize for slot in slots)
    flops = _attention_flops(schedule, step) if step.group >= 0 else 0
    return flops, moved, f"{step.extent} parallel (machine-specific code)"


def _attention_flops(schedule: Schedule, step: NativeStep) -> int:
    """Of the step that computes attention or its gradient: products of the scores that are seen."""
    value = group_values(schedule, step.group)[0]
    if value.primitive not in (attention, attention_gradient):
        return 0
    program = schedule.program.values
    # Packing writes no result, and adding up parts of a gradient writes the first one alone.
    results = [program[slot] for slot in step.written if program[slot].source == OUTPUT]
    if not any(result.index == 1 for result in results):
        return 0
    gradient = value.primitive is attention_gradient
    query, key, values = (program[slot] for slot in value.inputs[gradient : 3 + gradient])
    *lead, rows, width = query.shape
    columns, value_width = key.shape[2], values.shape[3]
    seen = rows * columns
    if value.params[1]:  # causal
        least = min(rows, columns)
        seen = least * (least + 1) // 2 + (rows - least) * columns
    # Scores again, then those of what came in, and three gradients.
    each = 3 * width + 2 * value_width if gradient else width + value_width
    return 2 * numel(tuple(lead)) * seen * each


# ---- code ----------------------------------------------------------------------------------------


def loop_nest_text(step: NativeStep) -> str:
    """The loop nest as pseudo-code; a sentence for code that has none."""
    kernel = step.library.origin.kernel
    if kernel is None:
        return f"{step.function}: written as machine-specific code, not as a loop nest\n"
    return print_kernel(kernel)


def llvm_text(step: NativeStep) -> str:
    """The LLVM IR of the step's library."""
    return step.library.origin.make_text()
