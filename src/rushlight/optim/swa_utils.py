"""Averages of a model's weights: torch.optim.swa_utils.  Level 12."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, Literal

from rushlight.base.dtypes import int64
from rushlight.nn.modules.batchnorm import _BatchNorm
from rushlight.nn.modules.module import Module
from rushlight.ops.creation import tensor
from rushlight.optim.lr_scheduler.scheduler import LRScheduler, per_group
from rushlight.optim.optimizer import Optimizer
from rushlight.optim.options import lerp
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

__all__ = [
    "AveragedModel",
    "update_bn",
    "SWALR",
    "get_ema_multi_avg_fn",
    "get_swa_multi_avg_fn",
    "get_ema_avg_fn",
    "get_swa_avg_fn",
]


def get_ema_avg_fn(decay: float = 0.999) -> Callable:
    """Exponential average of one tensor: decay average + (1 - decay) value."""
    _check_decay(decay)

    def ema_update(averaged: Tensor, current: Tensor, _: Any) -> Tensor:
        with no_grad():
            return averaged * decay + current * (1 - decay)

    return ema_update


def get_swa_avg_fn() -> Callable:
    """Plain running average of one tensor."""

    def swa_update(averaged: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        with no_grad():
            return averaged + (current - averaged) / (num_averaged + 1)

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable:
    """Exponential average of a list of tensors, in place."""
    _check_decay(decay)

    def ema_update(averaged: Iterable[Tensor], current: Iterable[Tensor], _: Any) -> None:
        with no_grad():
            for average, value in zip(averaged, current):
                if average.dtype.is_floating_point or average.dtype.is_complex:
                    average.copy_(lerp(average, value, 1 - decay))
                else:
                    average.copy_(average * decay + value * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> Callable:
    """Plain running average of a list of tensors, in place."""

    def swa_update(
        averaged: Iterable[Tensor], current: Iterable[Tensor], num_averaged: Any
    ) -> None:
        with no_grad():
            for average, value in zip(averaged, current):
                average.copy_(average + (value - average) / (num_averaged + 1))

    return swa_update


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


class AveragedModel(Module):
    """A copy of a model whose weights are a running average; `update_parameters` adds to it.

    Without use_buffers, buffers are copied and not averaged.  Source: torch.optim.swa_utils.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable | None = None,
        multi_avg_fn: Callable | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's present weights into the average."""
        averaged = [average.detach() for average in self._averaged_tensors(self.module)]
        current = [
            value.detach().to(average.device)
            for value, average in zip(self._averaged_tensors(model), averaged)
        ]
        if int(self.n_averaged) == 0:
            for average, value in zip(averaged, current):
                average.copy_(value)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(averaged, current, self.n_averaged)
        else:
            average_of = self.avg_fn or get_swa_avg_fn()
            for average, value in zip(averaged, current):
                average.copy_(average_of(average, value, self.n_averaged))
        if not self.use_buffers:
            for average, value in zip(self.module.buffers(), model.buffers()):
                average.detach().copy_(value.detach().to(average.device))
        self.n_averaged += 1

    def _averaged_tensors(self, model: Module) -> Iterable[Tensor]:
        if self.use_buffers:
            return itertools.chain(model.parameters(), model.buffers())
        return model.parameters()


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Recompute the running statistics of batch normalisation by one pass over `loader`."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [module.momentum for module in norms]
    was_training = model.training
    model.train()
    for module in norms:
        module.reset_running_stats()
        # None: a plain average over all batches.
        module.momentum = None
    with no_grad():
        for batch in loader:
            if isinstance(batch, (list, tuple)):
                batch = batch[0]
            model(batch if device is None else batch.to(device))
    for module, momentum in zip(norms, momenta):
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Anneal the rate to swa_lr in anneal_epochs, and keep it.  Source: torch.optim.swa_utils."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        for rate, group in zip(per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            # The rate that annealing started from, recovered so that schedules can be chained.
            start = group["swa_lr"]
            if before != 1:
                start = (group["lr"] - before * group["swa_lr"]) / (1 - before)
            rates.append(group["swa_lr"] * now + start * (1 - now))
        return rates

    def _share(self, step: int) -> float:
        """The part of swa_lr in the rate after `step` steps."""
        progress = max(0, min(1, step / max(1, self.anneal_epochs)))
        if self._anneal_strategy == "linear":
            return progress
        return (1 - math.cos(math.pi * progress)) / 2
