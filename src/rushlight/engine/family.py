"""Family: the plans of one form and one live set, which differ in sizes only.

The first sizes get a plan made for them.  From the second on, a template is made that takes sizes
as data (`engine/template.py`), and a plan of other sizes is that template with other numbers.  A
family keeps the sizes that told it which of them vary and which are equal.  Level 9.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from rushlight.base.config import config
from rushlight.base.observe import watchers
from rushlight.base.stats import stats
from rushlight.engine.plan import Plan
from rushlight.tape.block import Segment
from rushlight.tape.memo import BUFFER, leaf_spec
from rushlight.tape.resized import block_sizes

# Templates of one family: the sizes they serve are told apart by comparisons, such as whether rows
# are so long that they are reduced in pieces.
MOST_TEMPLATES = 8
# Lists of sizes that are remembered to tell what varies.
MOST_SAMPLES = 4
# Programs that were alive differently at the same position.
MOST_FAMILIES = 64


# The last times that no template served the sizes of a known program: (what held before, what is
# now).  For reports.
misfits: deque[tuple[str, str]] = deque(maxlen=100)


class Family:
    """live: for each slot whether its value is kept.  model: the plan of the first sizes.

    samples: lists of sizes, the latest last.  templates: the one used last comes first.
    refusal: why no template can be made, or "".  code_bytes: about what the templates take.
    """

    __slots__ = ("live", "model", "samples", "templates", "refusal", "code_bytes")

    def __init__(self, live: list[bool], model: Plan) -> None:
        self.live = live
        # Without what runs it, which goes when the plan does.
        self.model = Plan(model.instructions, model.live, model.leaves, model.dropped)
        self.model.placed = model.placed
        self.samples: list[np.ndarray] = []
        self.templates: list[Any] = []
        self.refusal = ""
        self.code_bytes = 0

    def plan(self, nodes: list, sizes: np.ndarray) -> Plan:
        """A plan of these sizes, not compiled yet."""
        model = self.model
        leaves = tuple(
            [
                leaf if node.shape == leaf.shape and node.step.order == leaf.order
                else leaf_spec(BUFFER, node.shape, leaf.dtype, leaf.device, node.step.order)
                for node, leaf in zip([nodes[slot] for slot in model.live], model.leaves)
            ]
        )  # fmt: skip
        plan = Plan(model.instructions, model.live, leaves, model.dropped)
        plan.family = self
        plan.sizes = sizes
        plan.placed = model.placed
        if not watchers and config.executor == "compiled":
            plan.compiled = self.instance(plan)
            if plan.compiled is not None:
                plan.sizes = None  # its numbers say the same
        return plan

    def instance(self, plan: Plan) -> Any:
        """What runs a plan by one of the templates; None if none serves its sizes."""
        templates = self.templates
        for place, template in enumerate(templates):
            numbers = template.numbers_for(plan.sizes)
            if numbers is not None:
                if place:
                    templates.insert(0, templates.pop(place))
                stats.plans_resized += 1
                return template.instance(numbers, plan)
        return None

    def note(self, sizes: np.ndarray) -> None:
        """Remember sizes that no template served."""
        self.samples = [s for s in self.samples if not np.array_equal(s, sizes)]
        if len(self.samples) >= MOST_SAMPLES:
            del self.samples[1]  # the first and the latest ones differ most
        self.samples.append(sizes)

    def varies(self, sizes: np.ndarray) -> bool:
        """Whether sizes differ from those known."""
        return any(not np.array_equal(s, sizes) for s in self.samples)


def sizes_of(nodes: list) -> np.ndarray:
    """The sizes of a tape in its order, those of its blocks included."""
    listed: list[int] = []
    place = 0
    for run in nodes.runs if nodes.__class__ is Segment else ():  # type: ignore[attr-defined]
        for node in nodes[place : run.start]:
            listed += node.step.sizes
        listed += block_sizes(run)
        place = run.start + len(run.operands)
    for node in nodes[place:]:
        listed += node.step.sizes
    return np.array(listed, np.int64)
