"""The memo: a trie over recorded operations, each step expecting the key recorded next.

A step's key is (primitive, operand slots…, parameters); a leaf's key is its specification.
Following the trie replaces shape inference, checks and source-line capture: they ran when the step
was made. Leaf values and Python numbers are not part of any key (numbers enter as scalar leaves),
so that the same code on new data follows the same path.  Level 1.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from types import CodeType, FrameType
from typing import Any, NamedTuple

from rushlight.base.config import config
from rushlight.base.device import CPU, META
from rushlight.base.hot import hot, running_function
from rushlight.base.shapes import numel
from rushlight.base.stats import stats
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
    """Shape, dtype and device of an operand whose value was not kept."""

    __slots__ = ("shape", "dtype", "device")

    def __init__(self, shape, dtype, device) -> None:
        self.shape = shape
        self.dtype = dtype
        self.device = device


@hot
class Step:
    """One position of the trie; immutable in what it says about its operation.

    cut: reason to flush right after this operation, or None.
    leaf_bytes: of the leaves of the segment so far.
    saves: for each mask of operands that need a gradient, which values backward reads.
    plans: live set at a flush that ended here -> plan.
    blocks: what may be replayed from here on, by the caller's key (`tape/block.py`); None: nothing.
    """

    __slots__ = (
        "key", "primitive", "params", "shape", "dtype", "device", "operands", "outputs",
        "vjp", "saves", "cut", "next", "children", "plans", "uses", "parent", "first", "depth",
        "leaf_bytes", "line", "blocks",
    )  # fmt: skip

    def __init__(self, key, parent: Step | None, primitive, params, shape, dtype, device) -> None:
        self.key = key
        self.primitive = primitive
        self.params = params
        self.shape = shape
        self.dtype = dtype
        self.device = device
        self.operands: tuple[Operand, ...] = ()
        self.outputs: tuple[Step, ...] = ()
        self.vjp: Any = None
        self.saves: Any = None
        self.cut: str | None = None
        self.next: Step = NO_STEP
        self.children: dict[Any, Step] = {}
        self.plans: dict[Any, Any] = {}
        self.uses: list[int] | None = None
        self.parent = parent
        self.first: Step | None = None
        self.depth = 0
        self.leaf_bytes = 0
        self.line: Line | None = None
        self.blocks: dict[Any, Any] | None = None


NO_STEP = Step.__new__(Step)
NO_STEP.key = None


def new_root() -> Step:
    """An empty trie."""
    root = Step(None, None, None, (), (), None, CPU)
    root.next = NO_STEP
    return root


class Memo:
    """The trie shared by all threads, with its size bound.

    crowded: what its plans hold has become too much, says `engine/`.
    """

    __slots__ = ("root", "steps", "crowded")

    def __init__(self) -> None:
        self.root = new_root()
        self.steps = 0
        self.crowded = False

    def add(self, parent: Step, step: Step) -> None:
        if parent.children or parent.plans:
            departures.append((parent.next, step))
        parent.children[step.key] = step
        parent.next = step
        self.steps += 1

    @hot
    def trim(self) -> None:
        """Forget everything once the bound is passed; called between segments only."""
        if self.crowded or self.steps > config.memo_steps:
            self.clear()

    def clear(self) -> None:
        """Forget every recording; tapes in progress keep the steps they stand on."""
        stats.memo_evictions += self.steps
        departures.clear()
        self.root = new_root()
        self.steps = 0
        self.crowded = False


# The last times that a recording left every path known before: (step expected, or NO_STEP where the
# tape ended before; step made).  For reports: they say what differed.
departures: deque[tuple[Step, Step]] = deque(maxlen=1000)

memo = Memo()


class LeafSpec:
    """Everything a memo key says about a leaf; interned, so keys compare by identity."""

    __slots__ = ("primitive", "params", "shape", "dtype", "device", "key", "line")

    def __init__(self, kind: LeafKind, shape, dtype, device) -> None:
        self.primitive = kind
        self.params = ()
        self.shape = shape
        self.dtype = dtype
        self.device = device
        self.key = (self,)
        self.line = None


_LEAF_SPECS: dict[Any, LeafSpec] = {}


def leaf_spec(kind: LeafKind, shape, dtype, device=CPU) -> LeafSpec:
    """The one specification of such leaves."""
    identity: Any = (kind, shape, dtype) if device is CPU else (kind, shape, dtype, device)
    found = _LEAF_SPECS.get(identity)
    if found is None:
        if len(_LEAF_SPECS) > config.memo_steps:
            _LEAF_SPECS.clear()
        found = _LEAF_SPECS[identity] = LeafSpec(kind, shape, dtype, device)
    return found


def make_step(parent: Step, key, primitive: Primitive, inputs, params) -> Step:
    """Infer and check one operation that the trie does not hold yet.  Raises: the user's errors."""
    inferred = primitive.result(*inputs, *params)
    device = META if any(n.device is META for n in inputs) else CPU
    if primitive.multiple:
        step = Step(key, parent, primitive, params, (), inputs[0].dtype, device)
        step.outputs = tuple(
            _output_step(step, index, shape, dtype) for index, (shape, dtype) in enumerate(inferred)
        )
    else:
        shape, dtype = inferred
        step = Step(key, parent, primitive, params, shape, dtype, device)
    step.operands = tuple(Operand(n.shape, n.dtype, n.device) for n in inputs)
    step.vjp = primitive.vjp
    if step.vjp is not None:
        step.saves = step.vjp.saves_by_mask(len(inputs))
    step.line = user_line()
    step.depth = parent.depth + 1 + len(step.outputs)
    step.leaf_bytes = parent.leaf_bytes
    step.first = parent.first or step
    step.cut = _reason_to_cut(parent, step)
    return step


def make_leaf_step(parent: Step, spec: LeafSpec) -> Step:
    """The step of a leaf's first use."""
    step = Step(spec.key, parent, spec.primitive, (), spec.shape, spec.dtype, spec.device)
    step.depth = parent.depth + 1
    # A pending tape keeps its leaves alive.  Results take no memory before the flush, and then only
    # while they are read.
    own = 0 if spec.device is META else numel(spec.shape) * spec.dtype.itemsize
    step.leaf_bytes = parent.leaf_bytes + own
    step.first = parent.first
    return step


class OutputKind:
    """Stands where a primitive would in the step of one output of a multi-output operation."""

    __slots__ = ("index", "name")

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = f"output {index}"

    def __repr__(self) -> str:
        return self.name


def _output_step(owner: Step, index: int, shape, dtype) -> Step:
    return Step(None, owner, OutputKind(index), (), shape, dtype, owner.device)


def _reason_to_cut(parent: Step, step: Step) -> str | None:
    if config.eager:
        return "eager mode"
    if step.depth >= config.node_cap:
        return f"node cap of {config.node_cap}"
    if step.leaf_bytes >= config.byte_budget:
        return f"{BYTE_BUDGET} of {config.byte_budget}"
    return None


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
        and first.line == user_line()
    )


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


def is_spelling(code: CodeType) -> bool:
    """Whether it is of a function of `ops/` that users call by name; decorators' are nested."""
    name = code.co_filename
    if code.co_flags & CO_NESTED or code.co_name.startswith("_"):
        return False
    return name.startswith(_SPELLINGS) and name != _DECORATORS


def _is_of_spellings(identity: int) -> bool:
    """Whether it is that of the dictionary of a module in `ops/`."""
    return any(
        identity == id(vars(module))
        for name, module in list(sys.modules.items())
        if name.startswith(_SPELLINGS_PACKAGE)
    )


def user_line() -> Line | None:
    """File and line of the innermost frame outside this package, and the function called there."""
    frame: FrameType | None = sys._getframe(1)
    spelling = ""
    while frame is not None:
        code = frame.f_code
        name = code.co_filename
        if not name.startswith(_PACKAGE_FOLDER):
            compiled, caller = running_function()
            # Called from a function that has a frame, it is not the outermost one.
            if compiled and not (spelling and _is_of_spellings(caller)):
                spelling = compiled
            return Line(name, frame.f_lineno, spelling)
        # The outermost one wins: a loss calls softmax.
        if is_spelling(code):
            spelling = code.co_name
        elif not code.co_flags & CO_NESTED and not code.co_name.startswith("_"):
            if name.startswith(_OPTIMIZERS) and "self" in code.co_varnames:
                spelling = type(frame.f_locals["self"]).__name__.lower()
        frame = frame.f_back
    return None
