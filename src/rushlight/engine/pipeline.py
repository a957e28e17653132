"""The compiler on one page: the stages between a recorded program and what a back end runs.

    stage      what it does                                            where
    simplify   what need not be done goes, to the bit                  simplify/pipeline.py
    unpack     flat tensors are taken apart again                      schedule/packing.py
    schedule   operations form groups, each of them one kernel         schedule/fusion.py
    lower      groups become loop nests, products, sorts, recurrences  lowering/, engine/items.py

Then loop nests become machine code (`codegen/`, `runtime/`), which is what a back end changes; the
CPU's `engine/compiled.py` places buffers and runs the steps, `engine/device_plan.py` does so on
other devices, and `engine/template.py` for sizes that vary.  With RUSHLIGHT_VERIFY=1, always so in
the tests, what each stage gives is checked by `engine/verify.py` before the next one sees it.

In: a program (`tape/program.py`).  Out: steps, and values for reference rules, in order.  Level 9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from rushlight.base.config import config
from rushlight.base.errors import InternalError
from rushlight.base.hot import hot
from rushlight.engine import verify
from rushlight.engine.items import item_steps
from rushlight.engine.steps import NativeStep, step_of_nest
from rushlight.lowering import rows  # noqa: F401 - fills the table of lowerings
from rushlight.lowering.alone import Checks, nests_alone
from rushlight.lowering.attention import Attention
from rushlight.lowering.group import Nest, build_nests, can_lower
from rushlight.lowering.products import product_items, product_operands, product_source
from rushlight.lowering.refusal import why_no_kernel
from rushlight.primitives.attention import IN_BLOCKS, WIDEST_IN_BLOCKS
from rushlight.schedule.fusion import OPAQUE, PRODUCT, Schedule, make_schedule
from rushlight.schedule.packing import without_packing
from rushlight.simplify.pipeline import simplified
from rushlight.tape.program import OPERATION, OUTPUT, Program


@hot
class Lowered:
    """A program on its way through the stages.

    program: as the last stage left it.  rewrites: what simplifying did.  schedule: the groups.
    sequence: native steps and values for reference rules, in order; nothing can fail from place
        `safe_from` of it on.
    split: operations with several results whose kernels wrote each where it lies.
    reasons: slot of a value for the reference rule -> its operation and why it has no kernel.
    constants: slot -> tables that steps read.  checks: the flags that steps may set.
    """

    __slots__ = (
        "program", "schedule", "rewrites", "sequence", "safe_from", "reasons", "constants",
        "checks", "split",
    )  # fmt: skip

    # Whether products read 16-bit floats where they lie and round what they write; and which
    # products there are.
    reads_narrow = True
    product_source = staticmethod(product_source)

    def lower(self, program: Program) -> None:
        """Bring a program through all stages."""
        self.program = program
        self.reasons: dict[int, str] = {}
        self.constants: dict[int, np.ndarray] = {}
        self.split: set[int] = set()
        self.checks = Checks()
        for stage in STAGES:
            before = self.program
            stage.run(self)
            if config.verify:
                for fault in stage.faults(self, before):
                    raise InternalError(f"compiler: after the stage {stage.name}, {fault}")

    # ---- what a back end may do in its own way -------------------------------------------------

    def step_of_nest(self, nest: Nest) -> Any:
        """The step that runs a loop nest."""
        return step_of_nest(nest)

    def steps_of_item(self, item: Any, program: Program) -> list:
        """The steps of a product, a convolution, a sort or a recurrence."""
        return item_steps(item, program, self.constants)

    def takes(self, item: Any) -> bool:
        """Whether there are kernels of an item."""
        if isinstance(item, Attention):
            return item.reads_mask_along_keys and item.fits(IN_BLOCKS, WIDEST_IN_BLOCKS)
        return True

    def buffers_of(self, item: Any) -> list[int]:
        """The slots of the memory that an item of the sequence uses."""
        if isinstance(item, NativeStep):
            return item.buffers
        return [item.slot, *[self.schedule.memory(s) for s in item.inputs]]

    # ---- the stages ----------------------------------------------------------------------------

    def _simplify(self) -> None:
        self.program, self.rewrites = simplified(self.program)

    def _unpack(self) -> None:
        self.program = without_packing(self.program, can_lower)

    def _schedule(self) -> None:
        self.schedule: Schedule = make_schedule(
            self.program, can_lower, self.product_source, product_operands
        )

    def _lower(self) -> None:
        self.sequence: list = []
        self.safe_from = 0
        for position, group in enumerate(self.schedule.groups):
            checks = self.checks.count
            member = next(iter(group.members.values()))
            if member.value.source == OUTPUT and member.value.inputs[0] in self.split:
                continue
            steps = self._steps_of(group, position)
            if steps is None:
                self._leave_to_rule(group)
            else:
                if member.value.outputs:
                    self.split.add(member.value.slot)
                for part, step in enumerate(steps):
                    step.group, step.part = position, part
                    step.buffers = [self.schedule.memory(s) for s in step.buffers]
                self.sequence += steps
            if steps is None or self.checks.count > checks:
                self.safe_from = len(self.sequence)

    # ---- one group -----------------------------------------------------------------------------

    def _leave_to_rule(self, group) -> None:
        """Leave a group to the reference rule of its one operation."""
        (slot,) = group.members
        value = self.program.values[slot]
        if value.source == OPERATION:
            self.reasons[slot] = f"{value.primitive}: {why_no_kernel(value, self.program)}"
        self.sequence.append(value)

    def _steps_of(self, group, position: int) -> list | None:
        """The native steps of a group; None if the reference rule is to be called."""
        if group.kind == OPAQUE:
            (member,) = group.members.values()
            items = nests_alone(member.value, self.program, self.checks)
            if items is None or not all(self.takes(item) for item in items):
                return None
            return self._steps_of_items(items, self.program)
        if group.kind == PRODUCT:
            (member,) = group.members.values()
            items = product_items(member.value, self.program, self.checks, self.reads_narrow)
            return self._steps_of_items(items, self.program)
        return [self.step_of_nest(nest) for nest in build_nests(self.schedule, position)]

    def _steps_of_items(self, items: list, program: Program) -> list:
        steps: list = []
        for item in items:
            if isinstance(item, Nest):
                steps.append(self.step_of_nest(item))
            else:
                steps += self.steps_of_item(item, program)
        return steps


class Stage(NamedTuple):
    """One stage.

    purpose: why it is there.  run: does it.  faults: given the program before it too, a sentence
    for each thing that is wrong with what it left.
    """

    name: str
    purpose: str
    run: Callable[[Any], None]
    faults: Callable[[Any, Program], Iterator[str]]


STAGES = (
    Stage(
        "simplify",
        "what need not be done is not scheduled",
        Lowered._simplify,
        lambda lowered, before: verify.faults_of_program(lowered.program, before),
    ),
    Stage(
        "unpack",
        "an optimizer's flat tensor is computed part by part, where each part lies",
        Lowered._unpack,
        lambda lowered, before: verify.faults_of_program(lowered.program, before),
    ),
    Stage(
        "schedule",
        "what one kernel can compute together makes one trip through memory",
        Lowered._schedule,
        lambda lowered, before: verify.faults_of_schedule(lowered.schedule),
    ),
    Stage(
        "lower",
        "loops and products say how, for any size",
        Lowered._lower,
        lambda lowered, before: verify.faults_of_sequence(lowered),
    ),
)
