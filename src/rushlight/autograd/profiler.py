"""The older profiler, as `torch.autograd.profiler`.  Level: autograd (12).

Its table and averages are those of `rushlight.profiler`; it knows no steps.
"""

from __future__ import annotations

import functools
import os
from typing import Any

from rushlight.profiler.events import EventList, FunctionEvent, FunctionEventAvg
from rushlight.profiler.export import export_chrome_trace, export_stacks
from rushlight.profiler.ranges import record_function
from rushlight.profiler.session import Options, Session

__all__ = ["EventList", "FunctionEvent", "profile", "record_function"]


class profile:
    """Profile a block; see `rushlight.profiler.profile` for the arguments.

    enabled: False makes the block run unwatched.
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        use_kineto: bool = False,
        use_cpu: bool = True,
        experimental_config: Any = None,
        acc_events: bool = False,
        custom_trace_id_callback: Any = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        self.enabled = enabled
        self.entered = False
        self.options = Options(record_shapes, profile_memory, with_stack, with_flops)
        self._session: Session | None = None
        self._events: EventList | None = None

    def __enter__(self) -> profile:
        if not self.enabled:
            return self
        if self.entered:
            raise RuntimeError("Profiler context manager is not reentrant")
        self.entered = True
        self._session = Session(self.options)
        self._session.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.stop()
            self._events = session.events()

    def __repr__(self) -> str:
        if self._events is None:
            return "<unfinished torch.autograd.profile>"
        return repr(list(self._events))

    def __str__(self) -> str:
        if self._events is None:
            return "<unfinished torch.autograd.profile>"
        return str(self._events)

    @property
    def function_events(self) -> EventList:
        """The events.  Raises: RuntimeError before the block ended."""
        if self._events is None:
            raise RuntimeError("Profiler didn't finish running")
        return self._events

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of everything."""
        return self.function_events.self_cpu_time_total

    @functools.wraps(EventList.table)
    def table(self, *args: Any, **kwargs: Any) -> str:
        return self.function_events.table(*args, **kwargs)

    def key_averages(
        self,
        group_by_input_shape: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """Events averaged by name (and shapes, and frames of the stack)."""
        return self.function_events.key_averages(
            group_by_input_shape, group_by_stack_n, group_by_overload_name
        )

    def total_average(self) -> FunctionEventAvg:
        """Everything in one sum."""
        return self.function_events.total_average()

    def export_chrome_trace(self, path: str | os.PathLike) -> None:
        """Write the events in Chrome's format."""
        export_chrome_trace(self.function_events, path, {})

    def export_stacks(self, path: str | os.PathLike, metric: str = "self_cpu_time_total") -> None:
        """Write stacks with their times; needs `with_stack`."""
        assert self.options.with_stack, "export_stacks() requires with_stack=True"
        export_stacks(self.function_events, path, metric)


class _Ranges:
    """Ranges for another program's timeline: refused where they begin, as nobody listens."""

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None:
        self.enabled = enabled

    def __enter__(self) -> Any:
        if self.enabled:
            raise NotImplementedError(
                f"{type(self).__name__}: its ranges are for an accelerator's profiler, and there is"
                " no accelerator; use torch.profiler.profile"
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing was begun."""


class emit_nvtx(_Ranges):  # noqa: N801 - PyTorch's name
    """Ranges for NVIDIA's profiler."""


class emit_itt(_Ranges):  # noqa: N801 - PyTorch's name
    """Ranges for Intel's profiler."""
