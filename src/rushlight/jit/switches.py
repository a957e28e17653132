"""Switches of TorchScript's compiler, kept without effect, and its parallel calls.  Level 12."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rushlight.futures import Future

_switches = {"onednn": False}
_strategy = [("STATIC", 2), ("DYNAMIC", 10)]


def enable_onednn_fusion(enabled: bool) -> None:
    """Choose whether oneDNN fuses; kept."""
    _switches["onednn"] = bool(enabled)


def onednn_fusion_enabled() -> bool:
    """What `enable_onednn_fusion` was given."""
    return _switches["onednn"]


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """How often code is made for new shapes: kept, as it is made once for all of them here.

    Returns: what was chosen before.
    """
    before = list(_strategy)
    _strategy[:] = strategy
    return before


@contextlib.contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """Context that asks for optimized code; it always is."""
    yield


@contextlib.contextmanager
def fuser(name: str) -> Iterator[None]:
    """Context that chooses a fuser; there is one."""
    yield


class strict_fusion:  # noqa: N801 - PyTorch's name
    """Context in which PyTorch warns about what is not fused."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def run_frozen_optimizations(
    mod: Any, optimize_numerics: bool = True, preserved_methods: Any = None
) -> None:
    """Optimize a frozen module: its programs are, when they first run."""


def last_executed_optimized_graph() -> None:
    """The graph that ran last; `rushlight.explain` shows what ran."""
    return None


def export_opnames(m: Any) -> list[str]:
    """Operations that a scripted module needs: none of another library's."""
    return []


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """A call that runs in a thread of its own, as a future."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            result = func(*args, **kwargs)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, daemon=True).start()
    return future


def wait(future: Future[Any]) -> Any:
    """The result of a forked call.  Raises: what the call raised."""
    return future.wait()
