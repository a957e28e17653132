"""A program as steps and values for reference rules, in order: what every back end begins with.

Simplified, scheduled into groups, and each group lowered.  What a loop nest becomes, and an item
that no loop nest describes, the back end says; here it is code of the CPU.  Level 9.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.hot import hot
from rushlight.engine.items import item_steps
from rushlight.engine.steps import NativeStep, step_of_nest
from rushlight.lowering import rows  # noqa: F401 - fills the table of lowerings
from rushlight.lowering.alone import Checks, nests_alone
from rushlight.lowering.group import Nest, build_nests, can_lower
from rushlight.lowering.products import product_items, product_operands, product_source
from rushlight.lowering.refusal import why_no_kernel
from rushlight.schedule.fusion import OPAQUE, PRODUCT, Schedule, make_schedule
from rushlight.schedule.packing import without_packing
from rushlight.simplify.pipeline import simplified
from rushlight.tape.program import OPERATION, OUTPUT


@hot
class Lowered:
    """schedule: the groups.  rewrites: what simplifying the program did.

    split: operations with several results whose kernels wrote each where it lies.
    reasons: slot of a value for the reference rule -> its operation and why it has no kernel.
    constants: slot -> tables that steps read.  checks: the flags that steps may set.
    """

    __slots__ = ("schedule", "rewrites", "reasons", "constants", "checks", "split")

    def step_of_nest(self, nest: Nest) -> Any:
        """The step that runs a loop nest."""
        return step_of_nest(nest)

    def steps_of_item(self, item: Any, program: Any) -> list:
        """The steps of a product, a convolution, a sort or a recurrence."""
        return item_steps(item, program, self.constants)

    def _scheduled(self, program) -> tuple[list, int, Any]:
        """What `_sequence` gives for a program, and the program as it was scheduled."""
        self.reasons: dict[int, str] = {}
        program, self.rewrites = simplified(program)
        program = without_packing(program, can_lower)
        self.schedule: Schedule = make_schedule(
            program, can_lower, product_source, product_operands
        )
        self.constants: dict[int, np.ndarray] = {}
        self.split: set[int] = set()
        self.checks = Checks()
        return (*self._sequence(program), program)

    def _steps_of(self, group, position: int, program) -> list | None:
        """The native steps of a group; None if the reference rule is to be called."""
        if group.kind == OPAQUE:
            (member,) = group.members.values()
            items = nests_alone(member.value, program, self.checks)
            return None if items is None else self._steps_of_items(items, program)
        if group.kind == PRODUCT:
            (member,) = group.members.values()
            items = product_items(member.value, program, self.checks)
            return self._steps_of_items(items, program)
        return [self.step_of_nest(nest) for nest in build_nests(self.schedule, position)]

    def _steps_of_items(self, items: list, program) -> list:
        steps: list = []
        for item in items:
            if isinstance(item, Nest):
                steps.append(self.step_of_nest(item))
            else:
                steps += self.steps_of_item(item, program)
        return steps

    def _sequence(self, program) -> tuple[list, int]:
        """Native steps and values for reference rules, in order; and the first of them from which
        on nothing can fail."""
        sequence: list = []
        safe_from = 0
        for position, group in enumerate(self.schedule.groups):
            checks = self.checks.count
            member = next(iter(group.members.values()))
            if member.value.source == OUTPUT and member.value.inputs[0] in self.split:
                continue
            steps = self._steps_of(group, position, program)
            if steps is None:
                (slot,) = group.members
                value = program.values[slot]
                if value.source == OPERATION:
                    self.reasons[slot] = f"{value.primitive}: {why_no_kernel(value, program)}"
                sequence.append(value)
            else:
                if member.value.outputs:
                    self.split.add(member.value.slot)
                for part, step in enumerate(steps):
                    step.group, step.part = position, part
                    step.buffers = [self.schedule.memory(s) for s in step.buffers]
                sequence += steps
            if steps is None or self.checks.count > checks:
                safe_from = len(sequence)
        return sequence, safe_from

    def _buffers_of(self, item) -> list[int]:
        if isinstance(item, NativeStep):
            return item.buffers
        return [item.slot, *[self.schedule.memory(s) for s in item.inputs]]
