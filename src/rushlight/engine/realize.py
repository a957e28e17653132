"""Flush: find the live values, get the plan, run it, let go of the rest.

Installed as `Tape.execute`.  A node is alive when something other than the tape and its consumers
on the tape refers to it: a tensor, or a saved value of the autograd graph.  CPython's reference
counts say so; what the tape itself accounts for is known for each memo position.  Level 9.
"""

from __future__ import annotations

import importlib
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from rushlight.base.config import config
from rushlight.base.hot import hot
from rushlight.base.observe import FLUSH, clock, tell, watchers
from rushlight.base.references import owners
from rushlight.base.stats import stats
from rushlight.engine import cuda, mps, xpu  # noqa: F401 - they say how devices are found
from rushlight.engine.backends import JUDGE
from rushlight.engine.fallback import is_available, is_compiled
from rushlight.engine.family import MOST_FAMILIES, Family, sizes_of
from rushlight.engine.narrow import narrow_family
from rushlight.engine.plan import Plan, make_plan
from rushlight.rng import machine
from rushlight.tape import strangers
from rushlight.tape.block import Segment, expand, pending_counts
from rushlight.tape.memo import Step, code_bytes_of, forms, memo
from rushlight.tape.tape import Tape

# Live sets remembered for one memo position; a program that varies more is not replaying anyway.
MOST_PLANS = 64

# The last times that a known tape was flushed while other values of it were still wanted: (slots
# kept before, slots kept now, step of each slot).  For reports.
live_changes: deque[tuple[tuple, tuple, list]] = deque(maxlen=100)


@hot
def execute(nodes: list, step: Step | None, reason: str) -> BaseException | None:
    """Give values to the live nodes of a tape; returns the first data-dependent error.

    step: the memo position the tape ended at; None for nodes gathered from another thread's tape,
    all of which then keep their values.
    """
    started = clock()
    if step is None:
        slots = {id(node): slot for slot, node in enumerate(nodes)}
        plan = make_plan(nodes, slots, [node.value is None for node in nodes])
    else:
        assert isinstance(nodes, Segment)
        plan = _plan_for(nodes, step)
    if watchers or plan.compiled is None or not plan.compiled.native:
        expand(nodes)
    fresh = plan.compiled is None
    error = _run(plan, nodes)
    if fresh and step is not None:
        memo.grow(step.branch, plan.own_bytes())
    ended = 0.0
    if watchers:
        ended = clock()  # the reports that watchers print are no part of the flush
        tell(FLUSH, reason, started, (plan, nodes), ended)
    _release(plan, nodes)
    stats.flushes += 1
    stats.flush_reasons[reason] = stats.flush_reasons.get(reason, 0) + 1
    stats.operations_executed += len(plan.instructions)
    stats.operations_dropped += plan.dropped
    if config.debug >= 1:
        milliseconds = ((ended or clock()) - started) * 1e3
        print(
            f"rushlight: flush ({reason}): {len(nodes)} nodes, {len(plan.instructions)} run, "
            f"{plan.dropped} dropped, {len(plan.live)} kept, {milliseconds:.2f} ms",
            file=sys.stderr,
        )
    return error


@hot
def _run(plan: Plan, nodes: list) -> BaseException | None:
    if config.executor == "reference" and not plan.placed:
        return JUDGE.plan(plan, nodes).run(nodes)
    if plan.compiled is None and not is_compiled(plan, nodes):
        return JUDGE.plan(plan, nodes).run(nodes)
    return plan.compiled.run(nodes)


def _draw(name: str) -> Callable[..., None]:
    """A function for long random draws; see `rng/machine.py`."""
    return importlib.import_module("rushlight.engine.draws").draw(name)


@hot
def _plan_for(nodes: Segment, step: Step) -> Plan:
    # Equal counts mean an equal live set.  A leaf counts as 0: who else refers to it changes
    # nothing.  A hole counts as 0 too, so the blocks that were replayed belong to the signature.
    counts = pending_counts(nodes)
    signature = (counts, *nodes.runs)
    found = step.plans.get(signature)
    step.form.used = forms.now
    if found is not None:
        stats.plans_replayed += 1
        return found
    families = step.form.families
    # Blocks of other sizes stand for one another.
    form_signature: tuple = (counts, *[run.origin or run for run in nodes.runs])
    family = families.get(form_signature)
    if family is not None:
        plan = family.plan(nodes, sizes_of(nodes))
        _remember(step, signature, plan)
        return plan
    before_blocks = counts
    if nodes.runs:
        nodes.expand()
        counts = pending_counts(nodes)
    family = families.get((counts,))
    live = _live(nodes, counts) if family is None else family.live
    # The same operations may have been recorded one by one before: that plan serves as well.
    plan = step.plans.get(("live", *live))
    if plan is None:
        plan = _plan_of_form(nodes, step, counts, live, family)
        if 255 not in counts and 255 not in before_blocks:
            families[form_signature] = plan.family
        if step.plans:
            before = next(reversed(step.plans.values()))
            live_changes.append((before.live, plan.live, [node.step for node in nodes]))
    else:
        stats.plans_replayed += 1
    _remember(step, signature, plan)
    step.plans[("live", *live)] = plan
    return plan


def _remember(step: Step, signature: tuple, plan: Plan) -> None:
    if plan.compiled is not None:
        memo.grow(step.branch, plan.own_bytes())
    if len(step.plans) >= MOST_PLANS:
        step.plans.clear()
    step.plans[signature] = plan


def _plan_of_form(nodes: Segment, step: Step, counts: bytes, live: list[bool], family: Any) -> Plan:
    """A plan for sizes that were not planned yet; its family knows the recordings of other sizes.

    family: the one known by these counts, if any.
    """
    families = step.form.families
    if family is None:
        # Which values were there already is part of what is planned.
        key = (bytes([node.value is None for node in nodes]), *live)
        family = families.get(key)
        narrow = None
        if family is None:
            narrow = narrow_family(nodes, key, sizes_of(nodes))
        if narrow is not None:
            family, plan = narrow
            families[key] = family
        elif family is None:
            stats.plans_made += 1
            strangers.note(step)
            slots = {id(node): slot for slot, node in enumerate(nodes)}
            plan = make_plan(nodes, slots, live)
            family = Family(live, plan)
            plan.family = family
            plan.sizes = sizes_of(nodes)
            if len(families) >= MOST_FAMILIES:
                memo.code_bytes -= code_bytes_of(families)
                families.clear()
            families[key] = family
        else:
            plan = family.plan(nodes, sizes_of(nodes))
        # At its limit, a count says nothing of what is alive.
        if 255 not in counts:
            families[(counts,)] = family
        return plan
    return family.plan(nodes, sizes_of(nodes))


def _live(nodes: list, counts: bytes) -> list[bool]:
    """Which nodes something other than the tape refers to."""
    # Where a count is at its limit, nothing but the truth will do.
    exact = owners(nodes) if 255 in counts else counts
    slots = {id(node): slot for slot, node in enumerate(nodes)}
    accounted = [0] * len(nodes)
    for node in nodes:
        if node.value is None:
            for operand in node.inputs:
                slot = slots.get(id(operand))
                if slot is not None:
                    accounted[slot] += 1
    # A leaf counts as 0 among the counts, whoever refers to it.
    return [count > 0 and number > known for count, number, known in zip(counts, exact, accounted)]


@hot
def _release(plan: Plan, nodes: list) -> None:
    """Live nodes become leaves and let go of their operands; the others go with the tape, unless
    they refer to it."""
    for slot, leaf in zip(plan.live, plan.leaves):
        node = nodes[slot]
        node.step = leaf
        node.inputs = ()
    if nodes.__class__ is Segment:
        for slot in nodes.results:  # type: ignore[attr-defined]
            nodes[slot].inputs = ()
    stats.bytes_materialised += plan.live_bytes


if config.debug >= 2:
    importlib.import_module("rushlight.engine.report").set_debug(config.debug, config.debug_kernels)

Tape.execute = staticmethod(execute)
machine.make = _draw
machine.is_available = is_available
