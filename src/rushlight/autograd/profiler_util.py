"""Events and their lists under the name that `torch.autograd.profiler_util` gives them.
Level: autograd (12)."""

from rushlight.profiler.events import EventList, FunctionEvent, FunctionEventAvg, Interval

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "Interval"]
