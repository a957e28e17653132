"""What an unmodified program does, told to a `Run`: losses, rates, times, memory, parameters.

In: steps of optimizers, `backward` of losses, writes of `SummaryWriter`.  Out: entries of a run.
Nothing that the program computes is changed, and no value is read before the program's next step,
when it is there anyway; only its memory stays a step longer.  Parameters and gradients are read
every few seconds.  Level 12.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from rushlight.nn.modules.module import Module, register_module_forward_pre_hook
from rushlight.optim.optimizer import Optimizer, register_optimizer_step_post_hook
from rushlight.tensor.tensor import Tensor
from rushlight.utils.tensorboard import SummaryWriter
from rushlight.watch.run import Run

__all__ = ["observing"]

BETWEEN_NUMBERS = 0.05  # seconds
BETWEEN_HISTOGRAMS = 5.0
LARGEST_HISTOGRAM = 1_000_000  # elements


class _Observer:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.steps = 0
        self.losses: list[Tensor] = []
        self.names: dict[int, str] = {}
        self._told, self._told_step, self._drawn = 0.0, 0, 0.0

    def loss(self, value: Tensor) -> None:
        """A `backward` begins at this value."""
        if value.numel() == 1:
            self.losses.append(value.detach())
            del self.losses[:-8]

    def stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """An optimizer made a step: say what is known of the one before."""
        self.steps += 1
        now = time.perf_counter()
        if self.steps == 1:  # what came before was not a step
            self._told, self._told_step = now, 1
        ready, self.losses = self.losses[:-1], self.losses[-1:]
        if now - self._told < BETWEEN_NUMBERS:
            return
        record, step = self.run.record, self.steps
        if ready:
            record.scalar("loss", float(ready[-1].item()), step - 1)
        for place, group in enumerate(optimizer.param_groups):
            rate = group.get("lr")
            name = "learning rate" if place == 0 else f"learning rate, group {place}"
            if rate is not None:
                record.scalar(name, float(rate), step)
        spent = (now - self._told) / (step - self._told_step)
        record.scalar("milliseconds a step", 1000 * spent, step)
        memory = resident_bytes()
        if memory is not None:
            record.scalar("memory (MB)", memory / 1e6, step)
        if now - self._drawn >= BETWEEN_HISTOGRAMS:
            self._parameters(optimizer, step)
            self._drawn = time.perf_counter()
        # What is told here takes time of its own, which is not the program's.
        self._told, self._told_step = time.perf_counter(), step

    def _parameters(self, optimizer: Optimizer, step: int) -> None:
        for group in optimizer.param_groups:
            for place, value in enumerate(group["params"]):
                name = self.names.get(id(value), f"parameter {place}")
                if value.numel() <= LARGEST_HISTOGRAM and value.is_floating_point():
                    self.run.histogram(name, value, step)
                    if value.grad is not None and not value.grad.is_sparse:
                        self.run.histogram(f"{name}, gradient", value.grad, step)

    def name_parameters(self, module: Module, inputs: Any) -> None:
        """A module is called: the outermost one is called first and names most."""
        for name, value in module.named_parameters():
            self.names.setdefault(id(value), name)

    def end(self) -> None:
        """The last loss has no step after it."""
        if self.losses:
            self.run.record.scalar("loss", float(self.losses[-1].item()), self.steps)


@contextmanager
def observing(run: Run) -> Iterator[None]:
    """Tell `run` what this process's optimizers and losses do, while it lasts."""
    observer = _Observer(run)
    with ExitStack() as stack:
        stack.callback(register_optimizer_step_post_hook(observer.stepped).remove)
        naming = register_module_forward_pre_hook(observer.name_parameters)
        stack.callback(naming.remove)

        def stepped_once(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            naming.remove()  # names are known now, and calls of modules are fast again
            once.remove()

        once = register_optimizer_step_post_hook(stepped_once)
        stack.callback(once.remove)
        _replace(stack, Tensor, "backward", lambda plain: _telling_losses(plain, observer))
        for name, tell in _WRITES.items():
            _replace(stack, SummaryWriter, name, partial(_telling, tell=tell, run=run))
        try:
            yield
        finally:
            observer.end()


def _replace(stack: ExitStack, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    plain = vars(owner)[name]
    setattr(owner, name, make(plain))
    stack.callback(setattr, owner, name, plain)


def _telling_losses(plain: Any, observer: _Observer) -> Any:
    def backward(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        observer.loss(self)
        return plain(self, *args, **kwargs)

    return backward


def _telling(plain: Any, tell: Callable[[Run, str, Any, int], None], run: Run) -> Any:
    parameters = inspect.signature(plain)
    _, tag, value, *_ = parameters.parameters

    def write(self: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        given = parameters.bind(self, *args, **kwargs).arguments
        if given.get("dataformats", "CHW") in ("CHW", "HW", "HWC"):
            tell(run, given[tag], given[value], int(given.get("global_step") or 0))

    return write


_WRITES: dict[str, Callable[[Run, str, Any, int], None]] = {
    "add_scalar": lambda run, tag, value, step: run.record.scalar(tag, float(value), step),
    "add_histogram": Run.histogram,
    "add_image": Run.image,
    "add_text": lambda run, tag, words, step: run.text(tag, words),
}


def resident_bytes() -> int | None:
    """Memory that this process has in the machine, where the system tells it."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
