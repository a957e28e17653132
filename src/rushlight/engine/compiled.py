"""Run plans as machine code: groups become native steps, the rest calls of reference rules.

A `CompiledPlan` is made once for each plan.  Consecutive native steps are one native call over a
table of (function, buffers, parameters, extent, grain); buffers of values that nobody keeps lie in
one arena shared by all plans, those that are kept get memory of their own at each run.  Level 9.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np

from rushlight.base.collecting import put_off
from rushlight.base.config import config
from rushlight.base.dtypes import narrow, widen
from rushlight.base.errors import FlushFailed, InternalError
from rushlight.base.hot import hot
from rushlight.base.observe import PLAN, REFERENCE, clock, tell, watchers
from rushlight.base.stats import stats
from rushlight.base.words import Words, put_integer
from rushlight.engine.arena import ARENA, ArenaPlanner
from rushlight.engine.backends import JUDGE
from rushlight.engine.copies import copies_of_leaves, join_copied, with_checks_early
from rushlight.engine.kernels import is_crowded
from rushlight.engine.native import NativeRun, Output
from rushlight.engine.pipeline import Lowered
from rushlight.engine.steps import NativeStep
from rushlight.engine.takeover import Lifetimes, Successors, Takeovers
from rushlight.engine.verify import faults_of_placement
from rushlight.reference.executor import DATA_ERRORS, compute, owned
from rushlight.tape.block import Segment
from rushlight.tape.memo import memo
from rushlight.tape.program import OPERATION, OUTPUT, program_of


@hot
class CompiledPlan(Lowered):
    """parts: NativeRun, or a value for the reference rule, in order.

    only: the one native run of a plan that is nothing else, else None.
    native: whether no reference rule runs; then nobody asks for nodes but of leaves and of results.
    takeovers: leaves that results are written over, in the last part; None without any.
    outputs: memory of the kept values that kernels write; referred: kept slots that rules write.
    joined: slot of a value without memory of its own -> slot of the one whose memory it has.
    """

    __slots__ = (
        "parts", "arena_bytes", "fixed", "outputs", "referred", "read", "only", "native",
        "takeovers", "plan", "shapes", "flags", "addresses", "base", "joined", "__weakref__",
    )  # fmt: skip

    def __init__(self, plan, nodes) -> None:
        started = clock()
        known = stats.kernels_compiled, stats.kernels_from_disk
        self.plan = plan
        with put_off():
            self.lower(program_of(plan, nodes))
        sequence, program = self.sequence, self.program
        safe_from, lifetimes, over = self._joined(sequence, program, nodes)
        written = {s for item in sequence if isinstance(item, NativeStep) for s in item.written}
        self.parts = self._parts(sequence, safe_from, program)
        self._place(program, written, lifetimes, over.in_arena)
        del self.sequence, self.program  # the parts and the schedule have them
        native_outputs = {output.slot for output in self.outputs}
        # Values that reference rules leave behind, and leaves that stay what they are.
        self.referred = [s for s in plan.live if s not in native_outputs and s not in self.split]
        only = self.parts[0] if len(self.parts) == 1 else None
        self.only = only if isinstance(only, NativeRun) and not self.referred else None
        self.native = all([isinstance(part, NativeRun) for part in self.parts])
        if is_crowded():
            memo.crowded = True
        stats.compile_seconds += clock() - started
        if watchers:
            tell(PLAN, "compile", started, self)
        if config.debug >= 1:
            self._report(*known, clock() - started)

    def _joined(self, sequence: list, program, nodes: list) -> tuple[int, Lifetimes, Successors]:
        """From where on nothing can fail, lifetimes of buffers, and what is written over what.

        Orders the sequence, and ends it where needed.
        """
        uses = [self.buffers_of(item) for item in sequence]
        for item in sequence:
            if isinstance(item, NativeStep) and item.copies is not None:
                old, new = item.copies
                item.copies = self.schedule.memory(old), self.schedule.memory(new)
        safe_from = with_checks_early(sequence, self.checks.slot, uses)
        self.joined = join_copied(sequence, uses, program)
        self.flags = np.zeros(self.checks.count, bool)
        if self.checks.slot is not None:
            self.constants[self.checks.slot] = self.flags
        lifetimes = Lifetimes(uses)
        written = {s for item in sequence if isinstance(item, NativeStep) for s in item.written}
        over = Successors(self.schedule, lifetimes, written - set(self.constants), safe_from)
        copied = copies_of_leaves(sequence, program)
        over.add_copies(copied, lifetimes, safe_from)
        self.takeovers = Takeovers(over.of_leaves, copied, nodes) if over.of_leaves else None
        if self.takeovers is not None:
            sequence.append(self.takeovers.last_step(program, self.constants))
        self.addresses = Words(np.zeros(max(program.values, default=-1) + 1, np.int64))
        self.base = -1
        return safe_from, lifetimes, over

    def _report(self, compiled: int, from_disk: int, seconds: float) -> None:
        """One line: how much became machine code, and what did not.

        compiled, from_disk: kernels counted before this plan.
        """
        missed = ", ".join(sorted(set(self.fallbacks))) or "none"
        print(
            f"rushlight: plan of {len(self.plan.instructions)} operations: "
            f"{len(self.steps())} kernels, of which {stats.kernels_compiled - compiled} compiled "
            f"and {stats.kernels_from_disk - from_disk} read from disk, {seconds * 1e3:.2f} ms; "
            f"by reference rules: {missed}",
            file=sys.stderr,
        )

    def _parts(self, sequence: list, safe_from: int, program) -> list:
        """The sequence with consecutive native steps joined, but not across what is safe."""
        parts: list = []
        native: list[NativeStep] = []
        for time, item in enumerate([*sequence, None]):
            ends = self.takeovers is not None and time == safe_from
            if native and (ends or not isinstance(item, NativeStep)):
                parts.append(NativeRun(native, program.values))
                native = []
            if isinstance(item, NativeStep):
                native.append(item)
            elif item is not None:
                parts.append(item)
        return parts

    def _place(self, program, written: set[int], lifetimes: Lifetimes, over) -> None:
        """Arena offsets for native values nobody keeps; the rest gets addresses at each run.

        over: slot of a value -> slot of the buffer that it may be written over.
        """
        planner = ArenaPlanner()
        offsets: dict[int, int] = {}
        self.outputs: list[Output] = []
        self.read: list[int] = []
        self.shapes = {}
        first, last = lifetimes.first, lifetimes.last
        for slot in sorted(first, key=first.__getitem__):
            value = program.values[slot]
            if slot in self.constants:
                continue
            if slot in written:
                self.shapes[slot] = (value.shape, value.dtype.numpy)
                if value.live:
                    self.outputs.append(Output(slot, value.shape, value.dtype.numpy))
                elif over.get(slot) in offsets:
                    offset = offsets[over[slot]]
                    offsets[slot] = planner.take_over(offset, first[slot], last[slot])
                else:
                    size = value.numel * value.dtype.itemsize
                    offsets[slot] = planner.place(size, first[slot], last[slot])
            elif value.source not in (OPERATION, OUTPUT):
                self.read.append(slot)
        self.fixed = list(offsets.items())
        self.arena_bytes = planner.total
        if config.verify:
            values = program.values
            sizes = {s: values[s].numel * values[s].dtype.itemsize for s in offsets}
            for fault in faults_of_placement(offsets, sizes, lifetimes, over, planner.total):
                raise InternalError(f"compiler: after placing, {fault}")

    def steps(self) -> list[NativeStep]:
        """The native steps of all parts, in order."""
        return [s for part in self.parts if isinstance(part, NativeRun) for s in part.steps]

    @property
    def fallbacks(self) -> list[str]:
        """Names of the operations that no kernel computes."""
        values = self.schedule.program.values
        return [
            values[p.slot].primitive.name
            for p in self.parts
            if not isinstance(p, NativeRun) and values[p.slot].source == OPERATION
        ]

    @hot
    def run(self, nodes) -> BaseException | None:
        """Execute; live nodes get values.  Returns the first data-dependent error."""
        self.fix_addresses()
        places = self.addresses
        for slot in self.read:
            node = nodes[slot]
            try:
                put_integer(places, slot, node.pointer)
            except AttributeError:
                if type(node.value) is FlushFailed:
                    return self._judge(nodes)
                if not isinstance(node.value, np.ndarray):
                    # A NumPy scalar has no memory to point to: the node keeps an array instead.
                    node.value = np.asarray(node.value)
                node.pointer = pointer = node.value.__array_interface__["data"][0]
                put_integer(places, slot, pointer)
        if self.takeovers is not None:
            node = None  # who refers to a leaf counts from here on
            return self._run_over(nodes, self.takeovers)
        made = []
        for output in self.outputs:
            entry = output.array()
            made.append(entry)
            put_integer(places, output.slot, entry[1])
        if self.only is not None:
            self.only.run(self.addresses, nodes, self)
            arrays = None
        else:
            arrays = {output.slot: entry[0] for output, entry in zip(self.outputs, made)}
            if not self.run_parts(nodes, arrays, self.parts):
                # Nothing was handed out yet: the reference executor sorts out what failed.
                return self._judge(nodes)
        if self.checks.count and True in self.flags.data:
            # An index is out of bounds: the reference executor says which.
            return self._judge(nodes)
        for output, (array, pointer) in zip(self.outputs, made):
            node = nodes[output.slot]
            node.value = array
            node.pointer = pointer
        if arrays is not None:
            self._hand_out_referred(nodes, arrays)
        return None

    def _hand_out_referred(self, nodes, arrays: dict) -> None:
        for slot in self.referred:
            nodes[slot].value = arrays[slot]
            nodes[slot].pointer = self.addresses.integers[slot]

    def _run_over(self, nodes, takeovers: Takeovers) -> BaseException | None:
        """Execute with results written over leaves; what `run` does after it read the leaves."""
        claimed = takeovers.claim(nodes)
        arrays: dict[int, np.ndarray] = {}
        integers = self.addresses.integers
        for output in self.outputs:
            slot = output.slot
            if slot in claimed:
                arrays[slot] = claimed[slot]
                integers[slot] = integers[takeovers.leaves[slot]]
            else:
                arrays[slot], integers[slot] = output.array()
        if not self.run_parts(nodes, arrays, self.parts[:-1]) or self.flags.any():
            return self._judge(nodes)
        takeovers.done[0] = False
        last = self.parts[-1]
        spared = takeovers.spare(last, claimed)
        try:
            takeovers.withdraw(nodes, claimed)
            last.run(self.addresses, nodes, self)
        finally:
            takeovers.respect(last, spared)
            if takeovers.done[0]:
                self._hand_out_leaves(nodes, arrays)
            else:
                takeovers.restore(nodes, claimed)
        return None

    def _hand_out_leaves(self, nodes, arrays: dict) -> None:
        """Give the live nodes their values and make them leaves: an interrupt may be on its way."""
        for slot, leaf in zip(self.plan.live, self.plan.leaves):
            node = nodes[slot]
            node.value = arrays[slot]
            node.pointer = self.addresses.integers[slot]
            node.step = leaf
            node.inputs = ()

    def run_parts(self, nodes, arrays: dict, parts: list) -> bool:
        """Run native stretches and reference rules in turn; False if a rule raised."""
        for slot in self.read:
            arrays[slot] = nodes[slot].value
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for part in parts:
                if isinstance(part, NativeRun):
                    part.run(self.addresses, nodes, self)
                    continue
                self._count_fallback(part.slot)
                if not self._refer(part, nodes, arrays, self.addresses):
                    return False
        return True

    def _count_fallback(self, slot: int) -> None:
        stats.fallbacks += 1
        reason = self.reasons.get(slot)
        if reason is not None:
            stats.fallback_reasons[reason] = stats.fallback_reasons.get(reason, 0) + 1

    @hot
    def fix_addresses(self) -> None:
        """Addresses by slot; those that stay the same between runs are filled in."""
        base = ARENA.at_least(self.arena_bytes)
        if base != self.base:
            for slot, offset in self.fixed:
                self.addresses.array[slot] = base + offset
            for slot, array in self.constants.items():
                self.addresses.array[slot] = array.ctypes.data
            self.base = base  # last: an interrupt may end this midway

    def _judge(self, nodes) -> BaseException | None:
        """Execute by the reference rules."""
        reason = "a whole plan: an operation in it failed, or an earlier run was interrupted"
        stats.fallback_reasons[reason] = stats.fallback_reasons.get(reason, 0) + 1
        if isinstance(nodes, Segment):
            nodes.expand()
        return JUDGE.plan(self.plan, nodes).run(nodes)

    def _refer(self, value, nodes, arrays, addresses) -> bool:
        """Compute one value by its reference rule; False if that raised."""
        operands: list = []
        for slot in value.inputs:
            operand = arrays.get(slot)
            if operand is None:
                operand = arrays[slot] = self._stored(slot, arrays, addresses)
            if isinstance(operand, list):
                operands.append(operand)
            else:
                operands.append(widen(operand, self._value(slot).dtype))
        started = clock()
        try:
            result = compute(value, operands)
        except DATA_ERRORS:
            return False
        if watchers and value.slot in self.reasons:
            tell(REFERENCE, value.primitive.name, started, nodes[value.slot].step)
        if isinstance(result, list):
            arrays[value.slot] = result
            return True
        array = np.asarray(narrow(result, value.dtype), order="C")
        if value.live:
            array = owned(array, operands)
        arrays[value.slot] = array
        addresses.array[value.slot] = array.ctypes.data
        return True

    def _stored(self, slot: int, arrays, addresses) -> np.ndarray:
        """A value that lies in the arena, or in the memory of another one."""
        shown = self.schedule.memory(slot)
        array = arrays.get(shown)
        if array is None:
            shape, dtype = self.shapes[shown]
            array = ARENA.view(int(addresses.array[shown]), shape, dtype)
        return array.reshape(self._value(slot).shape)

    def _value(self, slot: int) -> Any:
        """What the program says of a slot."""
        return self.schedule.program.values[slot]
