"""A stretch of a plan on a device with a driver: kernels over its memory, launched in order.

What has no kernel there goes through the host: its operands are copied out, the CPU computes it,
and the result is copied in; that is counted, with its name, in `stats()`.  Level 9.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rushlight.base.config import config
from rushlight.base.dtypes import float32, float64, narrow, uint64, widen
from rushlight.base.errors import FlushFailed
from rushlight.base.observe import KERNEL, PLAN, clock, tell, watchers
from rushlight.base.stats import stats
from rushlight.base.words import Words
from rushlight.codegen.grid import NoKernel
from rushlight.engine.arena import ArenaPlanner
from rushlight.engine.backends import JUDGE
from rushlight.engine.device_chain import FEWEST_STEPS, Chain
from rushlight.engine.device_items import item_launches
from rushlight.engine.device_joined import JoinedStep, with_joined_steps
from rushlight.engine.device_products import on_tensor_cores
from rushlight.engine.device_step import DeviceStep, HostStep, bits_of_word
from rushlight.engine.native import NativeRun
from rushlight.engine.pipeline import Lowered
from rushlight.engine.takeover import Lifetimes
from rushlight.loopnest.ir import Const, Expr, Op, Param
from rushlight.lowering.attention import Attention
from rushlight.lowering.group import Nest
from rushlight.lowering.products import wide_product_source
from rushlight.primitives.attention import IN_TILES, WIDEST
from rushlight.reference.executor import DATA_ERRORS, compute
from rushlight.tape.device_array import DeviceArray
from rushlight.tape.node import Node
from rushlight.tape.program import OPERATION, OUTPUT, program_of


class DevicePlan(Lowered):
    """sequence: steps, and values for reference rules.  read: leaves that steps take."""

    __slots__ = (
        "plan", "backend", "read", "fixed", "arena_bytes", "outputs", "tables", "chain", "was_run",
    )  # fmt: skip

    only = None
    native = False
    product_source = staticmethod(wide_product_source)

    @property
    def reads_narrow(self) -> bool:  # type: ignore[override]
        """Whether products read 16-bit floats where they lie: tensor cores do."""
        return on_tensor_cores("bfloat16", self.backend)

    def __init__(self, plan: Any, nodes: list, backend: Any) -> None:
        started = clock()
        self.plan = plan
        self.backend = backend
        self.lower(program_of(plan, nodes))
        if self.checks.slot is not None:
            self.constants[self.checks.slot] = np.zeros(self.checks.count, bool)
        self.tables: dict[int, DeviceArray] = {}
        self.chain: Chain | None = None
        self.was_run = False
        self.sequence = with_joined_steps(
            self.sequence, self.program.values, backend, self.buffers_of
        )
        self._place()
        stats.compile_seconds += clock() - started
        if watchers:
            tell(PLAN, "compile", started, self)

    # ---- what steps are made of ----------------------------------------------------------------

    def step_of_nest(self, nest: Nest) -> Any:
        """A launch of the nest's kernel, or the CPU's step where none can be made."""
        try:
            kernel, function = self.backend.compile(nest.kernel)
        except NoKernel as refusal:
            return HostStep(super().step_of_nest(nest), str(refusal))
        words = [
            (word.value or 0, word.slot, param.dtype in ("float32", "float64"))
            for param, word in zip(nest.kernel.params, nest.words)
        ]
        scratch = tuple((s.extent, _itemsize(s.dtype)) for s in nest.kernel.scratch)
        return DeviceStep(
            kernel, function, nest.buffers, nest.written, words, nest.extent, scratch,
            nest.kernel.params, nest.kernel,
        )  # fmt: skip

    def steps_of_item(self, item: Any, program: Any) -> list:
        """Launches of an item's kernels, or the CPU's steps where some cannot be made."""
        try:
            return item_launches(item, program, self.constants, self.backend)
        except NoKernel as refusal:
            steps = super().steps_of_item(item, program)
            return [HostStep(step, str(refusal)) for step in steps]

    def takes(self, item: Any) -> bool:
        """What the CPU takes, and attention where kernels are more than text."""
        if isinstance(item, Attention):
            return self.backend.driver.joins and item.fits(IN_TILES, WIDEST)
        return super().takes(item)

    def buffers_of(self, item: Any) -> list[int]:
        if isinstance(item, DeviceStep | HostStep):
            return item.buffers
        return super().buffers_of(item)

    def _place(self) -> None:
        """Offsets in one block for values that nobody keeps; leaves and outputs have their own."""
        values = self.program.values
        lifetimes = Lifetimes([self.buffers_of(item) for item in self.sequence])
        written = {slot for step in self.steps() for slot in step.written}
        planner = ArenaPlanner()
        self.read: list[int] = []
        self.outputs: list[int] = []
        self.fixed: list[tuple[int, int]] = []
        for slot in sorted(lifetimes.first, key=lifetimes.first.__getitem__):
            value = values[slot]
            if slot in self.constants:
                continue
            if slot in written:
                if value.live:
                    self.outputs.append(slot)
                else:
                    size = value.numel * value.dtype.itemsize
                    offset = planner.place(size, lifetimes.first[slot], lifetimes.last[slot])
                    self.fixed.append((slot, offset))
            elif value.source not in (OPERATION, OUTPUT):
                self.read.append(slot)
        self.arena_bytes = planner.total

    def steps(self) -> list:
        """Launches and steps of the CPU, in order, those of a joined launch each."""
        found: list = []
        for item in self.sequence:
            if isinstance(item, JoinedStep):
                found += item.members
            elif isinstance(item, DeviceStep | HostStep):
                found.append(item)
        return found

    @property
    def fallbacks(self) -> list[str]:
        """Names of what goes through the host."""
        found = []
        for item in self.sequence:
            if isinstance(item, HostStep):
                found.append(item.why)
            elif not isinstance(item, DeviceStep) and item.source == OPERATION:
                found.append(item.primitive.name)
        return found

    # ---- running -------------------------------------------------------------------------------

    def run(self, nodes: list) -> BaseException | None:
        """Execute; live nodes get values.  Returns the first data-dependent error."""
        if config.executor == "reference":
            return self._judge(nodes)
        memory: dict[int, DeviceArray] = {}
        backend = self.backend
        stream = backend.stream
        for slot in self.read:
            value = nodes[slot].value
            if type(value) is FlushFailed:
                return self._judge(nodes)
            memory[slot] = backend.here(value)
        for slot, table in self.constants.items():
            if slot not in self.tables:
                self.tables[slot] = backend.from_host(table)
            memory[slot] = self.tables[slot]
        for array in memory.values():
            stream.reads(array.memory)
        stream.begin()
        if self.arena_bytes:
            block = backend.allocator.allocate(self.arena_bytes)
            for slot, offset in self.fixed:
                value = self.program.values[slot]
                memory[slot] = DeviceArray(block, value.shape, value.dtype.numpy, offset)
        if self.checks.count:
            assert self.checks.slot is not None
            backend.clear(memory[self.checks.slot])
        for slot in self.outputs:
            value = self.program.values[slot]
            memory[slot] = backend.empty(value.shape, value.dtype.numpy)
        run = _Run(self, nodes, memory)
        if self.was_run and not watchers and self._chained():
            assert self.chain is not None
            self.chain.run(run)
            stats.kernel_launches += len(self.sequence)
            stats.graph_launches += 1
        elif not self._launch_all(run):
            return self._judge(nodes)
        self.was_run = True
        if self.checks.count:
            assert self.checks.slot is not None
            if memory[self.checks.slot].to_host().any():
                return self._judge(nodes)
        for slot in self.plan.live:
            made = run.memory_of(slot)
            nodes[slot].value = made.reshape(nodes[slot].shape)
        return None

    def _chained(self) -> bool:
        """Whether one launch runs all steps: from the second time on, if no step is the host's."""
        if self.chain is None and self.backend.driver.graphs:
            steps = [item for item in self.sequence if isinstance(item, DeviceStep)]
            if len(steps) == len(self.sequence) >= FEWEST_STEPS:
                self.chain = Chain(steps, self.backend)
        return self.chain is not None

    def _launch_all(self, run: _Run) -> bool:
        """Run the steps one by one; False if an operation failed."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for item in self.sequence:
                if isinstance(item, DeviceStep):
                    run.launch(item)
                elif isinstance(item, HostStep):
                    run.through_host(item)
                elif not run.refer(item):
                    return False
        return True

    def _judge(self, nodes: list) -> BaseException | None:
        """Execute by the reference rules, on the host."""
        reason = "a plan of a device: an operation in it failed, or the reference executor is asked"
        stats.fallback_reasons[reason] = stats.fallback_reasons.get(reason, 0) + 1
        shadow = [_on_host(node) for node in nodes]
        error = JUDGE.plan(self.plan, shadow).run(shadow)
        for slot in self.plan.live:
            value = shadow[slot].value
            nodes[slot].value = (
                value if type(value) is FlushFailed else self.backend.from_host(value)
            )
        return error


class _Run:
    """One execution: where each value lies, and what of it is on the host."""

    def __init__(self, plan: DevicePlan, nodes: list, memory: dict[int, DeviceArray]) -> None:
        self.plan = plan
        self.nodes = nodes
        self.memory = memory
        self.backend = plan.backend
        self.values = plan.program.values
        # Results of operations with several, by reference rules.
        self.several: dict[int, list] = {}

    def memory_of(self, slot: int) -> DeviceArray:
        """Where a value lies, a view where the memory it shows does."""
        found = self.memory.get(slot)
        if found is None:
            found = self.memory.get(self.plan.schedule.memory(slot))
        if found is None:
            found = self.memory[slot] = self.backend.here(self.nodes[slot].value)
        return found

    def number(self, slot: int, floating: bool) -> int:
        """The bits of a scalar leaf's value as a word."""
        node = self.nodes[slot]
        value = node.value
        dtype = node.dtype
        if floating:
            if dtype is not float32 and dtype is not float64:
                value = widen(np.asarray(value), dtype)
            return bits_of_word(float(value), True)
        if dtype is uint64:
            return int(np.asarray(value, np.uint64).view(np.int64))
        return int(value)

    def launch(self, step: DeviceStep) -> None:
        """Run a kernel."""
        words, memory, pointers = step.table.copy(), self.memory, step.pointers
        for place, slot, floating in step.varying:
            words[place] = self.number(slot, floating)
        for place, slot in zip(step.places, step.buffers):
            words[place] = memory[slot].address
        held = self.scratch(step, words[pointers:])
        words[pointers - len(held) : pointers] = [block.address for block in held]
        started = clock()
        self.backend.launch(step.entry, step.blocks, words[:pointers], words[pointers:])
        stats.kernel_launches += 1
        if watchers:
            self.backend.synchronize()
            tell(KERNEL, step.function, started, (self.plan, step), clock())

    def scratch(self, step: DeviceStep, words: list[int]) -> list[Any]:
        """Memory of a launch's own."""
        rows = step.blocks * step.kernel.groups
        return [
            self.backend.allocator.allocate(
                rows * _evaluated(extent, step.params, words) * itemsize
            )
            for extent, itemsize in step.scratch
        ]

    def through_host(self, step: HostStep) -> None:
        """Run a step of the CPU."""
        _count(step.why)
        arrays: dict[int, np.ndarray] = {}
        for slot in step.buffers:
            if slot not in arrays:
                arrays[slot] = self.memory[slot].to_host()
        addresses = Words(np.zeros(max(self.values) + 1, np.int64))
        for slot, array in arrays.items():
            addresses.array[slot] = array.ctypes.data
        NativeRun([step.native], self.values).run(addresses, self.nodes, self.plan)
        for slot in step.written:
            self.backend.write(self.memory[slot], arrays[slot])

    def refer(self, value: Any) -> bool:
        """Compute a value by its reference rule; False if that raised."""
        if value.source == OPERATION:
            _count(self.plan.reasons.get(value.slot, value.primitive.name))
        operands: list = []
        for slot in value.inputs:
            if slot in self.several:
                operands.append(self.several[slot])
            else:
                operands.append(self._on_host(slot))
        try:
            result = compute(value, operands)
        except DATA_ERRORS:
            return False
        if isinstance(result, list):
            self.several[value.slot] = result
            return True
        array = np.asarray(narrow(result, value.dtype), order="C")
        self.memory[value.slot] = self.backend.from_host(array)
        return True

    def _on_host(self, slot: int) -> np.ndarray:
        value = self.values[slot]
        node_value = self.nodes[slot].value if slot < len(self.nodes) else None
        if value.source not in (OPERATION, OUTPUT) and type(node_value) is not DeviceArray:
            return widen(np.asarray(node_value), value.dtype)
        array = self.memory_of(slot).to_host().reshape(value.shape)
        return widen(array, value.dtype)


def _count(reason: str) -> None:
    stats.fallbacks += 1
    stats.host_steps += 1
    named = f"through the host: {reason}"
    stats.fallback_reasons[named] = stats.fallback_reasons.get(named, 0) + 1


def _itemsize(dtype: str) -> int:
    return np.dtype({"bfloat16": "uint16"}.get(dtype, dtype)).itemsize


def _evaluated(expr: Expr, params: tuple[Param, ...], words: list[int]) -> int:
    """An extent, from the words of a launch."""
    if isinstance(expr, Const):
        return int(expr.value)
    if isinstance(expr, Param):
        return words[[p.name for p in params].index(expr.name)]
    assert isinstance(expr, Op)
    x, y = [_evaluated(arg, params, words) for arg in expr.args]
    rules = {"add": x + y, "sub": x - y, "mul": x * y, "minimum": min(x, y), "maximum": max(x, y)}
    return rules[expr.name]


def _on_host(node: Any) -> Any:
    """A node like another, with its value on the host."""
    made = Node()
    made.step = node.step
    made.inputs = node.inputs
    made.address = node.address
    made.shape = node.shape
    made.dtype = node.dtype
    made.home = None
    value = node.value
    made.value = value.to_host() if type(value) is DeviceArray else value
    return made
