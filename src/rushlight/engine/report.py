"""What the debug levels print: kernels with their times, tapes and groups, generated code.

In: events.  Out: lines on the standard error, for the levels 2 to 6 of `RUSHLIGHT_DEBUG`; level 1
is printed where it happens.  A plan is shown at its first flush while the level is set.  Level 9.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

from rushlight.base.config import config
from rushlight.base.observe import FLUSH, KERNEL, REFERENCE, Event, watchers
from rushlight.engine.describe import facts_of, group_name, llvm_text, loop_nest_text
from rushlight.engine.peaks import peaks
from rushlight.engine.steps import NativeStep
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import assembly_of
from rushlight.schedule.pretty import print_group, print_program
from rushlight.simplify.rewrite import summary
from rushlight.tape.program import program_of

TIMES, GROUPS, LOOP_NESTS, LLVM, ASSEMBLY = 2, 3, 4, 5, 6


class Report:
    """Prints what it is told, as the settings say."""

    def __init__(self) -> None:
        self.pending: list[Event] = []
        self.shown: weakref.WeakSet = weakref.WeakSet()

    def __call__(self, event: Event) -> None:
        if event.kind in (KERNEL, REFERENCE):
            self.pending.append(event)
        elif event.kind == FLUSH:
            pending, self.pending = self.pending, []
            plan, nodes = event.detail
            if config.debug >= GROUPS:
                self._show_plan(plan, nodes)
            for ran in pending:
                _print_run(ran)

    def _show_plan(self, plan: Any, nodes: list) -> None:
        compiled = plan.compiled
        if compiled is None:  # the reference executor has neither groups nor kernels
            if not config.debug_kernels:
                _print(print_program(program_of(plan, nodes)))
            return
        if compiled in self.shown:
            return
        self.shown.add(compiled)
        print_plan(compiled)


def print_plan(compiled: Any) -> None:
    """A compiled plan at the level that is set."""
    steps = chosen_steps(compiled)
    if config.debug_kernels and not steps:
        return
    _print(plan_text(compiled, config.debug_kernels))
    texts: dict[str, str] = {}
    for step in steps:
        name = facts_of(compiled, step).name
        if config.debug >= LOOP_NESTS:
            texts[f"{name}: loop nest"] = loop_nest_text(step)
        if config.debug >= LLVM:
            texts[f"{name}: LLVM IR"] = llvm_text(step)
        if config.debug >= ASSEMBLY:
            texts[f"{name}: assembly"] = assembly_of(llvm_text(step), host_target())
    printed: dict[str, str] = {}
    for title, text in texts.items():
        kind = title.rpartition(": ")[2]
        known = printed.get(kind + text)
        printed.setdefault(kind + text, title)
        _print(f"{title}\n{text}" if known is None else f"{title}: as {known.partition(':')[0]}")


def chosen_steps(compiled: Any, kernels: str | None = None) -> list[NativeStep]:
    """The native steps whose kernels' names contain the filter."""
    wanted = config.debug_kernels if kernels is None else kernels
    return [s for s in compiled.steps() if wanted in facts_of(compiled, s).name]


def plans_in(compiled: Any) -> list[tuple[str, Any]]:
    """(device, plan) of each stretch of a plan over several devices; a plan of the CPU is its own.

    The CPU's is named "".
    """
    placed = getattr(compiled, "placed", None)
    if placed is None:
        return [("", compiled)]
    return [("" if place.type == "cpu" else str(place), plan) for place, plan in placed]


def plan_text(compiled: Any, kernels: str = "", *, lines: bool = True) -> str:
    """The tape and the groups; with a filter, only the groups whose kernels' names contain it."""
    if hasattr(compiled, "placed"):
        found = []
        for place, plan in plans_in(compiled):
            name = f"{place} ({plan.backend.facts.name})" if place else "the CPU"
            found += [f"on {name}:", plan_text(plan, kernels, lines=lines)]
        return "\n".join(found)
    schedule, names = compiled.schedule, group_names(compiled)
    parts = [] if kernels else ["tape:", print_program(schedule.program, lines=lines)]
    if compiled.rewrites and not kernels:
        parts += ["simplified before:", *(f"  {row}" for row in summary(compiled.rewrites))]
    for position, group in enumerate(schedule.groups):
        name = names[position]
        if kernels not in name:
            continue
        text = print_group(schedule, position, name)
        reasons = [compiled.reasons[slot] for slot in group.members if slot in compiled.reasons]
        parts += [text, *(f"  by its reference rule: {reason}" for reason in reasons)]
    return "\n".join(parts)


def group_text(compiled: Any, step: NativeStep) -> str:
    """The group that a step is of."""
    if step.group < 0:
        return "a step of the whole plan"
    return print_group(compiled.schedule, step.group, group_names(compiled)[step.group])


def group_names(compiled: Any) -> list[str]:
    """The names of all groups: those of their kernels, without `pack_` and `_part`."""
    sizes = {step.group: step.sizes for step in compiled.steps()}
    groups = range(len(compiled.schedule.groups))
    return [group_name(compiled.schedule, g, sizes.get(g, ())) for g in groups]


def _print_run(event: Event) -> None:
    if event.kind == REFERENCE:
        if config.debug_kernels in event.name:
            _print(f"{event.name:44} {_time(event.seconds)}  by its reference rule")
        return
    compiled, step = event.detail
    facts = facts_of(compiled, step)
    if config.debug_kernels not in facts.name:
        return
    _print(f"{facts.name:44} {_time(event.seconds)} {speed_text(facts, event.seconds)}"
           f"  {facts.loops}")  # fmt: skip


def speed_text(facts: Any, seconds: float) -> str:
    """GFLOP/s, GB/s and the share of what this machine can do."""
    share, bound = peaks().share(facts.flops, facts.moved, seconds, facts.itemsize)
    return (
        f"{facts.flops / seconds / 1e9:7.1f} GFLOP/s {facts.moved / seconds / 1e9:6.1f} GB/s "
        f"{share:4.0%} of {bound}"
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:9.1f} us"


def _print(text: str) -> None:
    for line in text.rstrip("\n").split("\n"):
        print(f"rushlight: {line}", file=sys.stderr)


_report = Report()


def set_debug(level: int, kernels: str = "") -> tuple[int, str]:
    """Show from now on what `level` says, of kernels with `kernels` in their names.

    Returns the settings before.
    """
    before = (config.debug, config.debug_kernels)
    config.debug, config.debug_kernels = level, kernels
    if _report in watchers:
        watchers.remove(_report)
    if level >= TIMES:
        _report.shown.clear()
        watchers.append(_report)
    return before
