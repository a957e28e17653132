"""What happens while a call's Python runs under watch.

In: a function and its arguments.  Out: its result, and a `Recorder` that says which code ran, which
programs were flushed, where random numbers and an optimizer's numbers entered them, and the first
reason why such a call may not be replayed.  While it watches, the library's own functions are
Python, so that they can be seen.  Level: replay.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, FunctionType, GeneratorType, ModuleType
from typing import Any, NamedTuple

from rushlight.engine.direct import Recorded, recorded
from rushlight.optim.bucket import has_tensors
from rushlight.replay.code import names_of
from rushlight.replay.world import (
    PACKAGE,
    is_package_file,
    is_standard_file,
    module_is_library,
)
from rushlight.rng.mt19937 import MersenneTwister
from rushlight.selfcompile import warmup
from rushlight.tape import tape as tape_module
from rushlight.tape.tape import local
from rushlight.tensor import storage as storage_module
from rushlight.tensor import tensor as tensor_module

BOUNDARY = "compiled call"

# Reasons of flushes that nobody asked for to look at a value.
_HARMLESS = ("optimizer step", "synchronize", "loop", "state", "growing loop", BOUNDARY)
# Code through which every look at a value goes.
_READS = {
    tape_module.materialise.__code__,
    tape_module.materialise_elsewhere.__code__,
    storage_module.pinned_window.__code__,
    storage_module.pin.__code__,
}
# Code that makes leaves of what the host knows.
_MAKES = {tape_module.leaf_node.__code__, tensor_module.scalar_node.__code__}
# What the library stands on: its packages' folders.
_STOOD_ON = {
    name: str(importlib.util.find_spec(name).origin).rpartition("__init__")[0]  # type: ignore[union-attr]
    for name in ("numpy", "llvmlite")
}
# Parts of the library that do nothing but record, and what they stand on.
_PURE = frozenset(
    {
        "__init__.py", "_C", "_dynamo", "amp", "autograd", "backends", "base", "batching",
        "codegen", "compiler", "cpu", "cuda", "distributions", "engine", "fft", "func", "jit",
        "jvp", "library", "linalg", "loopnest", "lowering", "masked", "nn", "ops", "optim",
        "overrides", "primitives", "reference", "replay", "rng", "runtime", "schedule",
        "selfcompile", "signal", "simplify", "special", "tape", "tensor", "transform", "vjp",
    }
)  # fmt: skip
_PURE_FILES = (
    "utils/__init__.py", "utils/checkpoint.py", "utils/_pytree.py", "utils/tree_nodes.py",
    "utils/hooks.py", "vision/__init__.py", "vision/models/", "vision/ops/",
)  # fmt: skip
# Of Python's library, what computes without looking around.
_STANDARD = frozenset(
    {
        "abc", "bisect", "cmath", "collections", "contextlib", "copy", "dataclasses", "enum",
        "fractions", "functools", "heapq", "itertools", "math", "numbers", "operator",
        "statistics", "string", "types", "typing", "_collections_abc", "_weakrefset", "weakref",
    }
)  # fmt: skip
# Builtin functions whose result follows from their arguments, and which do nothing else.
_BUILTINS = frozenset(
    {
        "abs", "all", "any", "bin", "callable", "chr", "delattr", "dir", "divmod", "format",
        "getattr", "hasattr", "hex", "isinstance", "issubclass", "iter", "len", "max", "min",
        "next", "oct", "ord", "pow", "repr", "round", "setattr", "sorted", "sum", "vars",
        "__build_class__",
    }
)  # fmt: skip
_C_MODULES = frozenset(
    {
        "_bisect", "_collections", "_functools", "_heapq", "_operator", "_statistics", "_typing",
        "cmath", "itertools", "math", "_abc",
    }
)  # fmt: skip
_VALUES = (
    bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, slice,
    range,
)  # fmt: skip
# What even the library's code does not do in a call that can be replayed.
_IMPURE_C_MODULES = frozenset(
    {"_io", "io", "posix", "nt", "_socket", "_random", "time", "_warnings", "numpy.random"}
)


# Of those modules, what the library may call: clocks, and the locks of Python's warnings.
_HARMLESS_C = frozenset(
    {"perf_counter", "monotonic", "_filters_mutated", "_filters_mutated_lock_held"}
)


class Update(NamedTuple):
    """An optimizer's update that was put on the tape as a block.

    form: of its numbers, by which other numbers are known to fit; numbers: their names, whose
    leaves lie in these slots of the segment.  counts: the leaf of each scalar, by name.
    """

    segment: int
    optimizer: Any
    group: dict[str, Any]
    bucket: Any
    form: tuple
    numbers: tuple[str, ...]
    slots: tuple[int, ...]
    counts: dict[str, Any]


class Draw(NamedTuple):
    """Random numbers that were drawn: the leaf that holds them, how to draw the next ones, and the
    engines that say so; none for the default one."""

    node: Any
    values: Callable[[], Any]
    engines: tuple[MersenneTwister, ...]


def _engines_of(function: Any, depth: int = 0) -> Iterator[MersenneTwister]:
    """The engines that a draw refers to."""
    if isinstance(function, MersenneTwister):
        yield function
    elif isinstance(function, functools.partial):
        for part in (function.func, *function.args):
            yield from _engines_of(part, depth)
    elif isinstance(function, FunctionType) and depth < _DEEPEST_DRAW:
        for cell in function.__closure__ or ():
            yield from _engines_of(cell.cell_contents, depth + 1)


# Functions inside of each other that make up a draw, at most.
_DEEPEST_DRAW = 8


class Segment(NamedTuple):
    """A flushed tape: what it said, and its nodes with their values."""

    tape: list[Recorded]
    nodes: list


class Recorder:
    """executed: code of the program's functions that ran.  problem: why not to replay, or "".

    made: leaves that were made meanwhile, and those of replayed blocks; no others are constants.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.draws: list[Draw] = []
        self.updates: list[Update] = []
        self.executed: set[CodeType] = set()
        self.made: dict[int, Any] = {}
        self.problem = ""
        self._tape: list[Recorded] = []
        self._known: dict[CodeType, str] = {}

    def refuse(self, reason: str) -> None:
        """Keep the first reason."""
        if not self.problem:
            self.problem = reason

    # ---- told by the tape, by draws and by optimizers ------------------------------------------

    def flushing(self, nodes: Any, reason: str) -> None:
        """A tape is about to be executed."""
        if not reason.startswith(_HARMLESS):
            self.refuse(f"a value is read in the middle ({reason}){self._where()}")
        for block in nodes.runs:
            self.made.update([(id(node), node) for _, node in block.constants])
        nodes.expand()
        self._tape = recorded(nodes)

    def flushed(self, nodes: list, error: BaseException | None) -> None:
        """It was."""
        if error is not None:
            self.refuse(f"it raised {type(error).__name__}")
        self.segments.append(Segment(self._tape, nodes))

    def drawn(self, node: Any, values: Callable[[], Any]) -> None:
        """A leaf of random numbers was made."""
        self.draws.append(Draw(node, values, tuple(_engines_of(values))))

    def reserved(self, *_: Any) -> None:
        """A part of a device's stream of random numbers was reserved."""
        self.refuse(f"random numbers of a device are drawn{self._where()}")

    def updated(self, optimizer: Any, group: dict, bucket: Any, numbers: Any, about: Any) -> None:
        """An optimizer's rule entered the tape as a block."""
        if has_tensors(numbers.values):
            self.refuse("an option of an optimizer is a tensor")
        self.updates.append(
            Update(
                len(self.segments), optimizer, group, bucket, numbers.form, about.numbers,
                about.slots, dict(bucket.held),
            )
        )  # fmt: skip

    @contextlib.contextmanager
    def unobserved(self) -> Iterator[None]:
        """Python that is not the program's: only flushes are told."""
        sys.setprofile(None)
        yield

    # ---- told by Python ------------------------------------------------------------------------

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """A function is called; see `sys.setprofile`."""
        if event == "call":
            code = frame.f_code
            kind = self._known.get(code)
            if kind is None:
                kind = self._known[code] = self._kind_of(frame)
            if kind == "read":
                self.refuse(f"a value is read on the host{self._where_of(frame)}")
            elif kind.startswith("foreign"):
                if not self._is_asked_by_library(frame):
                    self.refuse(f"it calls {kind.removeprefix('foreign ')}{self._where_of(frame)}")
            elif kind.startswith("impure"):
                self.refuse(f"it calls {kind.removeprefix('impure ')}{self._where_of(frame)}")
            elif kind == "program":
                self.executed.add(code)
        elif event == "c_call":
            self._c_call(frame, argument)
        elif event == "return" and frame.f_code in _MAKES:
            self.made[id(argument)] = argument

    def _kind_of(self, frame: FrameType) -> str:
        code = frame.f_code
        if code in _READS:
            return "read"
        name = code.co_filename
        if is_package_file(name):
            relative = name[len(PACKAGE) :].replace("\\", "/")
            top = relative.partition("/")[0]
            if top in _PURE or relative.startswith(_PURE_FILES):
                return "library"
            return f"impure rushlight.{relative.removesuffix('.py').replace('/', '.')}"
        if is_standard_file(name):
            module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            return "standard" if module in _STANDARD else f"foreign {module}.{code.co_name}"
        if name.startswith("<"):  # made by `exec`, as methods of a dataclass are
            module = str(frame.f_globals.get("__name__"))
            if module.startswith("namedtuple_") or module_is_library(module):
                return "library" if module.startswith("rushlight") else "standard"
        for package, folder in _STOOD_ON.items():
            if name.startswith(folder):
                return f"foreign {package}.{code.co_name}"
        if code in DISABLED:
            return f"impure {code.co_name}, which torch.compiler.disable marks"
        for imported in names_of(code).imports:
            if imported.partition(".")[0] not in (*_STANDARD, "rushlight", "torch"):
                return f"impure {code.co_name}, which imports {imported}"
        return "program"

    def _c_call(self, frame: FrameType, function: Any) -> None:
        kind = self._known.get(frame.f_code)
        if kind is None:
            kind = self._known[frame.f_code] = self._kind_of(frame)
        module = getattr(function, "__module__", None) or ""
        holder = getattr(function, "__self__", None)
        if kind == "library" or (kind.startswith("foreign") and self._is_asked_by_library(frame)):
            made_by = type(holder).__module__
            if module in _IMPURE_C_MODULES or made_by in _IMPURE_C_MODULES:
                if getattr(function, "__name__", "") not in _HARMLESS_C:
                    self._refuse_c(frame, function)
            return
        if kind == "standard" or is_allowed(function, module, holder):
            return
        self._refuse_c(frame, function)

    def _is_asked_by_library(self, frame: FrameType | None) -> bool:
        """Whether the library, and not the program, calls Python's own or NumPy's functions."""
        while frame is not None:
            kind = self._known.get(frame.f_code, "")
            if kind in ("library", "read"):
                return True
            if kind == "program":
                return False
            frame = frame.f_back
        return False

    def _refuse_c(self, frame: FrameType, function: Any) -> None:
        name = getattr(function, "__qualname__", repr(function))
        self.refuse(f"it calls {name}{self._where_of(frame)}")

    def _where_of(self, frame: FrameType | None) -> str:
        while frame is not None and is_package_file(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is None:
            return ""
        return f" at {frame.f_code.co_filename}:{frame.f_lineno}"

    def _where(self) -> str:
        return self._where_of(sys._getframe(1))


# Code that `torch.compiler.disable` marked.
DISABLED: set[CodeType] = set()


def is_allowed(function: Any, module: str, holder: Any) -> bool:
    """Whether the program may call a function of C in a call that is replayed.

    holder: the object whose method it is, or the module it is in.
    """
    name = getattr(function, "__name__", "")
    if isinstance(holder, ModuleType) or (module and holder is None):
        place = module or getattr(holder, "__name__", "")
        return name in _BUILTINS if place == "builtins" else _is_library(place)
    if isinstance(holder, type):
        return holder in _VALUES or name == "__new__"
    if holder is None:
        owner = getattr(function, "__objclass__", None)
        return owner in _VALUES or _is_library(getattr(owner, "__module__", ""))
    kind = type(holder)
    return isinstance(holder, _VALUES) or _is_library(kind.__module__) or kind is GeneratorType


def _is_library(module: str) -> bool:
    top = module.partition(".")[0]
    return top in _C_MODULES or top in ("collections", "rushlight")


@contextlib.contextmanager
def watched(recorder: Recorder) -> Iterator[None]:
    """While it lasts, this thread's calls, flushes, draws and updates are told to a recorder."""
    tape = local.tape
    former = sys.getprofile()
    warmup.suspend()
    tape.recorder = recorder
    # What a collection runs (callbacks, finalizers) is not the call's, and would be told as its.
    collecting = gc.isenabled()
    gc.disable()
    sys.setprofile(recorder.profile)
    try:
        yield
    finally:
        sys.setprofile(former)
        if collecting:
            gc.enable()
        tape.recorder = None
        warmup.resume()
