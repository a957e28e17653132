"""Where the time goes, as `torch.profiler`.  Level: profiler (12).

`record_function` is there at once; what profiles is imported when it is first named, since it knows
the compiler.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rushlight.profiler.ranges import record_function

if TYPE_CHECKING:
    from rushlight.profiler.events import DeviceType
    from rushlight.profiler.export import tensorboard_trace_handler
    from rushlight.profiler.profiling import (
        ProfilerAction,
        ProfilerActivity,
        profile,
        schedule,
        supported_activities,
    )

_HOMES = {
    "DeviceType": "events",
    "ProfilerAction": "profiling",
    "ProfilerActivity": "profiling",
    "profile": "profiling",
    "schedule": "profiling",
    "supported_activities": "profiling",
    "tensorboard_trace_handler": "export",
}

__all__ = [
    "DeviceType",
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


def kineto_available() -> bool:
    """Whether PyTorch's own tracing library is there: it is neither there nor needed."""
    return False


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
