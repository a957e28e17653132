"""Template: a compiled plan whose sizes are data.

It is made as any compiled plan is, by the same passes, from a program in which the sizes that vary
are Syms (`base/symbolic.py`): what the passes compute of them becomes one function of sizes, and
what they ask about them its guards.  For other sizes nothing is scheduled, lowered or compiled: the
function is called, and its numbers are put where the machine code reads them.  What depends on
sizes by nature is chosen for each of them anew, by the same rules as in plans made for them: the
core, tiles and panels of a matrix product.  Offsets in the arena follow from sizes too: values
whose lifetimes do not meet share a lane, as wide as the widest of them.

A template whose passes need a size itself is refused (`Untraceable`), and plans are then made for
each list of sizes as before.  Level 9.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np

from rushlight.base.dtypes import dtype_by_name, int64
from rushlight.base.hot import hot
from rushlight.base.observe import PLAN, clock, tell, watchers
from rushlight.base.stats import stats
from rushlight.base.symbolic import Sym, Trace, Untraceable, largest
from rushlight.engine import compiled
from rushlight.engine import steps as native_steps
from rushlight.engine.arena import ALIGNMENT, ARENA
from rushlight.engine.family import MOST_TEMPLATES, Family, misfits
from rushlight.engine.kernels import kernel_library
from rushlight.engine.native import NativeRun, Output
from rushlight.engine.plan import CODE_BYTES
from rushlight.engine.products import (
    offsets_of,
    product_calls,
    steps_of_calls,
)
from rushlight.engine.recurrences import recurrence_steps
from rushlight.engine.steps import NativeStep, step_of_nest
from rushlight.engine.takeover import Lifetimes
from rushlight.engine.template_products import (
    CALL_COLUMNS,
    Numbers,
    VaryingProduct,
    chosen,
    flat_sizes,
    no_call,
    places_of,
    prepare,
    with_product_sizes,
)
from rushlight.lowering.group import Nest
from rushlight.lowering.matmul import Product
from rushlight.lowering.recurrence import Recurrence
from rushlight.runtime.launch import EXTENT_WORD, FUNCTION_WORD, GRAIN_WORD
from rushlight.runtime.threads import get_num_threads
from rushlight.tape.block import expand
from rushlight.tape.form import with_sizes, without_sizes
from rushlight.tape.memo import memo
from rushlight.tape.program import OPERATION, OUTPUT, Program, program_of


def compiled_plan(plan, nodes: list) -> Any:
    """What runs a plan: a template with its sizes where there is one, else machine code for it."""
    family: Family | None = plan.family
    if family is None or plan.sizes is None or watchers:
        return compiled.CompiledPlan(plan, nodes)
    sizes: np.ndarray = plan.sizes
    if family.samples:
        stats.plans_made += 1
        if family.templates:
            misfits.append(family.templates[0].why_not(sizes))
        elif family.refusal:
            misfits.append(("sizes cannot be data", family.refusal))
    made = None
    if family.varies(sizes) and not family.refusal:
        made = _template_of(plan, nodes, family)
    family.note(sizes)
    if made is None:
        return compiled.CompiledPlan(plan, nodes)
    numbers = made.numbers_for(sizes)
    assert numbers is not None  # it was traced with these sizes
    return made.instance(numbers, plan)


def _template_of(plan, nodes: list, family: Family) -> Template | None:
    """A template of a family for these sizes and those it knows; None if it refuses."""
    samples = np.array([*family.samples, plan.sizes])
    try:
        made = Template(plan, nodes, samples)
    except (TypeError, AttributeError) as error:
        # A size itself was wanted: Syms are no ints.
        family.refusal = " ".join(str(error).split()) or type(error).__name__
        return None
    family.templates.insert(0, made)
    del family.templates[MOST_TEMPLATES:]
    memo.code_bytes += CODE_BYTES * len(plan.instructions)
    return made


class Instance:
    """A template with sizes: what a plan of these sizes has as its compiled form.

    Reports want the loops and names of these very sizes: a plan made for them then tells.
    """

    __slots__ = ("template", "numbers", "plan", "_exact")

    def __init__(self, template: Template, numbers: tuple[int, ...], plan) -> None:
        self.template = template
        self.numbers = numbers
        self.plan = plan
        self._exact: compiled.CompiledPlan | None = None

    @property
    def only(self):
        """As of the template."""
        return self.template.only

    def run(self, nodes) -> BaseException | None:
        """Execute; live nodes get values.  Returns the first data-dependent error."""
        if watchers:
            if self._exact is None:
                expand(nodes)
                self._exact = compiled.CompiledPlan(self.plan, nodes)
            return self._exact.run(nodes)
        template = self.template
        if template.filled is not self:
            template.fill(self)
        return template.run(nodes)

    def __getattr__(self, name: str):
        exact = self._exact
        return getattr(self.template if exact is None else exact, name)


class _Entries:
    """Words of an array that are numbers: their indices, and the places of the numbers."""

    def __init__(self) -> None:
        self.at: list = []
        self.numbers: list[int] = []

    def add(self, at, number: int) -> None:
        self.at.append(at)
        self.numbers.append(number)

    def done(self) -> tuple[np.ndarray, np.ndarray]:
        """Both as arrays."""
        return np.array(self.at, np.intp), np.array(self.numbers, np.intp)


def _valued(value):
    """A nest of tuples with Syms, as it is in the last sample."""
    if value.__class__ is Sym:
        return value.value
    if value.__class__ is tuple:
        return tuple([_valued(part) for part in value])
    return value


class Template(compiled.CompiledPlan):
    """filled: the instance whose numbers are in place.

    same, first: places of sizes that vary, and of the one each is equal to.  fixed_at, fixed_to:
    places of sizes that do not vary, and what they are.  atoms: places of one of each that varies.
    """

    __slots__ = (
        "filled", "trace", "atoms", "same", "first", "fixed_at", "fixed_to", "function", "syms",
        "products", "workspace", "fills", "varying_outputs", "lane_base", "lane_at", "lane_numbers",
        "lane_of", "arena_slots", "product_constants", "threads",
        "briefs",
    )  # fmt: skip

    def __init__(self, plan, nodes, samples: np.ndarray) -> None:
        started = clock()
        self.plan = plan
        self.filled: Instance | None = None
        self.reasons: dict[int, str] = {}
        self.trace = Trace()
        program = self._program(plan, nodes, samples)
        self.products: list[VaryingProduct] = []
        self.workspace: int | None = None
        self.threads = 0
        sequence, safe_from, program = self._scheduled(program)
        for item in sequence:
            if not isinstance(item, NativeStep):
                raise Untraceable(f"{item.primitive} has no kernel")
        lifetimes, over = self._joined(sequence, safe_from, program)
        wanted = Numbers()
        entries = [_valued_step(step, wanted) for step in sequence]
        self.parts = self._parts(sequence, safe_from, program)
        self._note_entries(dict(zip(map(id, sequence), entries)), wanted)
        written = {slot for step in sequence for slot in step.written}
        self._place_in_lanes(program, written, lifetimes, over.in_arena, wanted)
        native_outputs = {output.slot for output in self.outputs}
        self.referred = [s for s in plan.live if s not in native_outputs and s not in self.split]
        if self.referred:
            raise Untraceable("a value that no kernel writes is kept")
        only = self.parts[0] if len(self.parts) == 1 else None
        self.only = only if isinstance(only, NativeRun) else None
        constants: list[int] = []
        flat = [places_of(v.product, wanted, constants) for v in self.products]
        self.product_constants = tuple(constants)
        for varying, places in zip(self.products, flat):
            # Constants stand behind all numbers.
            count = len(wanted.wanted)
            varying.sizes = itemgetter(*[p if p >= 0 else count + ~p for p in places])
        self.function = self.trace.function(self.syms, wanted.wanted)
        # Reports ask plans made for their sizes.
        self.schedule = None  # type: ignore[assignment]
        for slot, array in self.constants.items():
            self.addresses.integers[slot] = array.ctypes.data
        stats.compile_seconds += clock() - started
        if watchers:
            tell(PLAN, "compile", started, self)

    # ---- making it -----------------------------------------------------------------------------

    def _program(self, plan, nodes, samples: np.ndarray) -> Program:
        """The program with Syms for the sizes that vary."""
        columns, inverse = np.unique(samples, axis=1, return_inverse=True)
        inverse = inverse.reshape(-1)
        varies = (columns != columns[0]).any(axis=0)
        first = np.full(columns.shape[1], -1)
        first[inverse[::-1]] = np.arange(len(inverse))[::-1]
        syms = [
            self.trace.size(tuple(column.tolist())) if varying else int(column[0])
            for column, varying in zip(columns.T, varies)
        ]
        places = np.arange(len(inverse))
        changing = varies[inverse]
        self.same = places[changing]
        self.first = first[inverse[self.same]]
        self.fixed_at = places[~changing]
        self.fixed_to = samples[-1][self.fixed_at]
        self.syms = [s for s in syms if s.__class__ is Sym]
        self.atoms = np.array([first[c] for c, s in enumerate(syms) if s.__class__ is Sym], np.intp)
        listed = [syms[c] for c in inverse.tolist()]
        stubs, start = [], 0
        for node in nodes:
            count = len(node.step.sizes)
            stubs.append(_Stub(node, iter(listed[start : start + count])))
            start += count
        for place, stub in enumerate(stubs):
            if stub.outputs:
                stub.outputs = tuple(stubs[place + 1 : place + 1 + len(stub.outputs)])
        return program_of(plan, stubs)

    def _steps_of_items(self, items: list, program) -> list[NativeStep]:
        steps: list[NativeStep] = []
        for item in items:
            if isinstance(item, Nest):
                steps.append(step_of_nest(item))
            elif isinstance(item, Product):
                steps += self._product_steps(item, program)
            elif isinstance(item, Recurrence):
                steps += recurrence_steps(item, program)
            else:
                raise Untraceable(f"{type(item).__name__} is made for its sizes")
        return steps

    def _product_steps(self, product: Product, program) -> list[NativeStep]:
        for size in (product.m, product.n):
            if size.__class__ is Sym:
                size.trace.asked(size, 1, "==", False)  # one row has a kernel of its own
        prepare(product)
        valued = with_product_sizes(product, [_valued(size) for size in flat_sizes(product)])
        made = product_calls(valued)
        table = program.new_value((1,), int64)
        self.constants[table.slot] = offsets_of(valued)
        calls = made.calls
        workspace = None
        if made.workspace:
            if self.workspace is None:
                self.workspace = program.new_value((1,), dtype_by_name("float64")).slot
            workspace = self.workspace
            if len(calls) == 1:
                calls = [no_call(calls[0].words), *calls]
        steps = steps_of_calls(valued, calls, table.slot, workspace)
        self.products.append(VaryingProduct(product, steps, table.slot))
        return steps

    def _note_entries(self, entries: dict[int, tuple], wanted: Numbers) -> None:
        """Where the numbers go, in each native part."""
        self.fills = []
        self.briefs = []
        places: dict[int, tuple[int, int, int]] = {}
        for number, part in enumerate(self.parts):
            words, rows = _Entries(), _Entries()
            start = 0
            for row, step in enumerate(part.steps):
                if id(step) in entries:
                    word_entries, extent, grain = entries[id(step)]
                    for place, sym in word_entries:
                        words.add(start + place, wanted.place(sym))
                    if extent is not None:
                        rows.add((row, EXTENT_WORD), wanted.place(extent))
                    if grain is not None:
                        rows.add((row, GRAIN_WORD), wanted.place(grain))
                if step.brief is not None:
                    self.briefs.append((wanted.place(step.brief.elements), part, row, step))
                places[id(step)] = (number, row, start)
                start += len(step.words)
            at, numbers = rows.done()
            at = at.reshape(-1, 2)
            self.fills.append((part, *words.done(), at[:, 0], at[:, 1], numbers))
        for varying in self.products:
            # Its calls follow one another.
            number, varying.row, varying.start = places[id(varying.steps[0])]
            varying.run = self.parts[number]

    def _place_in_lanes(self, program, written, lifetimes: Lifetimes, over, wanted) -> None:
        """Lanes of the arena, and the outputs.

        over: slot of a value -> slot of the buffer that it may be written over.
        """
        self.outputs = []
        self.read = []
        self.shapes = {}
        self.varying_outputs = []
        lanes: list[_Lane] = []
        lane_of: dict[int, int] = {}
        first, last = lifetimes.first, lifetimes.last
        for slot in sorted(first, key=first.__getitem__):
            value = program.values[slot]
            if slot in self.constants or slot == self.workspace:
                continue
            if slot not in written:
                if value.source not in (OPERATION, OUTPUT):
                    self.read.append(slot)
            elif value.live:
                output = Output(slot, _valued(tuple(value.shape)), value.dtype.numpy)
                self.outputs.append(output)
                if any(n.__class__ is Sym for n in value.shape):
                    dims = [wanted.place(n) if n.__class__ is Sym else ~n for n in value.shape]
                    self.varying_outputs.append((output, dims))
            elif over.get(slot) in lane_of:
                lane = lane_of[slot] = lane_of[over[slot]]
                lanes[lane].last = last[slot]
            else:
                size = value.numel * value.dtype.itemsize
                lane_of[slot] = _lane_for(lanes, size, first[slot], last[slot])
        sizes = [largest(lane.sizes) for lane in lanes]
        self.lane_base = np.array([0 if s.__class__ is Sym else s for s in sizes], np.int64)
        varying = [(i, wanted.place(s)) for i, s in enumerate(sizes) if s.__class__ is Sym]
        self.lane_at = np.array([i for i, _ in varying], np.intp)
        self.lane_numbers = np.array([n for _, n in varying], np.intp)
        self.arena_slots = np.array(list(lane_of), np.intp)
        self.lane_of = np.array(list(lane_of.values()), np.intp)
        self.fixed = []
        self.arena_bytes = 0

    # ---- using it ------------------------------------------------------------------------------

    def numbers_for(self, sizes: np.ndarray) -> tuple[int, ...] | None:
        """The numbers for a list of sizes; None if it is not one of those this serves."""
        if not (sizes[self.fixed_at] == self.fixed_to).all():
            return None
        if not (sizes[self.same] == sizes[self.first]).all():
            return None
        return self.function(*sizes[self.atoms].tolist())

    def instance(self, numbers: tuple[int, ...], plan) -> Instance:
        """What a plan of sizes with these numbers has as its compiled form."""
        return Instance(self, numbers, plan)

    def why_not(self, sizes: np.ndarray) -> tuple[str, str]:
        """What keeps it from serving a list of sizes: what held before, and what is now."""
        known = sizes[self.fixed_at]
        wrong = np.flatnonzero(known != self.fixed_to)
        if len(wrong):
            place = wrong[0]
            return f"a size was always {self.fixed_to[place]}", f"it is {known[place]}"
        wrong = np.flatnonzero(sizes[self.same] != sizes[self.first])
        if len(wrong):
            place = wrong[0]
            one, other = sizes[self.first[place]], sizes[self.same[place]]
            return "two sizes were always equal", f"they are {one} and {other}"
        return self.trace.broken(self.syms, sizes[self.atoms].tolist())

    def fill(self, instance: Instance) -> None:
        """Put the numbers of an instance where the machine code reads them."""
        self.filled = None  # an interrupt may end this midway
        self.base = -1
        self.plan = instance.plan
        numbers = instance.numbers
        values = np.array(numbers, np.int64)
        for part, at, places, rows, columns, row_numbers in self.fills:
            part.words.array[at] = values[places]
            part.native.rows[rows, columns] = values[row_numbers]
        if self.briefs:
            self._speed_up(numbers)
        workspace = self._fill_products(numbers)
        lanes = self.lane_base.copy()
        lanes[self.lane_at] = values[self.lane_numbers]
        lanes = np.maximum(-(-lanes // ALIGNMENT), 1) * ALIGNMENT
        ends = np.cumsum(lanes)
        total = int(ends[-1]) if len(ends) else 0
        self.arena_bytes = total + workspace
        base = ARENA.at_least(self.arena_bytes)
        addresses = self.addresses.array
        addresses[self.arena_slots] = (ends - lanes)[self.lane_of] + base
        if self.workspace is not None:
            addresses[self.workspace] = base + total
        for output, dims in self.varying_outputs:
            shape = tuple([~d if d < 0 else numbers[d] for d in dims])
            output.reshape(shape)
        self.base = base
        self.filled = instance

    def _speed_up(self, numbers: tuple[int, ...]) -> None:
        """Kernels that were brief for lack of elements get faster code once they have many."""
        kept = []
        for entry in self.briefs:
            elements, part, row, step = entry
            if numbers[elements] <= native_steps.FEW_ELEMENTS:
                kept.append(entry)
                continue
            step.library, step.function = kernel_library(step.brief.kernel)
            part.native.rows[row, FUNCTION_WORD] = step.library[step.function]
        self.briefs = kept

    def _fill_products(self, numbers: tuple[int, ...]) -> int:
        """Choose how each product is computed; returns the bytes of workspace that takes."""
        most = 0
        everything = numbers + self.product_constants
        threads = get_num_threads()
        for varying in self.products:
            sizes = varying.sizes(everything)
            if sizes != varying.key or threads != self.threads:
                self._choose(varying, sizes, threads)
            most = max(most, varying.calls.workspace)
        self.threads = threads
        return most

    def _choose(self, varying: VaryingProduct, sizes: tuple[int, ...], threads: int) -> None:
        """Choose how a product of these sizes is computed."""
        varying.key = None  # an interrupt may end this midway
        found = chosen(varying.product, sizes, len(varying.steps), threads)
        words, rows = varying.run.words.array, varying.run.native.rows
        words[varying.start : varying.start + len(found.words)] = found.words
        rows[varying.row : varying.row + len(found.rows), CALL_COLUMNS] = found.rows
        if found.offsets is not None:
            self.addresses.integers[varying.table] = found.offsets_address
        varying.calls = found  # its code stays loaded as long as somebody refers to it
        varying.key = sizes

    @hot
    def fix_addresses(self) -> None:
        """Nothing to do unless the arena has moved since the numbers were put in their places."""
        if ARENA.at_least(self.arena_bytes) != self.base:
            assert self.filled is not None
            self.fill(self.filled)


class _Lane:
    """Values that follow one another in the same memory.  last: when the last one ends."""

    __slots__ = ("sizes", "most", "last")

    def __init__(self, size, last: int) -> None:
        self.sizes = [size]
        self.most = _valued(size)
        self.last = last


def _lane_for(lanes: list[_Lane], size, first: int, last: int) -> int:
    """The lane of a value that lives so long: one of values as large, else one that grows least."""
    value = _valued(size)
    best, cost = -1, None
    for number, lane in enumerate(lanes):
        if lane.last >= first:
            continue
        grows = max(0, value - lane.most)
        wasted = max(0, lane.most - value)
        this = (grows, wasted)
        if cost is None or this < cost:
            best, cost = number, this
    if best < 0:
        lanes.append(_Lane(size, last))
        return len(lanes) - 1
    lane = lanes[best]
    lane.sizes.append(size)
    lane.most = max(lane.most, value)
    lane.last = last
    return best


class _Stub:
    """Stands for a node whose sizes are Syms, and for its step."""

    __slots__ = ("step", "primitive", "params", "shape", "dtype", "line", "outputs", "sizes")

    def __init__(self, node, sizes) -> None:
        step = node.step
        self.step = self
        self.primitive = step.primitive
        self.params = step.params
        sized = getattr(step.primitive, "sized", ())
        if sized:
            self.params = tuple(
                [
                    with_sizes(without_sizes((p,), []), sizes)[0] if place in sized else p
                    for place, p in enumerate(step.params)
                ]
            )
        self.shape = with_sizes(without_sizes(step.shape, []), sizes)
        self.dtype = step.dtype
        self.line = step.line
        self.outputs = getattr(step, "outputs", ())


def _valued_step(step: NativeStep, wanted: Numbers) -> tuple:
    """Give a step the numbers of the last sample; returns its Syms: words, extent, grain."""
    entries: list[tuple[int, Sym]] = []
    for place, (number, slot, floating) in enumerate(step.words):
        if number.__class__ is Sym:
            entries.append((place, number))
            step.words[place] = (number.value, slot, floating)
    extent = step.extent if step.extent.__class__ is Sym else None
    grain = step.grain if step.grain.__class__ is Sym else None
    step.extent, step.grain = _valued(step.extent), _valued(step.grain)
    return entries, extent, grain
