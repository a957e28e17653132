"""Making a plan's machine code, and what happens where that fails: it is said, and recorded.

The reference rules compute such a plan instead.  A compiler that cannot be loaded is tried once in
a process; a plan that cannot be compiled is tried once.  Each reason is warned of once and counted
in `stats.fallback_reasons`.  Level 9.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from types import ModuleType

from rushlight.base.config import config
from rushlight.base.errors import CompilerWarning
from rushlight.base.stats import stats
from rushlight.engine.plan import Plan

_warned: set[str] = set()


@functools.cache
def compiler() -> ModuleType | None:
    """The compiler, or None if it does not work here.

    It is loaded at the first compile: LLVM alone would double the time of an import.  That it works
    is shown by the worker pool, which is machine code too.
    """
    try:
        loaded = importlib.import_module("rushlight.engine.template")
        importlib.import_module("rushlight.runtime.threads").pool.start()
    except Exception as error:
        reason = f"the compiler does not work here ({_in_one_line(error)})"
        config.executor = "reference"
        stats.fallback_reasons[reason] = 0
        _warn(f"{reason}; everything is computed by NumPy, which is slow")
        return None
    return loaded


def is_available() -> bool:
    """Whether the compiler works here."""
    return compiler() is not None


def kernel_place() -> str:
    """The folder that keeps kernels between processes, or why there is none."""
    if not is_available():
        return "none are made"
    disk = importlib.import_module("rushlight.runtime.kernel_cache").process_cache().disk
    return disk.disk_refusal or str(disk.directory)


def is_compiled(plan: Plan, nodes: list) -> bool:
    """Whether a plan has machine code, which is made at the first call."""
    if plan.compiled is None:
        if plan.refusal is None:
            loaded = compiler()
            if loaded is None:
                return False
            _compile(loaded, plan, nodes)
        if plan.refusal is not None:
            _count(plan.refusal, len(plan.instructions))
            return False
    return True


def _compile(loaded: ModuleType, plan: Plan, nodes: list) -> None:
    if plan.placed:
        # What fails on a device is not computed elsewhere behind the program's back.
        placement = importlib.import_module("rushlight.engine.placement")
        plan.compiled = placement.PlacedPlan(plan, nodes)
        return
    try:
        plan.compiled = loaded.compiled_plan(plan, nodes)
    except Exception as error:
        plan.refusal = f"cannot be compiled ({_in_one_line(error)})"
        _warn(f"a program {plan.refusal}; it is computed by NumPy, which is slow")


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _count(reason: str, operations: int) -> None:
    stats.fallbacks += operations
    stats.fallback_reasons[reason] = stats.fallback_reasons.get(reason, 0) + operations


def _warn(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        text = f"rushlight: {message}.  `rushlight doctor` examines this machine."
        warnings.warn(text, CompilerWarning, stacklevel=2)
