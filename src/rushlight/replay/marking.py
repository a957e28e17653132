"""`torch.compile` and its kin: which functions are replayed, and how they say so.

In: functions, modules, options as PyTorch takes them.  Out: what is called in their place.
Level: replay.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.replay.code import nested
from rushlight.replay.function import ALL, ReplayedFunction, Switch
from rushlight.replay.module import OptimizedModule
from rushlight.replay.recorder import DISABLED
from rushlight.replay.report import Report

# PyTorch's names of what may stand behind `compile`; here they all mean the same compiler, but for
# the first two, which ask for the Python to be run.
PLAIN_BACKENDS = ("eager", "eager_noexcept")
BACKENDS = ("inductor", "cudagraphs", "onnxrt", "openxla", "tvm", "aot_eager", "aot_ts")
MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
STANCES = (
    "default", "force_eager", "eager_on_recompile", "fail_on_recompile", "eager_then_compile",
    "aot_eager_then_compile",
)  # fmt: skip


class InvalidBackend(RuntimeError):
    """A name that stands for no compiler."""


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """A function or module whose calls are replayed without their Python, where that is known to do
    the same; a decorator if called without one.

    Every program is compiled anyway; what this adds is said in `docs/replay.md`.
    fullgraph, dynamic: accepted; where a call cannot be replayed its Python runs, without an error.
    backend: "eager", or a function, which is given no graph: the Python is run.
    options: {"verify": n} does every n-th call both ways and warns of the first difference; True
        means each; PyTorch's options are accepted.
    Raises: AssertionError unless `model` can be called; RuntimeError for an unknown mode or
    backend, or for mode and options together.  Source: torch.compile.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if mode is not None and mode not in MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(MODES)}")
    if isinstance(backend, str) and backend not in (*PLAIN_BACKENDS, *BACKENDS):
        raise InvalidBackend(
            f"Invalid backend: {backend!r}, see `torch._dynamo.list_backends()` for available "
            "backends."
        )
    if model is None:
        return functools.partial(
            compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
            options=options, disable=disable,
        )  # fmt: skip
    if not callable(model):
        raise AssertionError(f"A callable function is expected, but {type(model)} is provided.")
    if disable:
        return model
    verify = int((options or {}).get("verify", 0))
    plain = backend in PLAIN_BACKENDS if isinstance(backend, str) else True
    if isinstance(model, OptimizedModule):
        return model
    if isinstance(model, Module):
        made = OptimizedModule(model, verify)
        if plain:
            made.forward.is_plain = True
        return made
    if isinstance(model, ReplayedFunction):
        return model
    if inspect.isclass(model):
        return model
    function = ReplayedFunction(model, verify)
    function.is_plain = plain
    return function


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Mark a function: calls that call it are not replayed.  A decorator if called without one.

    Returns the function itself; of what `compile` gave, the function that it was given.
    """
    if fn is None:
        return functools.partial(disable, recursive=recursive, reason=reason)
    if isinstance(fn, ReplayedFunction):
        fn = fn.original
    elif isinstance(fn, OptimizedModule):
        fn = fn._orig_mod
    function = fn
    if isinstance(fn, Module):
        function = type(fn).forward
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is not None:
        DISABLED.update(nested(code))
    return fn


def reset() -> None:
    """Forget what was found out about the calls of every function."""
    for function in list(ALL):
        function.forget()


def replays(function: Any) -> Report:
    """What became of the calls of a function or module under `compile`, and why its Python ran.

    Raises: TypeError for anything else.
    """
    if isinstance(function, OptimizedModule):
        function = function.forward
    elif isinstance(function, Module) and function.__dict__.get("_compiled_call_impl") is not None:
        function = function.__dict__["_compiled_call_impl"]
    if not isinstance(function, ReplayedFunction):
        raise TypeError(
            f"replays: {type(function).__name__} is not under torch.compile; give what it returned"
        )
    return function.report()


class set_stance:  # noqa: N801 - PyTorch's name
    """Whether calls may be replayed, as a call, a context or a decorator: not under "force_eager".

    Raises: RuntimeError for an unknown stance.
    """

    def __init__(
        self,
        stance: str = "default",
        *,
        skip_guard_eval_unsafe: bool = False,
        force_backend: Any = None,
    ) -> None:
        if stance not in STANCES:
            raise RuntimeError(f"invalid stance {stance!r}, must be one of {', '.join(STANCES)}")
        self.stance = stance
        self._former = Switch.on
        Switch.on = self._is_on()

    def _is_on(self) -> bool:
        return self.stance != "force_eager"

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        Switch.on = self._former

        @functools.wraps(fn)
        def called(*args: Any, **kwargs: Any) -> Any:
            with set_stance(self.stance):
                return fn(*args, **kwargs)

        return called

    def __enter__(self) -> None:
        Switch.on = self._is_on()

    def __exit__(self, *_: object) -> None:
        Switch.on = self._former
