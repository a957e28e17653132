"""`GradScaler`: losses times a factor, so that gradients in float16 do not vanish.

In: losses and optimizers.  Out: scaled losses, steps that are left out where a gradient is
infinite, and a factor that follows.  Level 12.
"""

from __future__ import annotations

import enum
import inspect
import warnings
from collections.abc import Iterable
from typing import Any

from rushlight.base.dtypes import float32, int32
from rushlight.engine.accelerators import KINDS
from rushlight.ops.comparison import isfinite
from rushlight.ops.creation import full
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

__all__ = ["GradScaler", "OptState"]


class OptState(enum.Enum):
    """How far an optimizer is within this iteration."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


class GradScaler:
    """Multiplies losses by a factor and divides gradients by it again.

    The factor is multiplied by `backoff_factor` after a step with an infinite gradient, and by
    `growth_factor` after `growth_interval` steps without.
    device: for one that is not there a warning says so, and nothing is scaled.
    Raises: AssertionError unless growth_factor > 1 > backoff_factor.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        kind = KINDS.get(str(device).partition(":")[0])
        if enabled and device != "cpu" and (kind is None or not kind.backends()):
            warnings.warn(
                f"torch.{device}.amp.GradScaler is enabled, but {device.upper()} is not available."
                "  Disabling.",
                stacklevel=2,
            )
            self._enabled = False
        if not self._enabled:
            return
        if growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._init_scale = init_scale
        self._scale: Tensor | None = None
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._init_growth_tracker = 0
        self._growth_tracker: Tensor | None = None
        self._stages: dict[int, OptState] = {}
        self._found: dict[int, list[Any]] = {}

    def is_enabled(self) -> bool:
        """Whether losses are scaled."""
        return self._enabled

    def _lazy(self) -> Any:
        if self._scale is None:
            self._scale = full((), self._init_scale, dtype=float32)
            self._growth_tracker = full((), self._init_growth_tracker, dtype=int32)
        return self._scale

    def _needs_scale(self, operation: str) -> Any:
        if self._scale is None:
            raise AssertionError(
                f"Attempted {operation} but _scale is None.  This may indicate your script did not"
                " use scaler.scale(loss or outputs) earlier in the iteration."
            )
        return self._scale

    def scale(self, outputs: Any) -> Any:
        """A tensor, or each of an iterable of tensors, times the factor.

        Raises: ValueError for anything else.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._lazy()
        if isinstance(outputs, Iterable) and not isinstance(outputs, str):
            scaled = [self.scale(output) for output in outputs]
            if isinstance(outputs, (list, tuple)):
                return type(outputs)(scaled)
            return scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the factor, once per `update`.

        Raises: RuntimeError the second time or after `step`, ValueError for float16 gradients.
        """
        if not self._enabled:
            return
        scale = self._needs_scale("unscale_")
        stage = self._stages.get(id(optimizer), OptState.READY)
        if stage is OptState.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if stage is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        inverse = scale.double().reciprocal().float()
        self._found[id(optimizer)] = self._divide(optimizer, inverse)
        self._stages[id(optimizer)] = OptState.UNSCALED

    def _divide(self, optimizer: Any, inverse: Any) -> list[Any]:
        """Scale gradients in place; for each, whether it is finite."""
        finite = []
        with no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    gradient = parameter.grad
                    if gradient is None:
                        continue
                    if gradient.dtype.name == "float16":
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    if gradient.is_sparse:
                        gradient = gradient._values()
                    finite.append(isfinite(gradient).all())
                    gradient.mul_(inverse.to(gradient.dtype))
        return finite

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Unscale if that was not done, then step unless a gradient is infinite.

        Returns what the optimizer's step returns, or None.
        Raises: RuntimeError the second time, AssertionError if no parameter has a gradient.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._needs_scale("step")
        stage = self._stages.get(id(optimizer), OptState.READY)
        if stage is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            kwargs.update(self._for_own_scaling(optimizer))
            result = optimizer.step(*args, **kwargs)
            self._stages[id(optimizer)] = OptState.STEPPED
            return result
        if stage is OptState.READY:
            self.unscale_(optimizer)
        if not self._found.get(id(optimizer)):
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None
        if all(bool(finite) for finite in self._found[id(optimizer)]):
            result = optimizer.step(*args, **kwargs)
        self._stages[id(optimizer)] = OptState.STEPPED
        return result

    def _for_own_scaling(self, optimizer: Any) -> dict[str, Any]:
        """What an optimizer that unscales by itself is given."""
        takes = "grad_scaler" in inspect.signature(optimizer.step).parameters
        return {"grad_scaler": self} if takes else {}

    def update(self, new_scale: Any = None) -> None:
        """Let the factor follow what was found, or set it.

        Raises: AssertionError if no step was taken.
        """
        if not self._enabled:
            return
        scale = self._needs_scale("update")
        tracker: Any = self._growth_tracker
        with no_grad():
            if new_scale is not None:
                scale.copy_(new_scale) if isinstance(new_scale, Tensor) else scale.fill_(new_scale)
            else:
                found = [finite for each in self._found.values() for finite in each]
                if not found:
                    raise AssertionError("No inf checks were recorded prior to update.")
                if not all(bool(finite) for finite in found):
                    scale.mul_(self._backoff_factor)
                    tracker.zero_()
                elif int(tracker) + 1 == self._growth_interval:
                    grown = scale * self._growth_factor
                    if bool(isfinite(grown)):
                        scale.copy_(grown)
                    tracker.zero_()
                else:
                    tracker.add_(1)
        self._stages, self._found = {}, {}

    def get_scale(self) -> float:
        """The factor."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._lazy())

    def get_growth_factor(self) -> float:
        """What the factor is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Choose what the factor is multiplied by when it grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the factor is multiplied by after an infinite gradient."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Choose what the factor is multiplied by after an infinite gradient."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """Steps without an infinite gradient after which the factor grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Choose the steps after which the factor grows."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        if self._growth_tracker is None:
            return self._init_growth_tracker
        return int(self._growth_tracker)  # type: ignore[call-overload]

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later run continues with; empty if nothing is scaled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with a state.  Raises: RuntimeError for an empty one."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled"
                " instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale is not None:
            self._scale = None
            self._lazy()
