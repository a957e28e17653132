"""The memo: a trie over recorded operations, each step expecting the key recorded next.

A step's key is (primitive, operand slots…, parameters); a leaf's key is its specification.
Following the trie replaces shape inference, checks and source-line capture: they ran when the step
was made. Leaf values and Python numbers are not part of any key (numbers enter as scalar leaves),
so that the same code on new data follows the same path.  Level 1.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict, deque
from types import CodeType, FrameType
from typing import Any, NamedTuple

from rushlight.base.collecting import give_back, leave_out
from rushlight.base.config import config
from rushlight.base.device import CPU
from rushlight.base.hot import hot, running_function
from rushlight.base.orders import Order
from rushlight.base.stats import stats
from rushlight.tape.form import Form, Forms, without_sizes
from rushlight.tape.primitive import Primitive

_PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_SPELLINGS = _PACKAGE_FOLDER + "ops" + os.sep
_SPELLINGS_PACKAGE = "rushlight.ops."
_DECORATORS = _SPELLINGS + "spelling.py"
_OPTIMIZERS = _PACKAGE_FOLDER + "optim" + os.sep
# Begins the reason to cut where the leaves of a segment take much memory.
BYTE_BUDGET = "byte budget"
CO_NESTED = 0x10  # as in `inspect`, which is slow to import


class LeafKind:
    """Stands where a primitive would in the step of a leaf: `buffer` or `scalar`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


BUFFER = LeafKind("buffer")
SCALAR = LeafKind("scalar")


class Operand:
    """Shape, dtype, device and order of an operand whose value was not kept."""

    __slots__ = ("shape", "dtype", "device", "order")

    def __init__(self, shape, dtype, device, order: Order | None) -> None:
        self.order = order
        self.shape = shape
        self.dtype = dtype
        self.device = device


@hot
class Step:
    """One position of the trie; immutable in what it says about its operation.

    cut: reason to flush right after this operation, or None.
    leaf_bytes: of the leaves of the segment so far.
    saves: for each mask of operands that need a gradient, which values backward reads.
    operands: what has the shape, dtype and device of each operand: its step, or a leaf's
        specification.
    plans: live set at a flush that ended here -> plan.
    order: how the result's axes lie in memory as the program sees it; None: row-major.
    shown: strides last seen to be of that order.
    blocks: what may be replayed from here on, by the caller's key (`tape/block.py`); None: nothing.
    next: the one taken last of the steps that follow.  children: by key, all of them, once there
        was a second: most steps have one, and a dictionary for each would be a quarter of what the
        garbage collector has to look at.
    seen: keys that were recorded next once, and not kept: sizes that may never come again.
    branch: the part of the trie it is kept in, None if it is kept nowhere.
    form: of the recording so far; sizes: those that this operation adds (`tape/form.py`).
    """

    __slots__ = (
        "key", "primitive", "params", "shape", "dtype", "device", "operands", "outputs",
        "vjp", "saves", "cut", "next", "children", "plans", "uses", "parent", "first", "depth",
        "leaf_bytes", "line", "blocks", "form", "sizes", "seen", "branch", "order",
        "shown",
    )  # fmt: skip

    def __init__(self, key, parent: Step | None, primitive, params, shape, dtype, device) -> None:
        self.key = key
        self.primitive = primitive
        self.params = params
        self.shape = shape
        self.dtype = dtype
        self.device = device
        self.operands: tuple[Any, ...] = ()
        self.outputs: tuple[Step, ...] = ()
        self.vjp: Any = None
        self.saves: Any = None
        self.cut: str | None = None
        self.next: Step = NO_STEP
        self.children: dict[Any, Step] = NO_CHILDREN
        self.plans: dict[Any, Any] = {}
        self.uses: list[int] | None = None
        self.parent = parent
        self.first: Step | None = None
        self.depth = 0
        self.leaf_bytes = 0
        self.line: Line | None = None
        self.blocks: dict[Any, Any] | None = None
        self.form: Form = forms.root
        self.sizes: tuple[int, ...] = ()
        self.seen: dict[Any, None] | None = None
        self.branch: Branch | None = None
        self.order: Order | None = None
        self.shown: tuple[int, ...] | None = None

    def followers(self) -> list[Step]:
        """The steps that follow, in the order they were made."""
        if self.children:
            return list(self.children.values())
        return [] if self.next is NO_STEP else [self.next]


# Of steps that have one child or none.
NO_CHILDREN: dict[Any, Step] = {}
forms = Forms()
NO_STEP = Step.__new__(Step)
NO_STEP.key = None


def new_root() -> Step:
    """An empty trie."""
    root = Step(None, None, None, (), (), None, CPU)
    root.next = NO_STEP
    return root


# How a tape goes on where the memo does not know it.
UNDECIDED, PASSING, GROWING = 0, 1, 2
# Keys seen once that a step remembers.
_MOST_SEEN = 1024


def comes_again(parent: Step, key) -> bool:
    """Whether a key that leaves the known path was seen here before; remembers it if not."""
    seen = parent.seen
    if seen is None:
        seen = parent.seen = {}
    if key in seen:
        del seen[key]
        return True
    if len(seen) >= _MOST_SEEN:
        del seen[next(iter(seen))]
    seen[key] = None
    return False


def note_departure(parent: Step, step: Step) -> None:
    """Keep for reports that a recording left the known path."""
    if parent.next is not NO_STEP or parent.plans:
        departures.append((parent.next, step))


class Branch:
    """A stretch of the trie that was recorded in one go.

    parent, step: where it leaves what was known, and its first step.  outer: the branch of parent.
    steps, bytes: how many it has, and about what they and what hangs on them take.
    last: the latest of its steps.  kept: all of them, which the garbage collector passes over.
    """

    __slots__ = ("parent", "step", "outer", "steps", "bytes", "last", "kept")

    def __init__(self, parent: Step, step: Step) -> None:
        self.parent = parent
        self.step = step
        self.outer = parent.branch
        self.last = step
        self.steps = 0
        self.bytes = 0
        self.kept: list[Step] = []
        leave_out(self.kept)

    def keep(self, step: Step) -> None:
        """One step more."""
        self.steps += 1
        self.kept.append(step)
        leave_out(step)
        if step.operands:
            leave_out(step.operands)
            leave_out(step.key)  # nothing in it refers to what could be garbage

    def let_go(self) -> None:
        """The memo has it no longer: whoever else does may be a cycle."""
        for step in self.kept:
            give_back(step)
            if step.operands:
                give_back(step.operands)
        give_back(self.kept)


# What a step takes with its key, tuples and dictionaries (measured, by resident memory).
STEP_BYTES = 800
# The same for a form, its name and its first step.
FORM_BYTES = 1200


def code_bytes_of(families: dict[Any, Any]) -> int:
    """About what `engine/` keeps for the programs that end at one form."""
    return sum([family.code_bytes for family in set(families.values())])


class Memo:
    """The trie shared by all threads, with its bound in bytes.

    crowded: what its plans hold has become too much, says `engine/`.
    branches: all of them, the longest unused first; an outer one is used whenever one on it is.
    steps, bytes: of all branches.  code_bytes: about what `engine/` keeps for the forms.
    """

    __slots__ = ("root", "steps", "bytes", "crowded", "branches", "code_bytes")

    def __init__(self) -> None:
        self.root = new_root()
        self.steps = 0
        self.bytes = 0
        self.code_bytes = 0
        self.crowded = False
        self.branches: OrderedDict[Branch, None] = OrderedDict()

    def branch(self, parent: Step, step: Step) -> Branch:
        """Begin a branch; it is forgotten again when it was not used for long."""
        made = Branch(parent, step)
        self.branches[made] = None
        return made

    def used(self, step: Step) -> None:
        """A step was taken that was not the one taken last."""
        branch, branches = step.branch, self.branches
        while branch is not None and branch in branches:
            branches.move_to_end(branch)
            branch = branch.outer

    def grow(self, branch: Branch | None, size: int) -> None:
        """Something that takes so many bytes hangs on a branch from now on."""
        if branch is not None and branch in self.branches:
            branch.bytes += size
            self.bytes += size

    def _prune(self) -> None:
        """Forget the branches longest unused until the rest is small enough; never the last one."""
        while self.bytes > config.memo_bytes and len(self.branches) > 1:
            branch, _ = self.branches.popitem(last=False)
            self._forget(branch)

    def _forget(self, branch: Branch) -> None:
        parent, step = branch.parent, branch.step
        if parent.children.get(step.key) is step:
            del parent.children[step.key]
        if parent.next is step:
            parent.next = NO_STEP
        self.bytes -= branch.bytes
        self.steps -= branch.steps
        stats.memo_evictions += branch.steps
        branch.let_go()

    def _prune_forms(self, excess: int) -> None:
        """Forget what is known of the programs that were not run for longest, a quarter and more,
        and their recordings."""
        forms.forget_oldest(excess + config.memo_bytes // 4, self._weight)
        gone = [branch for branch in self.branches if branch.last.form.forgotten]
        for branch in gone:
            del self.branches[branch]
            self._forget(branch)

    def _weight(self, form: Form) -> int:
        """About what a form takes; what `engine/` keeps for it is no longer counted."""
        code = code_bytes_of(form.families)
        self.code_bytes -= code
        return FORM_BYTES + code

    def add(self, parent: Step, step: Step, branch: Branch) -> None:
        """Keep a step as part of a branch."""
        note_departure(parent, step)
        if parent.children is not NO_CHILDREN:
            parent.children[step.key] = step
        elif parent.next is not NO_STEP:
            parent.children = {parent.next.key: parent.next, step.key: step}
        parent.next = step
        step.branch = branch
        branch.last = step
        if branch in self.branches:
            self.steps += 1
            branch.keep(step)
        self.grow(branch, STEP_BYTES)

    @hot
    def trim(self) -> None:
        """Forget what is too much; called between segments only."""
        forms.now += 1
        if self.bytes > config.memo_bytes:
            self._prune()
        if self.crowded:
            self.clear()
        excess = forms.count * FORM_BYTES + self.code_bytes - config.memo_bytes
        if excess > 0:
            self._prune_forms(excess)

    def clear(self) -> None:
        """Forget every recording; tapes in progress keep the steps they stand on."""
        stats.memo_evictions += self.steps
        departures.clear()
        for branch in self.branches:
            branch.let_go()
        self.branches.clear()
        forms.clear()
        self.root = new_root()
        self.steps = self.bytes = self.code_bytes = 0
        self.crowded = False


# The last times that a recording left every path known before: (step expected, or NO_STEP where the
# tape ended before; step made).  For reports: they say what differed.
departures: deque[tuple[Step, Step]] = deque(maxlen=1000)

memo = Memo()


# What leaves are apart from their sizes, each once: compared by identity too.
_FORM_KEYS: dict[tuple, tuple] = {}


class LeafSpec:
    """Everything a memo key says about a leaf; interned, so keys compare by identity."""

    __slots__ = (
        "primitive", "params", "shape", "dtype", "device", "key", "line", "sizes", "form_key",
        "order", "shown",
    )  # fmt: skip

    def __init__(self, kind: LeafKind, shape, dtype, device, order: Order | None = None) -> None:
        self.primitive = kind
        self.params = ()
        self.shape = shape
        self.dtype = dtype
        self.device = device
        self.order = order
        self.shown: tuple[int, ...] | None = None
        self.key = (self,)
        self.line = None
        sizes: list[int] = []
        name = (kind, without_sizes(shape, sizes), dtype, device.type, device.index, order)
        self.form_key = _FORM_KEYS.setdefault(name, name)
        self.sizes = tuple(sizes)


# Those used since the last time that there were too many, and those used before.
_LEAF_SPECS: dict[Any, LeafSpec] = {}
_older_specs: dict[Any, LeafSpec] = {}
_MOST_SPECS = 1 << 13


def leaf_spec(kind: LeafKind, shape, dtype, device=CPU, order: Order | None = None) -> LeafSpec:
    """The one specification of such leaves."""
    global _older_specs
    identity: Any = (kind, shape, dtype) if device is CPU else (kind, shape, dtype, device)
    if order is not None:
        identity = (*identity, order)
    found = _LEAF_SPECS.get(identity)
    if found is None:
        found = _older_specs.get(identity)
        if found is None:
            found = LeafSpec(kind, shape, dtype, device, order)
        if len(_LEAF_SPECS) >= _MOST_SPECS:
            _older_specs = dict(_LEAF_SPECS)
            _LEAF_SPECS.clear()
        _LEAF_SPECS[identity] = found
    return found


class OutputKind:
    """Stands where a primitive would in the step of one output of a multi-output operation."""

    __slots__ = ("index", "name")

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = f"output {index}"

    def __repr__(self) -> str:
        return self.name


def meets_its_beginning(parent: Step, primitive, inputs, params, armed: bool) -> bool:
    """Whether an operation about to be recorded begins another round of a loop.

    True for the same operation, on the same shapes, from the same line as the segment's first,
    after a backward or a parameter update (`armed`) or when the segment has grown long.
    """
    first = parent.first
    if first is None or not (armed or parent.depth >= 512):
        return False
    return (
        first.primitive is primitive
        and first.params == params
        and len(first.operands) == len(inputs)
        and all(o.shape == n.shape and o.dtype is n.dtype for o, n in zip(first.operands, inputs))
        and is_at(first.line)
    )


# Operations from which on a loop that grows is a program for each round.
LONG_ROUND = 64


def has_grown(mark: Step, primitive, inputs, params) -> bool:
    """Whether an operation about to be recorded is an earlier one on larger operands: same line,
    same form.  A sequence that grows by one is a program for each length, all of one form."""
    if mark.primitive is not primitive or len(mark.operands) != len(inputs):
        return False
    grown = False
    for before, now in zip(mark.operands, inputs):
        if before.dtype is not now.dtype or len(before.shape) != len(now.shape):
            return False
        if before.shape != now.shape:
            grown = True
            if any(n < m for m, n in zip(before.shape, now.shape)):
                return False
    for place, parameter in enumerate(params):
        if place not in primitive.sized and mark.params[place] != parameter:
            return False
    return grown and is_at(mark.line)


def last_operation(step: Step | None) -> Step | None:
    """The nearest step, going back, that is an operation and not a leaf."""
    while step is not None and not isinstance(step.primitive, Primitive):
        step = step.parent
    return step


class Line(NamedTuple):
    """Where a program recorded an operation, and what it called there.

    spelling: a function's name, as `softmax` or `backward`, an optimizer's, as `adam`, or "".
    """

    file: str
    number: int
    spelling: str


def where_recorded(step: Step) -> str:
    """Of an operation, for messages.

    The memo keeps the line that recorded it first: where that was in an earlier segment, this time
    may have been another one.
    """
    if step.line is None:
        return "recorded at an unknown line"
    first = "" if step.form.since == forms.now else "first "
    return f"{first}recorded at {step.line.file}:{step.line.number}"


# What a file of this package is for the search of a program's line.
_LIBRARY, _SPELLING, _OPTIMIZER = 1, 2, 3
# Of the files met so far; 0 is none of this package's.
_file_kinds: dict[str, int] = {}


def _file_kind(name: str) -> int:
    kind = _file_kinds.get(name)
    if kind is None:
        if not name.startswith(_PACKAGE_FOLDER):
            return 0  # not kept: a program may make as many as it likes
        kind = _LIBRARY
        if name.startswith(_SPELLINGS) and name != _DECORATORS:
            kind = _SPELLING
        elif name.startswith(_OPTIMIZERS):
            kind = _OPTIMIZER
        _file_kinds[name] = kind
    return kind


def is_spelling(code: CodeType) -> bool:
    """Whether it is of a function of `ops/` that users call by name; decorators' are nested."""
    if code.co_flags & CO_NESTED or code.co_name.startswith("_"):
        return False
    return _file_kind(code.co_filename) == _SPELLING


def _is_of_spellings(identity: int) -> bool:
    """Whether it is that of the dictionary of a module in `ops/`."""
    # A copy is made in one piece; while a list of pairs is made, a finalizer may import something.
    return any(
        identity == id(vars(module))
        for name, module in sys.modules.copy().items()
        if name.startswith(_SPELLINGS_PACKAGE)
    )


def user_line() -> Line | None:
    """File and line of the innermost frame outside this package, and the function called there."""
    frame: FrameType | None = sys._getframe(1)
    spelling = ""
    while frame is not None:
        code = frame.f_code
        kind = _file_kind(code.co_filename)
        if kind == 0:
            compiled, caller = running_function()
            # Called from a function that has a frame, it is not the outermost one.
            if compiled and not (spelling and _is_of_spellings(caller)):
                spelling = compiled
            return Line(code.co_filename, frame.f_lineno, spelling)
        if kind != _LIBRARY and not code.co_flags & CO_NESTED and not code.co_name.startswith("_"):
            # The outermost one wins: a loss calls softmax.
            if kind == _SPELLING:
                spelling = code.co_name
            elif "self" in code.co_varnames:
                spelling = type(frame.f_locals["self"]).__name__.lower()
        frame = frame.f_back
    return None


def is_at(line: Line | None) -> bool:
    """Whether the innermost frame outside this package is at a line."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if _file_kind(name) == 0:
            return line is not None and frame.f_lineno == line.number and name == line.file
        frame = frame.f_back
    return line is None
