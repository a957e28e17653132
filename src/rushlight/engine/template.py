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
from rushlight.engine.attention import attention_steps
from rushlight.engine.family import MOST_TEMPLATES, Family, misfits
from rushlight.engine.image import Image, Surface
from rushlight.engine.kernels import kernel_library
from rushlight.engine.native import NativeRun, Output
from rushlight.engine.plan import CODE_BYTES
from rushlight.engine.products import (
    offsets_of,
    product_calls,
    steps_of_calls,
    with_place_to_pack,
)
from rushlight.engine.recurrences import recurrence_steps
from rushlight.engine.sorting import sort_steps
from rushlight.engine.steps import NativeStep, step_of_nest
from rushlight.engine.takeover import Lifetimes
from rushlight.engine.template_convolutions import VaryingConvolution
from rushlight.engine.template_products import (
    CALL_COLUMNS,
    Numbers,
    VaryingProduct,
    chosen,
    flat_sizes,
    places_of,
    prepare,
    with_product_sizes,
)
from rushlight.engine.template_values import Stub, VaryingValue, sampled, sampled_step
from rushlight.lowering.attention import Attention
from rushlight.lowering.convolution import is_convolution
from rushlight.lowering.group import Nest
from rushlight.lowering.matmul import Product
from rushlight.lowering.ordering import Sort
from rushlight.lowering.products import product_source
from rushlight.lowering.recurrence import Recurrence
from rushlight.runtime.launch import EXTENT_WORD, FUNCTION_WORD, GRAIN_WORD
from rushlight.runtime.threads import get_num_threads
from rushlight.schedule.fusion import PRODUCT
from rushlight.tape.block import expand
from rushlight.tape.memo import memo
from rushlight.tape.program import OPERATION, OUTPUT, Program, Value, program_of


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
    kept = CODE_BYTES * len(plan.instructions) * len(family.templates)
    memo.code_bytes += kept - family.code_bytes
    family.code_bytes = kept
    return made


class Instance:
    """A template with sizes: what a plan of these sizes has as its compiled form.

    Reports want the loops and names of these very sizes: a plan made for them then tells.
    """

    __slots__ = ("template", "numbers", "plan", "image", "fills", "_exact")

    def __init__(self, template: Template, numbers: tuple[int, ...], plan) -> None:
        self.template = template
        self.numbers = numbers
        self.plan = plan
        self.image: Image | None = None
        self.fills = 0
        self._exact: compiled.CompiledPlan | None = None

    @property
    def only(self):
        """As of the template."""
        return self.template.only

    @property
    def native(self) -> bool:
        """As of the template."""
        return self.template.native

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


class Template(compiled.CompiledPlan):
    """filled: the instance whose numbers are in place.  version: changes with the code of a kernel.

    same, first: places of sizes that vary, and of the one each is equal to.  fixed_at, fixed_to:
    places of sizes that do not vary, and what they are.  atoms: places of one of each that varies.
    own: what it shows while no image does.
    """

    __slots__ = (
        "filled", "trace", "atoms", "same", "first", "fixed_at", "fixed_to", "function", "syms",
        "products", "workspace", "fills", "varying_outputs", "lane_base", "lane_at", "lane_numbers",
        "lane_of", "arena_slots", "product_constants", "threads",
        "briefs", "version", "convolutions", "varying_values", "concrete", "own",
    )  # fmt: skip

    def __init__(self, plan, nodes, samples: np.ndarray) -> None:
        started = clock()
        self.plan = plan
        self.filled: Instance | None = None
        self.reasons: dict[int, str] = {}
        self.trace = Trace()
        program = self._program(plan, nodes, samples)
        self.products: list[VaryingProduct] = []
        self.convolutions: list[VaryingConvolution] = []
        self.workspace: int | None = None
        self.threads = 0
        self.version = 0
        self.lower(program)
        sequence, program = self.sequence, self.program
        safe_from, lifetimes, over = self._joined(sequence, program, nodes)
        wanted = Numbers()
        rules = [item for item in sequence if not isinstance(item, NativeStep)]
        native = [item for item in sequence if isinstance(item, NativeStep)]
        entries = [sampled_step(step, wanted) for step in native]
        self.parts = self._parts(sequence, safe_from, program)
        self._note_entries(dict(zip(map(id, native), entries)), wanted)
        written = {slot for step in native for slot in step.written}
        self._place_in_lanes(program, written, lifetimes, over.in_arena, wanted)
        self.own = Surface(self)
        native_outputs = {output.slot for output in self.outputs}
        self.referred = [s for s in plan.live if s not in native_outputs and s not in self.split]
        self._note_rules(rules, program, wanted)
        only = self.parts[0] if len(self.parts) == 1 else None
        self.only = only if isinstance(only, NativeRun) and not self.referred else None
        self.native = self.only is not None
        constants: list[int] = []
        flat = [places_of(v.product, wanted, constants) for v in self.products]
        flat += [v.places(wanted, constants) for v in self.convolutions]
        self.product_constants = tuple(constants)
        placed: list[Any] = [*self.products, *self.convolutions]
        for varying, places in zip(placed, flat):
            # Constants stand behind all numbers.
            count = len(wanted.wanted)
            varying.sizes = itemgetter(*[p if p >= 0 else count + ~p for p in places])
        self.function = self.trace.function(self.syms, wanted.wanted)
        if not rules:
            # Reports ask plans made for their sizes.
            self.schedule = None  # type: ignore[assignment]
        del self.sequence, self.program
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
            stubs.append(Stub(node, iter(listed[start : start + count])))
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
            elif isinstance(item, Attention):
                steps += attention_steps(item, program)
            elif isinstance(item, Sort):
                steps += sort_steps(item, program)
            else:
                raise Untraceable(f"{type(item).__name__} is made for its sizes")
        return steps

    def _steps_of(self, group, position: int) -> list | None:
        if group.kind == PRODUCT:
            (member,) = group.members.values()
            source = product_source(member.value, self.program)
            if source is not None and is_convolution(source):
                made = VaryingConvolution(member.value, self.program, sampled, self.constants)
                self.convolutions.append(made)
                return made.steps
        return super()._steps_of(group, position)

    def _product_steps(self, product: Product, program) -> list[NativeStep]:
        # One row has a kernel of its own, which reads A along k; one column another order of both.
        plain = product.dtype in ("float32", "float64") and not product.stored
        for size in (product.n,) if plain and product.a_strides[1] == 1 else (product.m, product.n):
            if size.__class__ is Sym:
                size.trace.asked(size, 1, "==", False)
        prepare(product)
        valued = with_product_sizes(product, [sampled(size) for size in flat_sizes(product)])
        made = product_calls(valued)
        table = program.new_value((1,), int64)
        self.constants[table.slot] = offsets_of(valued)
        calls = made.calls
        workspace = None
        if made.workspace:
            if self.workspace is None:
                self.workspace = program.new_value((1,), dtype_by_name("float64")).slot
            workspace = self.workspace
            calls = with_place_to_pack(calls)
        steps = steps_of_calls(valued, calls, table.slot, workspace)
        self.products.append(VaryingProduct(product, steps, table.slot))
        return steps

    def _note_entries(self, entries: dict[int, tuple], wanted: Numbers) -> None:
        """Where the numbers go, in each native part."""
        self.fills = []
        self.briefs = []
        places: dict[int, tuple[int, int, int]] = {}
        for number, part in enumerate(self.parts):
            if not isinstance(part, NativeRun):
                continue
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
        varied: list[Any] = [*self.products, *self.convolutions]
        for varying in varied:
            # Its calls follow one another.
            number, varying.row, varying.start = places[id(varying.steps[0])]
            varying.run = self.parts[number]

    def _note_rules(self, rules: list[Value], program: Program, wanted: Numbers) -> None:
        """What reference rules compute, and what they read."""
        slots = {slot for value in rules for slot in (value.slot, *value.inputs)}
        slots |= {self.schedule.memory(slot) for slot in slots}
        self.varying_values = [VaryingValue(program.values[s], wanted) for s in sorted(slots)]
        self.concrete: dict[int, Value] = {}

    def _value(self, slot: int) -> Value:
        return self.concrete[slot]

    def _refer(self, value, nodes, arrays, addresses) -> bool:
        return super()._refer(self.concrete[value.slot], nodes, arrays, addresses)

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
        # What convolutions need for themselves lies where the workspace of products does.
        apart = {slot for varying in self.convolutions for slot in varying.own}
        first, last = lifetimes.first, lifetimes.last
        for slot in sorted(first, key=first.__getitem__):
            value = program.values[slot]
            if slot in self.constants or slot == self.workspace or slot in apart:
                continue
            if slot not in written:
                if value.source not in (OPERATION, OUTPUT):
                    self.read.append(slot)
            elif value.live:
                output = Output(slot, sampled(tuple(value.shape)), value.dtype.numpy)
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
        numbers = self.function(*sizes[self.atoms].tolist())
        if numbers is not None and self.convolutions:
            everything = numbers + self.product_constants
            if any([varying.found(everything) is None for varying in self.convolutions]):
                return None
        return numbers

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
        atoms = sizes[self.atoms].tolist()
        numbers = self.function(*atoms)
        if numbers is not None:
            return "a convolution was computed by certain calls", "it takes others"
        return self.trace.broken(self.syms, atoms)

    def fill(self, instance: Instance) -> None:
        """Put the numbers of an instance where the machine code reads them."""
        self.filled = None  # an interrupt may end this midway
        self.base = -1
        self.plan = instance.plan
        image = instance.image
        if image is not None:
            if image.version == self.version and image.threads == get_num_threads():
                image.show(self)
                self.filled = instance
                return
            instance.image = None
        self.own.show(self)
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
        offsets = (ends - lanes)[self.lane_of]
        addresses[self.arena_slots] = offsets + base
        if self.workspace is not None:
            addresses[self.workspace] = base + total
        self._place_convolutions(base + total)
        for output, dims in self.varying_outputs:
            shape = tuple([~d if d < 0 else numbers[d] for d in dims])
            output.reshape(shape)
        for varying in self.varying_values:
            value = varying.at(numbers)
            self.concrete[value.slot] = value
            self.shapes[value.slot] = (value.shape, value.dtype.numpy)
        self.base = base
        self.filled = instance
        instance.fills += 1
        # Sizes that come again are put in place as a whole; where better code may still be made for
        # a product, it is chosen anew each time.
        settled = not any([v.calls.owes for v in self.products])
        if instance.fills > 1 and settled and not self.convolutions and not self.varying_values:
            instance.image = Image(self, offsets, total)

    def image_bytes(self) -> int:
        """About what an instance of sizes that come again takes more."""
        words = len(self.own.addresses.array) + len(self.arena_slots)
        for _, numbers, native in self.own.parts:
            words += len(numbers.array) + native.own_words()
        spares = Output.LARGEST_SPARE * Output.MOST_SPARES * len(self.varying_outputs)
        return 8 * words + spares

    def _speed_up(self, numbers: tuple[int, ...]) -> None:
        """Kernels that were brief for lack of elements get faster code once they have many."""
        kept = []
        for entry in self.briefs:
            elements, part, row, step = entry
            if numbers[elements] <= native_steps.FEW_ELEMENTS:
                kept.append(entry)
                continue
            assert step.brief is not None
            step.library, step.function = kernel_library(step.brief.kernel)
            self.version += 1
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
        for convolution in self.convolutions:
            made = convolution.found(everything)
            assert made is not None  # these sizes were asked for before
            convolution.calls = made  # its code stays loaded as long as somebody refers to it
            words, rows = convolution.run.words.array, convolution.run.native.rows
            start, row = convolution.start, convolution.row
            words[start : start + len(made.words)] = made.words
            rows[row : row + len(made.rows), CALL_COLUMNS] = made.rows
            for slot, table in made.tables:
                self.addresses.integers[convolution.slots[slot]] = table.ctypes.data
            most = max(most, made.workspace)
        self.threads = threads
        return most

    def _place_convolutions(self, base: int) -> None:
        for varying in self.convolutions:
            for slot, offset in varying.calls.offsets:
                self.addresses.integers[varying.slots[slot]] = base + offset

    def _choose(self, varying: VaryingProduct, sizes: tuple[int, ...], threads: int) -> None:
        """Choose how a product of these sizes is computed."""
        varying.key = None  # an interrupt may end this midway
        steps = varying.steps
        found = chosen(varying.product, sizes, (len(steps), len(steps[0].words)), threads)
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
        self.most = sampled(size)
        self.last = last


def _lane_for(lanes: list[_Lane], size, first: int, last: int) -> int:
    """The lane of a value that lives so long: one of values as large, else one that grows least."""
    value = sampled(size)
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
