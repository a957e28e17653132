"""Backward hooks of modules: full ones, seen by two identity functions around `forward`.  Level 12.

All inputs pass through one `BackwardHookFunction`, all outputs through another.  In backward the
output gate meets the gradients of the outputs (and runs the pre-hooks), the input gate those of the
inputs (and runs the hooks).  If no input requires a gradient, there is no input gate and the hooks
run at the output gate with None for every input.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.autograd import Function
from rushlight.tensor.grad_mode import is_grad_enabled
from rushlight.tensor.tensor import Tensor

Gradients = tuple


class BackwardHookFunction(Function):
    """The identity on several tensors, which shows their gradients to a callable."""

    @staticmethod
    def forward(
        ctx: Any, observer: Callable, materialize: bool, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.observer = observer
        ctx.set_materialize_grads(materialize)
        outputs = tuple(tensor.view_as(tensor) for tensor in tensors)
        constant = [out for out, tensor in zip(outputs, tensors) if not tensor.requires_grad]
        ctx.mark_non_differentiable(*constant)
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple:
        return None, None, *ctx.observer(grads)


class BackwardHooks:
    """Wires the backward hooks of one call of a module."""

    def __init__(
        self, module: Any, hooks: Sequence[Callable], pre_hooks: Sequence[Callable]
    ) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: Gradients | None = None
        self.input_places: Any = None  # list[int], or None before the inputs are seen
        self.output_places: Any = None
        self.input_count = 0
        self.output_count = 0

    def gate_inputs(self, args: tuple) -> tuple:
        """The arguments, the tensors among them passed through the input gate."""
        self.input_count = len(args)
        args, self.input_places = _through_gate(args, self._at_inputs, True)
        return args

    def gate_outputs(self, result: Any) -> Any:
        """The result, the tensors in it passed through the output gate."""
        if not isinstance(result, (Tensor, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of "
                f"Tensors but received {type(result)}",
                stacklevel=4,
            )
            return result
        results = result if isinstance(result, tuple) else (result,)
        self.output_count = len(results)
        results, self.output_places = _through_gate(results, self._at_outputs, False)
        return results if isinstance(result, tuple) else results[0]

    def _at_outputs(self, grads: Gradients) -> Gradients:
        self.grad_outputs = _spread(grads, self.output_places, self.output_count)
        for hook in self.pre_hooks:
            replaced = _as_gradients(hook(self.module, self.grad_outputs))
            if replaced is None:
                continue
            if len(replaced) != self.output_count:
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, got "
                    f"{len(replaced)}, but expected {self.output_count}"
                )
            self.grad_outputs = replaced
        grad_outputs = self.grad_outputs
        if self.input_places is None:
            self._run_without_inputs()
        return tuple(grad_outputs[place] for place in self.output_places)

    def _run_without_inputs(self) -> None:
        if self.hooks:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module "
                "outputs since no inputs require gradients.",
                stacklevel=2,
            )
        nothing = (None,) * self.input_count
        for hook in self.hooks:
            replaced = _as_gradients(hook(self.module, nothing, self.grad_outputs))
            if replaced is not None and any(grad is not None for grad in replaced):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )
        self.grad_outputs = None

    def _at_inputs(self, grads: Gradients) -> Gradients:
        # Without grad_outputs the gradient came past the module's outputs, as in double backward.
        if self.grad_outputs is None:
            return grads
        found = _spread(grads, self.input_places, self.input_count)
        for hook in self.hooks:
            replaced = _as_gradients(hook(self.module, found, self.grad_outputs))
            if replaced is None:
                continue
            if len(replaced) != self.input_count:
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, got "
                    f"{len(replaced)}, but expected {self.input_count}"
                )
            found = replaced
        self.grad_outputs = None
        return tuple(found[place] for place in self.input_places)


def _as_gradients(returned: Any) -> Gradients | None:
    """What a hook returned, as a tuple."""
    return (returned,) if isinstance(returned, Tensor) else returned


def _spread(grads: Gradients, places: list[int], count: int) -> Gradients:
    """The gradients at their places among `count` values, None elsewhere."""
    spread = [None] * count
    for place, grad in zip(places, grads, strict=True):
        spread[place] = grad
    return tuple(spread)


def _through_gate(
    values: tuple, observer: Callable, materialize: bool
) -> tuple[tuple, list[int] | None]:
    """Values with their tensors gated, and the tensors' places; None if nothing needs gradients.

    materialize: whether the observer gets zeros for tensors without a gradient, as hooks' inputs
        do in PyTorch, and not None, as their outputs do.
    """
    places = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    if not is_grad_enabled() or not any(values[place].requires_grad for place in places):
        return values, None
    gated = BackwardHookFunction.apply(observer, materialize, *[values[place] for place in places])
    mixed = list(values)
    for place, tensor in zip(places, gated, strict=True):
        mixed[place] = tensor
    if type(values) is tuple:
        return tuple(mixed), places
    return type(values)(*mixed), places  # a named tuple


def first_grad_fn(result: Any) -> Any:
    """The grad_fn of the first tensor found in a (nested) result, or None."""
    while not isinstance(result, Tensor):
        if isinstance(result, dict):
            tensors = [value for value in result.values() if isinstance(value, Tensor)]
            if not tensors:
                return None
            result = tensors[0]
        elif isinstance(result, (tuple, list)) and result:
            result = result[0]
        else:
            return None
    return result.grad_fn
