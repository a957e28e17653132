"""LRScheduler: the base class of the schedules, and access to a group's options.  Level 12.

A schedule sets group["lr"] (and momenta, for some) at construction and at each `step()`.  Rates
may be Python numbers or 0-d tensors; a tensor is filled in place, so that its holders see it.
Invariant: everything in a schedule's `__dict__` but the optimizer is its saved state.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rushlight.optim.optimizer import Optimizer
from rushlight.tensor.tensor import Tensor

_EPOCH_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
    "possible. Please use `scheduler.step()` to step the scheduler; with an epoch the closed form "
    "is used instead of the chainable one, where there is one."
)

_ORDER_WARNING = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite "
    "order: `optimizer.step()` before `lr_scheduler.step()`.  Otherwise the first value of the "
    "learning rate schedule is skipped."
)


class LRScheduler:
    """Base class: sets each group's learning rate to what `get_lr()` returns.

    last_epoch: -1 to start; the index of the last step to resume, which needs `initial_lr` in each
    group.  Source: torch.optim.lr_scheduler.LRScheduler.
    """

    _get_lr_called_within_step: bool = False
    _is_initial: bool = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, group_values(optimizer, "lr")):
                group.setdefault("initial_lr", rate)
        else:
            for number, group in enumerate(optimizer.param_groups):
                if "initial_lr" not in group:
                    raise KeyError(
                        f"param 'initial_lr' is not specified in param_groups[{number}] when "
                        "resuming scheduler with last_epoch >= 0; load the optimizer's state "
                        "first, or leave last_epoch at -1 to start anew"
                    )
        self.base_lrs = group_values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The rates set last, one for each group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The rates for step `last_epoch`; a subclass says which."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def step(self, epoch: int | None = None) -> None:
        """Advance by one (or to `epoch`, a deprecated way) and set the rates."""
        if self._step_count == 1 and not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(_ORDER_WARNING, UserWarning, stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warn_epoch(stacklevel=3)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        with self._getting_lr():
            if epoch is None:
                self.last_epoch += 1
                rates = self.get_lr()
            else:
                self.last_epoch = epoch
                closed_form = getattr(self, "_get_closed_form_lr", self.get_lr)
                rates = closed_form()
        self._set_rates(rates)

    def _set_rates(self, rates: list[Any]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates):
            set_group_value(group, "lr", rate)
        self._last_lr = group_values(self.optimizer, "lr")

    @contextmanager
    def _getting_lr(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_outside_step(self) -> None:
        """`get_lr()` gives the next rate relative to the present one: not for callers."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def _rates(self) -> list[Any]:
        """The present rates, for schedules that leave them as they are."""
        return group_values(self.optimizer, "lr")

    def _rates_times(self, factor: float) -> list[Any]:
        return [group["lr"] * factor for group in self.optimizer.param_groups]


class _LRScheduler(LRScheduler):
    """The base class's old name, for `isinstance` checks in older scripts."""


def check_optimizer(optimizer: Any) -> None:
    """Raises: TypeError unless `optimizer` is one."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def warn_epoch(stacklevel: int) -> None:
    """Warn that `epoch` was given to a step."""
    warnings.warn(_EPOCH_WARNING, UserWarning, stacklevel=stacklevel)


def group_values(optimizer: Optimizer, name: str) -> list[Any]:
    """The groups' values of an option; tensors are copied, since steps write into them."""
    values = [group[name] for group in optimizer.param_groups]
    return [value.clone() if isinstance(value, Tensor) else value for value in values]


def set_group_value(group: dict[str, Any], name: str, value: Any) -> None:
    """Set an option, filling in place where it is a tensor."""
    if isinstance(group[name], Tensor):
        group[name].fill_(value)
    else:
        group[name] = value


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """`value` as one for each group.  Raises: ValueError for a list of another length."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        value = [value] * count
    elif len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {count}."
        )
    return [item.clone() if isinstance(item, Tensor) else item for item in value]


def callable_state(function: Callable) -> dict[str, Any] | None:
    """What to save of a user's callable: an object's attributes; nothing of a plain function."""
    if isinstance(function, types.FunctionType):
        return None
    return function.__dict__.copy()
