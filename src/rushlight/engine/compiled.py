"""Run plans as machine code: a plan's groups become native steps, the rest calls of reference rules.

A `CompiledPlan` is made once for each plan.  Consecutive native steps are one native call over a
table of (function, buffers, parameters, extent, grain); buffers of values that nobody keeps lie in
one arena shared by all plans, those that are kept get memory of their own at each run.  Level 9.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from pathlib import Path

import numpy as np

from rushlight.base.dtypes import narrow, widen
from rushlight.base.errors import FlushFailed
from rushlight.codegen.llvm import __file__ as llvm_source
from rushlight.codegen.llvm import module_text
from rushlight.engine.arena import ARENA, ArenaPlanner
from rushlight.loopnest.ir import Kernel
from rushlight.lowering import rows  # noqa: F401 - fills the table of lowerings
from rushlight.lowering.group import Nest, build_nests, can_lower
from rushlight.reference.executor import DATA_ERRORS, compute, owned, run_plan
from rushlight.runtime.host import host_target
from rushlight.runtime.kernel_cache import DiskCache, KernelCache, default_directory
from rushlight.runtime.threads import pool
from rushlight.schedule.fusion import OPAQUE, Schedule, make_schedule
from rushlight.schedule.program import OPERATION, OUTPUT, program_of

_STEP_WORDS = 5  # function, buffers, parameters, extent, grain
# Rows of a parallel loop that one thread takes at least; a piece of a flat kernel is large already.
_SMALLEST_SHARE = 1 << 15

_kernels = KernelCache(DiskCache(default_directory()))


def kernel_address(kernel: Kernel) -> int:
    """The address of a kernel's machine code, compiled at first need."""
    printed = repr(kernel)
    name = f"kernel_{hashlib.sha256(printed.encode()).hexdigest()[:24]}"
    named = Kernel(name, kernel.buffers, kernel.params, kernel.body)
    target = host_target()
    library = _kernels.get(
        f"{printed} {fingerprint()}", [name], lambda: module_text([named], target), target
    )
    return library[name]


@functools.cache
def fingerprint() -> str:
    """What the generated text depends on besides the kernel: the sources of the code generator."""
    digest = hashlib.sha256()
    folder = Path(llvm_source).parent
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class NativeRun:
    """Consecutive native steps and where their arguments come from."""

    __slots__ = ("steps", "pointers", "pointer_slots", "words", "scalar_places", "count", "outputs")

    def __init__(self, nests: list[Nest]) -> None:
        self.count = len(nests)
        slots: list[int] = []
        words: list[int] = []
        self.scalar_places: list[tuple[int, int, bool]] = []
        starts = []
        for nest in nests:
            starts.append((len(slots), len(words)))
            slots += nest.buffers
            for param, word in zip(nest.kernel.params, nest.words):
                if word.slot is not None:
                    floating = param.dtype in ("float32", "float64")
                    self.scalar_places.append((len(words), word.slot, floating))
                words.append(word.value or 0)
        self.pointer_slots = np.array(slots, np.int64)
        self.pointers = np.zeros(max(len(slots), 1), np.int64)
        self.words = np.array(words or [0], np.int64)
        table = []
        for nest, (first_slot, first_word) in zip(nests, starts):
            table += [
                kernel_address(nest.kernel),
                self.pointers.ctypes.data + 8 * first_slot,
                self.words.ctypes.data + 8 * first_word,
                nest.extent,
                _grain(nest),
            ]
        self.steps = np.array(table, np.int64)

    def run(self, addresses: np.ndarray, nodes) -> None:
        """Fill in pointers and numbers, and call the machine code once."""
        np.take(addresses, self.pointer_slots, out=self.pointers[: len(self.pointer_slots)])
        for place, slot, floating in self.scalar_places:
            value = widen(np.asarray(nodes[slot].value), nodes[slot].dtype)
            if floating:
                self.words.view(np.float64)[place] = value
            else:
                self.words[place] = int(value)
        pool.run_steps(self.steps.ctypes.data, self.count)


def _grain(nest: Nest) -> int:
    return max(1, _SMALLEST_SHARE // max(nest.row_elements, 1))


class CompiledPlan:
    """parts: NativeRun or reference instruction, in order."""

    __slots__ = ("parts", "arena_bytes", "fixed", "kept", "read", "schedule", "slots", "plan",
                 "shapes")  # fmt: skip

    def __init__(self, plan, nodes) -> None:
        self.plan = plan
        program = program_of(plan, nodes)
        self.schedule: Schedule = make_schedule(program, can_lower)
        instructions = {i.slot: i for i in plan.instructions}
        self.parts: list = []
        native: list[Nest] = []
        uses: list[list[int]] = []
        native_slots: set[int] = set()
        for position, group in enumerate(self.schedule.groups):
            if group.kind == OPAQUE:
                self._close(native)
                (slot,) = group.members
                self.parts.append(instructions[slot])
                uses.append([slot, *instructions[slot].inputs])
            else:
                for nest in build_nests(self.schedule, position):
                    native.append(nest)
                    native_slots.update(nest.written)
                    uses.append(nest.buffers)
        self._close(native)
        self.slots = max(program.values) + 1
        self._place(program, native_slots, uses)

    def _close(self, native: list[Nest]) -> None:
        if native:
            self.parts.append(NativeRun(list(native)))
            native.clear()

    def _place(self, program, native_slots: set[int], uses: list[list[int]]) -> None:
        """Arena offsets for native values nobody keeps; the rest gets addresses at each run."""
        planner = ArenaPlanner()
        first_use: dict[int, int] = {}
        last_use: dict[int, int] = {}
        for time, used in enumerate(uses):
            for slot in used:
                first_use.setdefault(slot, time)
                last_use[slot] = time
        self.fixed: list[tuple[int, int]] = []
        self.kept: list[tuple[int, tuple, np.dtype]] = []
        self.read: list[int] = []
        self.shapes = {}
        for slot in sorted(first_use, key=first_use.__getitem__):
            value = program.values[slot]
            if slot in native_slots:
                self.shapes[slot] = (value.shape, value.dtype.numpy)
                if value.live:
                    self.kept.append((slot, value.shape, value.dtype.numpy))
                else:
                    size = value.numel * value.dtype.itemsize
                    offset = planner.place(size, first_use[slot], last_use[slot])
                    self.fixed.append((slot, offset))
            elif value.source not in (OPERATION, OUTPUT):
                self.read.append(slot)
        self.arena_bytes = planner.total

    @property
    def fallbacks(self) -> list[str]:
        """Names of the operations that no kernel computes."""
        values = self.schedule.program.values
        return [
            values[p.slot].primitive.name
            for p in self.parts
            if not isinstance(p, NativeRun) and values[p.slot].source == OPERATION
        ]

    def run(self, nodes) -> BaseException | None:
        """Execute; live nodes get values.  Returns the first data-dependent error."""
        if self._needs_care(nodes):
            return run_plan(self.plan, nodes)
        addresses = np.zeros(self.slots, np.int64)
        arrays: dict[int, np.ndarray] = {}
        base = ARENA.at_least(self.arena_bytes)
        for slot, offset in self.fixed:
            addresses[slot] = base + offset
        for slot, shape, dtype in self.kept:
            array = np.empty(shape, dtype)
            arrays[slot] = array
            addresses[slot] = array.ctypes.data
        for slot in self.read:
            value = arrays[slot] = np.asarray(nodes[slot].value)
            addresses[slot] = value.ctypes.data
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for part in self.parts:
                if isinstance(part, NativeRun):
                    part.run(addresses, nodes)
                elif not self._refer(part, nodes, arrays, addresses):
                    # Nothing was handed out yet: the reference executor sorts out what failed.
                    return run_plan(self.plan, nodes)
        for instruction in self.plan.instructions:
            if instruction.live:
                nodes[instruction.slot].value = arrays[instruction.slot]
        return None

    def _needs_care(self, nodes) -> bool:
        """A value that failed, or one computed before an interrupt."""
        if any(nodes[i.slot].value is not None for i in self.plan.instructions):
            return True
        return any(type(nodes[slot].value) is FlushFailed for slot in self.read)

    def _refer(self, instruction, nodes, arrays, addresses) -> bool:
        """Run one operation by its reference rule; False if it raised."""
        operands = []
        for slot in instruction.inputs:
            value = arrays.get(slot)
            if value is None:
                value = arrays[slot] = self._arena_view(slot, addresses)
            if isinstance(value, list):
                operands.append(value)
            else:
                operands.append(widen(value, nodes[slot].dtype))
        step = nodes[instruction.slot].step
        try:
            result = compute(step, operands)
        except DATA_ERRORS:
            return False
        if isinstance(result, list):
            arrays[instruction.slot] = result
            return True
        array = np.asarray(narrow(result, step.dtype), order="C")
        if instruction.live:
            array = owned(array, operands)
        arrays[instruction.slot] = array
        addresses[instruction.slot] = array.ctypes.data
        return True

    def _arena_view(self, slot: int, addresses) -> np.ndarray:
        shape, dtype = self.shapes[slot]
        return ARENA.view(int(addresses[slot]), shape, dtype)
