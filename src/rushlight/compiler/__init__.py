"""PyTorch's `torch.compiler`: what programs ask of a compiler that is always on.

Every operation is recorded and every recorded program compiled as a whole, without a wrapper, so
nothing is being traced (`is_compiling` is False) and every function may stand in a compiled
program.  What `compile` adds is that calls are replayed without their Python (`replay/`).
Level 12.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from rushlight.compiler import config
from rushlight.replay.marking import BACKENDS, compile, disable, replays, reset, set_stance

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "config",
    "cudagraph_mark_step_begin",
    "disable",
    "disallow_in_graph",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "keep_portable_guards_unsafe",
    "list_backends",
    "load_cache_artifacts",
    "nested_compile_region",
    "replays",
    "reset",
    "save_cache_artifacts",
    "set_enable_guard_collectives",
    "set_stance",
    "skip_all_guards_unsafe",
    "skip_guard_on_all_nn_modules_unsafe",
    "skip_guard_on_globals_unsafe",
    "skip_guard_on_inbuilt_nn_modules_unsafe",
    "substitute_in_graph",
    "wrap_numpy",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def is_compiling() -> bool:
    """Whether the code is being traced instead of run: never; Python runs in every step."""
    return False


def is_dynamo_compiling() -> bool:
    """The same question about PyTorch's tracer: False."""
    return False


def is_exporting() -> bool:
    """Whether the code is being exported by a tracer that replaces its tensors: no."""
    return False


def allow_in_graph(fn: Any) -> Any:
    """The function or functions themselves: whatever they record is compiled.

    Raises: AssertionError if one cannot be called.
    """
    for one in fn if isinstance(fn, (list, tuple)) else (fn,):
        if not callable(one):
            raise AssertionError(f"allow_in_graph expects a callable, got {type(one)}")
    return fn


def disallow_in_graph(fn: Any) -> Any:
    """The function itself: it runs in Python in every step."""
    return fn


def assume_constant_result(fn: _Function) -> _Function:
    """The function itself: it is called each time."""
    return fn


def substitute_in_graph(
    original_fn: Callable[..., Any],
    *,
    can_constant_fold_through: bool = False,
    skip_signature_check: bool = False,
) -> Callable[[_Function], _Function]:
    """A decorator that returns its function: the original one runs, also where it records."""
    return lambda function: function


def nested_compile_region(fn: Any = None, **options: Any) -> Any:
    """The function itself: equal kernels are compiled once anyway."""
    return (lambda function: function) if fn is None else fn


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """Names that `compile(backend=...)` may be given; one compiler stands behind all of them."""
    return sorted(BACKENDS[:5])


def cudagraph_mark_step_begin() -> None:
    """A step of training or inference begins; steps are found by themselves here."""


def wrap_numpy(fn: _Function) -> _Function:
    """The function itself: NumPy's arrays stay NumPy's."""
    return fn


def set_enable_guard_collectives(enabled: bool) -> bool:
    """Whether processes agree on what is compiled; returns what was set before: False."""
    return False


def save_cache_artifacts() -> None:
    """Compiled code as bytes: None, as kernels are kept on disk by themselves."""
    return None


def load_cache_artifacts(serialized_artifacts: bytes) -> None:
    """Take over compiled code: PyTorch's fits nothing here."""
    return None


@contextlib.contextmanager
def _no_cache() -> Iterator[None]:
    yield


def _all_guards(guard_entries: Any) -> list[bool]:
    return [True for _ in guard_entries]


skip_guard_on_inbuilt_nn_modules_unsafe = _all_guards
skip_guard_on_all_nn_modules_unsafe = _all_guards
skip_guard_on_globals_unsafe = _all_guards
skip_all_guards_unsafe = _all_guards
keep_portable_guards_unsafe = _all_guards
