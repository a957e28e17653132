"""FlatOptimizer: one update rule for many parameters at once.  Level 12.

A rule is two functions.  `numbers` says what a group's options and step counts come to: the numbers
that enter an update, and its form, which decides what is recorded.  `rule` records it, and sees
nothing else, so that an update of a known form is a block (`optim/bucket.py`).

Invariants: state tensors are updated in place, one per parameter, as PyTorch keeps them; nothing is
read, so a step never forces a flush by itself.  Numbers that are the same for a whole parameter
(the step count) are 0-d tensors in the state, and also known as Python numbers, which hold as long
as nobody else wrote to the tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any

from rushlight.base.hot import hot
from rushlight.optim.bucket import Bucket, Flat, Numbers, State
from rushlight.optim.optimizer import Optimizer
from rushlight.optim.options import count_tensor, scalar_option, state_like
from rushlight.tape.tape import local
from rushlight.tensor.grad_mode import enable_grad
from rushlight.tensor.sparse_tensor import SparseTensor
from rushlight.tensor.tensor import Tensor


class FlatOptimizer(Optimizer):
    """An optimizer whose rule is elementwise.

    scalars: names of the states that are one number per parameter.
    """

    scalars: tuple[str, ...] = ("step",)

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self._divisions: dict[int, Division] = {}
        super().__init__(params, defaults)

    # ---- what a subclass says ----------------------------------------------------------------

    def new_state(self, group: dict[str, Any], param: Tensor) -> State:
        """The state of a parameter before its first step."""
        raise NotImplementedError

    def numbers(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        """What the options come to in the step after `known`, the `scalars` of before.

        `maximize` and `weight_decay` are seen to by this class.
        """
        raise NotImplementedError

    def rule(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        """One step.  Shapes: x, g and states (total,), complex ones as all real, then all
        imaginary; n, the numbers by name, ().

        Returns: new x, and the states that change.
        """
        raise NotImplementedError

    def sparse_step(self, group: dict[str, Any], param: Tensor, grad: SparseTensor) -> None:
        """One step of one parameter, whose gradient has only some of its rows.

        Raises: RuntimeError, unless the subclass has a rule for it.
        """
        name = type(self).__name__
        hint = ", please consider SparseAdam instead" if name == "Adam" else ""
        raise RuntimeError(f"{name} does not support sparse gradients{hint}")

    # ---- a step ------------------------------------------------------------------------------

    @hot
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure` returned."""
        loss = None if closure is None else _loss_of(closure)
        differentiable = bool(self.defaults.get("differentiable", False))
        tape = local.tape
        enabled = tape.grad_enabled
        tape.grad_enabled = differentiable
        tape.training = True
        try:
            for group in self.param_groups:
                division = self._divisions.get(id(group))
                grads = None if division is None else division.gradients(group, self.state)
                if division is None or grads is None:
                    division, grads = self._divide(group)
                for bucket, gradients in zip(division.buckets, grads):
                    bucket.update(self, group, gradients, differentiable)
        finally:
            tape.grad_enabled = enabled
        return loss

    @hot
    def numbers_of(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        """`numbers` with the options that all rules share."""
        form, values, scalars = self.numbers(group, known)
        decay = group.get("weight_decay", 0)
        decays = None
        if isinstance(decay, Tensor) or decay != 0:
            decays = bool(group.get("decoupled_weight_decay", False))
            values["decay"] = 1 - scalar_option(group["lr"]) * decay if decays else decay
        return Numbers((bool(group["maximize"]), decays, form), values, scalars)

    def rule_of(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        """`rule` after the options that all rules share."""
        maximize, decays, form = form
        if maximize:
            g = -g
        if decays is True:
            x = x * n["decay"]
        elif decays is False:
            g = g + x * n["decay"]
        return self.rule(form, x, g, state, n)

    # ---- buckets -----------------------------------------------------------------------------

    def _divide(self, group: dict[str, Any]) -> tuple[Division, list[list[Tensor]]]:
        """The group's buckets, and the gradients of each."""
        members: dict[tuple, list[tuple[Tensor, Tensor, State]]] = {}
        for param in group["params"]:
            grad = param.grad
            if grad is None:
                continue
            if type(grad) is SparseTensor:
                self.sparse_step(group, param, grad)
                continue
            if grad.dtype is not param.dtype:
                grad = self._matching_gradient(param, grad)
            state = self._state_of(group, param)
            counts = tuple([float(state[name]) for name in self.scalars])
            kinds = tuple([state[name].dtype for name in self.scalars])
            key = (param.dtype, param.device, tuple(state), counts, kinds)
            members.setdefault(key, []).append((param, grad, state))
        buckets, grads = [], []
        for (*_, counts, _), entries in members.items():
            params, gradients, states = map(list, zip(*entries))
            buckets.append(Bucket(params, states, dict(zip(self.scalars, counts))))
            grads.append(gradients)
        division = self._divisions[id(group)] = Division(group["params"], buckets)
        return division, grads

    def has_bucket(self, group: dict[str, Any], bucket: Bucket) -> bool:
        """Whether it is among those that the group was divided into at its last step."""
        division = self._divisions.get(id(group))
        return division is not None and any(bucket is other for other in division.buckets)

    def _state_of(self, group: dict[str, Any], param: Tensor) -> State:
        state = self.state.get(param)
        if state:
            return state
        fresh = self.new_state(group, param)
        if not fresh:
            return {}
        state = self.state[param]
        state.update(fresh)
        return state

    def state_tensor(self, param: Tensor, name: str) -> Tensor:
        """The state to write to; made now if the rule starts a state of its own."""
        state = self.state[param]
        if name not in state:
            state[name] = state_like(param)
        return state[name]

    def _matching_gradient(self, param: Tensor, grad: Tensor) -> Tensor:
        if grad.dtype.is_complex != param.dtype.is_complex:
            raise RuntimeError(
                f"{type(self).__name__}: a {param.dtype} parameter has a gradient of {grad.dtype}; "
                "give it a gradient of its own dtype"
            )
        return grad.to(param.dtype)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._divisions = {}
        # Options that an older checkpoint does not know keep the values given at construction.
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)
        for entry in self.state.values():
            for name in self.scalars:
                if isinstance(entry, dict) and isinstance(entry.get(name), (int, float)):
                    entry[name] = count_tensor(float(entry[name]))


@hot
class Division:
    """A group's buckets, as its last step left them.

    idle: parameters that had no gradient.
    """

    __slots__ = ("params", "idle", "buckets")

    def __init__(self, params: list[Tensor], buckets: list[Bucket]) -> None:
        self.params = list(params)
        moved = {id(param) for bucket in buckets for param in bucket.params}
        self.idle = [param for param in params if id(param) not in moved]
        self.buckets = buckets

    @hot
    def gradients(self, group: dict[str, Any], everything) -> list[list[Tensor]] | None:
        """The gradients of each bucket; None where the group must be divided anew."""
        params = self.params
        if len(group["params"]) != len(params) or not all(map(is_, group["params"], params)):
            return None
        for param in self.idle:
            if param._grad is not None:
                return None
        found = []
        for bucket in self.buckets:
            grads = bucket.gradients(everything)
            if grads is None:
                return None
            found.append(grads)
        return found


def _loss_of(closure: Callable[[], Any]) -> Any:
    with enable_grad():
        return closure()
