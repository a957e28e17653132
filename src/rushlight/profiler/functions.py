"""While a profiler runs, calls of PyTorch's functions are timed.

In: the table of spelled functions, Tensor's methods, the optimizers that were imported.  Out: their
names stand for timed ones wherever rushlight and the program's main module name them, and for
themselves again when the last profiler ends, so that without a profiler nothing is slower.  A
function that a program took under a name of its own elsewhere is not seen, nor one of a namespace
that is imported later, but the operations they record are, as kernels.  Level: profiler (12).
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, FunctionType, ModuleType
from typing import Any

from rushlight.base.observe import FUNCTION, clock, tell, watchers
from rushlight.ops.spelling import PUBLIC
from rushlight.selfcompile import warmup
from rushlight.tensor.tensor import Tensor

PREFIX = "aten::"
# Python's operators as PyTorch calls the operation.
_OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "div": "div",
    "floordiv": "floor_divide", "mod": "remainder", "pow": "pow", "matmul": "matmul",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}  # fmt: skip
_SINGLE = {
    "__neg__": "neg", "__invert__": "bitwise_not", "__abs__": "abs", "__eq__": "eq",
    "__ne__": "ne", "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge",
    "__getitem__": "getitem", "__setitem__": "setitem",
}  # fmt: skip
# They ask something of a tensor and record nothing.
_QUESTIONS = ("is_", "numel", "dim", "size", "result_type", "promote_types", "can_cast")
# Namespaces beside the top one: how PyTorch's operations in them begin.
_NAMESPACES = {"nn.functional": "", "linalg": "linalg_", "fft": "fft_", "special": "special_"}
# Methods that are no spelled functions and worth a row.
_METHODS = {"backward": "autograd::engine::backward", "item": PREFIX + "item",
            "tolist": PREFIX + "tolist", "numpy": PREFIX + "numpy"}  # fmt: skip
_OWN_FOLDER = __file__.rpartition("profiler")[0]


class Options:
    """What wrappers note beside the time; those of the profiler that began last."""

    shapes = False
    stacks = False


class _Patches:
    """The replaced attributes: (owner, name, function, its timed form)."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.made: list[tuple[Any, str, Any, Any]] = []


_patches = _Patches()


def begin(shapes: bool, stacks: bool) -> None:
    """Time calls from now on, until as many calls of `end`."""
    with _patches.lock:
        Options.shapes, Options.stacks = shapes, stacks
        _patches.users += 1
        if _patches.users == 1:
            # Machine code calls machine code: nothing to be timed in between.
            warmup.suspend()
            _install()


def end() -> None:
    """A profiler ends; after the last one every name has its own function again."""
    with _patches.lock:
        _patches.users -= 1
        if _patches.users:
            return
        for owner, name, function, timed in reversed(_patches.made):
            if vars(owner).get(name) is timed:
                setattr(owner, name, function)
        # A module that was imported meanwhile took the timed functions for the real ones.
        real = {id(timed): function for _, _, function, timed in _patches.made}
        for module in _modules():
            for name, value in list(vars(module).items()):
                if id(value) in real:
                    setattr(module, name, real[id(value)])
        _patches.made.clear()
        warmup.resume()


def _install() -> None:
    timed: dict[int, Callable] = {}
    for label, function in _spelled():
        timed.setdefault(id(function), timed_function(function, label))
    for name, value in list(vars(Tensor).items()):
        if not isinstance(value, FunctionType):
            continue
        called = _method_label(name, value, timed)
        if called is not None:
            _replace(Tensor, name, value, timed.get(id(value)) or timed_function(value, called))
    for module in _modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, FunctionType) and id(value) in timed:
                _replace(module, name, value, timed[id(value)])
    _install_optimizers()


def _spelled() -> Iterator[tuple[str, FunctionType]]:
    """PyTorch's functions, with what a profile calls them."""
    for name, function in PUBLIC.items():
        if isinstance(function, FunctionType) and not name.startswith(_QUESTIONS):
            yield PREFIX + name, function
    for namespace, beginning in _NAMESPACES.items():
        module = sys.modules.get(f"rushlight.{namespace}")
        for name, function in list(vars(module).items()) if module else []:
            if isinstance(function, FunctionType) and not name.startswith("_"):
                yield PREFIX + beginning + name, function


def _modules() -> list[ModuleType]:
    """Those of rushlight, and the program's own."""
    return [
        module
        for name, module in sys.modules.copy().items()
        if name == "__main__" or name.split(".")[0] == "rushlight"
    ]


def _method_label(name: str, value: FunctionType, timed: dict[int, Callable]) -> str | None:
    """What a method of Tensor is called in a profile; None if it gets no row."""
    if name in _METHODS:
        return _METHODS[name]
    if id(value) in timed:
        return PREFIX + name
    if name in _SINGLE:
        return PREFIX + _SINGLE[name]
    if name.startswith("__"):
        plain = name.strip("_")
        for prefix, suffix in (("", ""), ("r", ""), ("i", "_")):
            operation = _OPERATORS.get(plain.removeprefix(prefix))
            if operation is not None and plain.startswith(prefix):
                return PREFIX + operation + suffix
        return None
    if name.endswith("_") and name[:-1] in PUBLIC:
        return PREFIX + name
    return None


def _install_optimizers() -> None:
    """`Optimizer.step#Adam.step` and its like, for the classes that exist."""
    module = sys.modules.get("rushlight.optim.optimizer")
    if module is None:
        return
    pending = [module.Optimizer]
    while pending:
        cls = pending.pop()
        pending.extend(cls.__subclasses__())
        for name in ("step", "zero_grad"):
            function = vars(cls).get(name)
            if isinstance(function, FunctionType):
                timed = timed_function(function, "", functools.partial(_optimizer_label, name))
                _replace(cls, name, function, timed)


def _optimizer_label(name: str, arguments: tuple) -> str:
    return f"Optimizer.{name}#{type(arguments[0]).__name__}.{name}"


def _replace(owner: Any, name: str, function: Any, timed: Callable) -> None:
    setattr(owner, name, timed)
    _patches.made.append((owner, name, function, timed))


def timed_function(
    function: Callable, label: str, label_of: Callable[[tuple], str] | None = None
) -> Callable:
    """A function that does the same and tells the watchers how long it took."""

    @functools.wraps(function)
    def timed(*args, **kwargs):
        if not watchers:
            return function(*args, **kwargs)
        detail = (shapes_of(args) if Options.shapes else (), _stack() if Options.stacks else ())
        name = label if label_of is None else label_of(args)
        started = clock()
        try:
            return function(*args, **kwargs)
        finally:
            tell(FUNCTION, name, started, detail)

    return timed


def shapes_of(arguments: tuple) -> tuple:
    """Dtype and shape of each tensor among positional arguments; of others, an empty shape."""
    found: list[tuple[str, tuple]] = []
    for argument in arguments:
        if isinstance(argument, Tensor):
            found.append((argument.dtype.name, tuple(argument.shape)))
        elif isinstance(argument, list | tuple) and argument and isinstance(argument[0], Tensor):
            found.extend(shapes_of(tuple(argument)))
        else:
            found.append(("", ()))
    return tuple(found)


def _stack() -> tuple[str, ...]:
    """The program's frames, innermost first, as `file(line): function`."""
    frames = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_OWN_FOLDER):
            frames.append(f"{code.co_filename}({frame.f_lineno}): {code.co_name}")
        frame = frame.f_back
    return tuple(frames)
