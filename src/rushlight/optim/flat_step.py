"""FlatOptimizer: one update rule for many parameters at once.  Level 12.

Parameters of a group that share dtype, device, kind of state and step count form a bucket.  Its
parameters, gradients and states are packed into flat tensors, the optimizer's rule runs once on
those, and the results are unpacked into the parameters: what a step records does not grow with
the number of parameters.

In: `rule` and `new_state` of a subclass.  Invariants: state tensors are updated in place, one per
parameter, as PyTorch keeps them; nothing is read, so a step never forces a flush by itself.
Numbers that are the same for a whole parameter (the step count) are 0-d tensors in the state, and
also known here as Python numbers, which hold as long as nobody else wrote to the tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base.dtypes import float64, get_default_dtype, narrow
from rushlight.base.hot import hot
from rushlight.optim.group_replay import GroupReplay, Known, Member, State, count_tensor
from rushlight.optim.optimizer import Optimizer
from rushlight.primitives.elementwise import imag, make_complex, real
from rushlight.primitives.movement import pack, unpack
from rushlight.tape.tape import local
from rushlight.tensor.grad_mode import enable_grad
from rushlight.tensor.sparse_tensor import SparseTensor
from rushlight.tensor.storage import write
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

Flat = dict[str, Tensor]


def with_shared_options(group: dict[str, Any], x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Parameter and gradient after the group's `maximize` and `weight_decay` (decoupled or not)."""
    if group["maximize"]:
        g = -g
    decay = group["weight_decay"]
    if decay == 0:
        return x, g
    if group.get("decoupled_weight_decay", False):
        return x * (1 - scalar_option(group["lr"]) * decay), g
    return x, g + x * decay


class FlatOptimizer(Optimizer):
    """An optimizer whose rule is elementwise.

    scalars: names of the states that are one number per parameter.
    """

    scalars: tuple[str, ...] = ("step",)

    def new_state(self, group: dict[str, Any], param: Tensor) -> State:
        """The state of a parameter before its first step."""
        raise NotImplementedError

    def rule(
        self, group: dict[str, Any], x: Tensor, g: Tensor, state: Flat, known: dict[str, float]
    ) -> tuple[Tensor, Flat, dict[str, float]]:
        """One step.  Shapes: all tensors (total,); complex ones as all real, then all imaginary.

        Returns: new x, the states that change, and the new values of `scalars`.
        """
        raise NotImplementedError

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
                replay = self._replays.get(id(group))
                if replay is None or not replay.step(self, group):
                    self._step_group(group, replay, differentiable)
        finally:
            tape.grad_enabled = enabled
        return loss

    def _step_group(
        self, group: dict[str, Any], replay: GroupReplay | None, differentiable: bool
    ) -> None:
        if replay is not None:
            replay.give_back(self)
        buckets = self._buckets(group)
        if len(buckets) == 1 and not differentiable:
            (members,) = buckets.values()
            self._replays[id(group)] = replay = GroupReplay(group, members, self.scalars)
            replay.bring_leaves([member.grad for member in members])
        for (_, numbers), members in buckets.items():
            self.step_bucket(group, members, dict(zip(self.scalars, numbers)))

    def _buckets(self, group: dict[str, Any]) -> dict[tuple, list[Member]]:
        """Members by what they must share to be updated together."""
        buckets: dict[tuple, list[Member]] = {}
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
            numbers = tuple(self._number(param, state, name) for name in self.scalars)
            key = ((param.dtype, param.device, tuple(state)), numbers)
            buckets.setdefault(key, []).append(Member(param, grad, state))
        return buckets

    def sparse_step(self, group: dict[str, Any], param: Tensor, grad: SparseTensor) -> None:
        """One step of one parameter, whose gradient has only some of its rows.

        Raises: RuntimeError, unless the subclass has a rule for it.
        """
        name = type(self).__name__
        hint = ", please consider SparseAdam instead" if name == "Adam" else ""
        raise RuntimeError(f"{name} does not support sparse gradients{hint}")

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

    def _matching_gradient(self, param: Tensor, grad: Tensor) -> Tensor:
        if grad.dtype.is_complex != param.dtype.is_complex:
            raise RuntimeError(
                f"{type(self).__name__}: a {param.dtype} parameter has a gradient of {grad.dtype}; "
                "give it a gradient of its own dtype"
            )
        return grad.to(param.dtype)

    def step_bucket(
        self, group: dict[str, Any], members: list[Member], known: dict[str, float]
    ) -> Flat:
        """Record the update of parameters that go together; returns the flat states that change.

        known: the numbers of `scalars`.
        """
        first = members[0]
        is_complex = first.param.dtype.is_complex

        def packed(tensors: list[Tensor]) -> Tensor:
            flat = pack(tensors)
            return pack([real(flat), imag(flat)]) if is_complex else flat

        x = packed([member.param for member in members])
        g = packed([member.grad for member in members])
        flat_states = {
            name: packed([member.state[name] for member in members])
            for name in first.state
            if name not in self.scalars
        }
        x, changed, numbers = self.rule(group, x, g, flat_states, known)
        shapes = tuple(tuple(member.param.shape) for member in members)
        self._write([member.param for member in members], x, shapes, is_complex)
        for name, flat in changed.items():
            targets = [self._state_tensor(member, name) for member in members]
            self._write(targets, flat, shapes, is_complex)
        for name, value in numbers.items():
            self._write_number(members, name, value)
        return changed

    def _state_tensor(self, member: Member, name: str) -> Tensor:
        """The state tensor to write to; made at first if the rule starts a state of its own."""
        state = self.state[member.param]
        if name not in state:
            state[name] = state_like(member.param)
        return state[name]

    def _write(self, targets: list[Tensor], flat: Tensor, shapes: tuple, is_complex: bool) -> None:
        if is_complex:
            half = (flat.shape[0] // 2,)
            flat = make_complex(*unpack(flat, (half, half)))
        differentiable = self.defaults.get("differentiable", False)
        for target, value in zip(targets, unpack(flat, shapes)):
            if differentiable:
                write(target, value)
            else:
                target._assign_value(value)

    # ---- numbers that are one per parameter --------------------------------------------------

    def _number(self, param: Tensor, state: State, name: str) -> float:
        tensor = state[name]
        known = self._known.get((id(param), name))
        return known.value if known is not None and known.held_by(tensor) else float(tensor)

    def known_number(self, param: Tensor, name: str) -> Known | None:
        """What is known of a scalar of a parameter without reading it."""
        return self._known.get((id(param), name))

    def _write_number(self, members: list[Member], name: str, value: float) -> None:
        number = count_tensor(value)
        known = Known(number._node, value)
        for member in members:
            member.state[name]._assign_value(number)
            self.note_number(member.param, name, known)

    def note_number(self, param: Tensor, name: str, known: Known) -> None:
        """Remember what a scalar of a parameter holds."""
        self._known[id(param), name] = known

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self._known: dict[tuple[int, str], Known] = {}
        self._replays: dict[int, GroupReplay] = {}
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._known = {}
        self._replays = {}
        # Options that an older checkpoint does not know keep the values given at construction.
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)
        for entry in self.state.values():
            for name in self.scalars:
                if isinstance(entry, dict) and isinstance(entry.get(name), (int, float)):
                    entry[name] = count_tensor(float(entry[name]))


def _loss_of(closure: Callable[[], Any]) -> Any:
    with enable_grad():
        return closure()


def state_like(param: Tensor, value: complex = 0) -> Tensor:
    """A state tensor of the parameter's shape and dtype with one value everywhere."""
    dtype = param.dtype
    array = np.full(tuple(param.shape), narrow(value, dtype), dtype=dtype.numpy)
    return tensor_from_numpy(array, dtype)


def rounded(value: float) -> float:
    """`value` as `count_tensor` keeps it."""
    if get_default_dtype() is float64:
        return value
    return float(np.float32(value))


@hot
def lerp(start: Tensor, end: Tensor, weight: Any) -> Tensor:
    """start + weight (end - start), from the nearer end so that weight 1 gives `end` exactly."""
    if isinstance(weight, Tensor) or abs(weight) < 0.5:
        return start + (end - start) * weight
    return end - (end - start) * (1 - weight)


@hot
def scalar_option(value: Any) -> Any:
    """A one-element tensor option as a 0-d tensor; other values as they are."""
    if isinstance(value, Tensor) and value.dim() != 0:
        return value.squeeze()
    return value


def check_lr(lr: Any) -> None:
    """Raises: ValueError for a negative rate or a tensor of several elements."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element, but it has shape {tuple(lr.shape)}")
    if not lr >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_not_negative(name: str, value: Any) -> None:
    """Raises: ValueError, in PyTorch's words, when an option is negative or not a number."""
    if not value >= 0.0:
        raise ValueError(f"Invalid {name} value: {value}")


def check_eps(eps: float) -> None:
    """Raises: ValueError, in PyTorch's words, when the denominator's guard is negative."""
    if not eps >= 0.0:
        raise ValueError(f"Invalid epsilon value: {eps}")


def check_betas(betas: tuple[Any, Any]) -> None:
    """Raises: ValueError unless both decay rates lie in [0, 1)."""
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def check_flavor(foreach: bool | None, fused: bool | None, differentiable: bool) -> None:
    """The options that choose an implementation in PyTorch; here there is one, equal to all.

    Raises: RuntimeError and ValueError for the combinations PyTorch refuses.
    """
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
