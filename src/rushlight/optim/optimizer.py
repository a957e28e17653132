"""Optimizer: parameter groups, per-parameter state, hooks, saving and loading.  Level 12.

In: tensors (or groups of them, or named pairs) and a dict of default options.  Out: an object whose
`state_dict()` has PyTorch's format exactly, so that checkpoints travel both ways.

Invariants: every group holds a value for each default; a tensor is in one group only; `state` is
keyed by the parameter object.  Each subclass's `step` is wrapped once, so that hooks, the "step was
called" mark that schedulers look at, and the flush at the end of a step hold for user-written
optimizers too.
"""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any, TypeAlias

from rushlight.base.dtypes import float32
from rushlight.base.hooks import RemovableHandle
from rushlight.base.hot import hot
from rushlight.tensor.flush import step_end
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]

ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]

_STEP_HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
_STATE_HOOKS = (
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)

_global_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_post_hooks: OrderedDict[int, Callable] = OrderedDict()


class _Required:
    """The default of an option that every group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before each step of every optimizer."""
    return _register(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after each step of every optimizer."""
    return _register(_global_post_hooks, hook)


def _register(registry: OrderedDict, hook: Callable, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(registry)
    registry[handle.id] = hook
    if prepend:
        registry.move_to_end(handle.id, last=False)
    return handle


class Optimizer:
    """Base class of the optimizers.

    params: tensors, dicts with a "params" entry and options of their own, or (name, tensor) pairs.
    defaults: option values for groups that do not give them.
    Raises: TypeError for a bare tensor or a non-tensor parameter; ValueError for an empty list, a
    non-leaf parameter, one that is in two groups, or names given for some groups only.
    Source: torch.optim.Optimizer.
    """

    # Registries of hooks, made in a loop over _STEP_HOOKS and _STATE_HOOKS.
    _optimizer_step_pre_hooks: OrderedDict
    _optimizer_step_post_hooks: OrderedDict
    _optimizer_state_dict_pre_hooks: OrderedDict
    _optimizer_state_dict_post_hooks: OrderedDict
    _optimizer_load_state_dict_pre_hooks: OrderedDict
    _optimizer_load_state_dict_post_hooks: OrderedDict
    # Set by the first step; schedules warn when they step before it.
    _opt_called: bool

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        for registry in _STEP_HOOKS + _STATE_HOOKS:
            setattr(self, registry, OrderedDict())
        _wrap_step(type(self))
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {type(params).__name__}; put it in a list: [tensor]"
            )
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # ---- groups ------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group: a dict with "params" and any options that differ from the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        _split_names(param_group)
        for param in param_group["params"]:
            self._check_parameter(param)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization "
                    f"parameter {name}"
                )
            param_group.setdefault(name, default)
        self._check_against_groups(param_group)
        self.param_groups.append(param_group)

    def _check_parameter(self, param: Any) -> None:
        if not isinstance(param, Tensor):
            raise TypeError(
                "optimizer can only optimize Tensors, but one of the params is "
                f"{type(param).__name__}"
            )
        differentiable = self.defaults.get("differentiable", None)
        if not differentiable and not (param.is_leaf or param.retains_grad):
            raise ValueError("can't optimize a non-leaf Tensor; detach it or call retain_grad()")

    def _check_against_groups(self, param_group: dict[str, Any]) -> None:
        params = param_group["params"]
        unique = {id(p) for p in params}
        if len(unique) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, "
                "this will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
                "information",
                stacklevel=4,
            )
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                given = "with names" if "param_names" in param_group else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {given} to the optimizer"
                )
            if not unique.isdisjoint(id(p) for p in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")

    # ---- stepping ----------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once; subclasses say how."""
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    @hot
    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients (`set_to_none`), or fill them with zeros in place."""
        for group in self.param_groups:
            for param in group["params"]:
                grad = param.grad
                if grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                    continue
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    # ---- saving and loading ------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": {index: state}, "param_groups": [options and indices]}.

        Parameters appear as their position counted through all groups; state tensors are shared
        with the optimizer, not copied.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        index_of: dict[int, int] = {}
        groups = []
        start = 0
        for group in self.param_groups:
            for position, param in enumerate(group["params"], start):
                index_of.setdefault(id(param), position)
            start += len(group["params"])
            packed = {name: value for name, value in group.items() if name != "params"}
            packed["params"] = [index_of[id(param)] for param in group["params"]]
            groups.append(packed)
        state = {
            index_of[id(key)] if isinstance(key, Tensor) else key: value
            for key, value in self.state.items()
        }
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, result)
            if replaced is not None:
                result = replaced
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave; tensors take their parameter's dtype and device.

        Raises: ValueError when the number or the sizes of the groups differ.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced
        saved_groups = deepcopy(state_dict["param_groups"])
        _check_same_groups(self.param_groups, saved_groups)
        saved_indices = chain.from_iterable(group["params"] for group in saved_groups)
        params = chain.from_iterable(group["params"] for group in self.param_groups)
        param_of = dict(zip(saved_indices, params))
        on_device = _indices_with_step_on_device(saved_groups)
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in param_of:
                state[param_of[key]] = _fitted(param_of[key], value, None, key in on_device)
            else:
                state[key] = value
        for group, saved in zip(self.param_groups, saved_groups):
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Also what `load_state_dict` ends in: subclasses complete old states here."""
        self.__dict__.update(state)
        for registry in _STEP_HOOKS + _STATE_HOOKS:
            self.__dict__.setdefault(registry, OrderedDict())
        _wrap_step(type(self))
        self.defaults.setdefault("differentiable", False)

    # ---- hooks -------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before `step`; it may return new (args, kwargs)."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after `step`."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict` collects."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on what `state_dict` collected; it may replace it."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; it may replace the dict."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after loading."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def __repr__(self) -> str:
        blocks = []
        for number, group in enumerate(self.param_groups):
            lines = [f"Parameter Group {number}"]
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
            blocks.append("\n".join(lines) + "\n")
        return f"{type(self).__name__} (\n" + "\n".join(blocks) + ")"


def _wrap_step(cls: type[Optimizer]) -> None:
    """Make `cls.step` run the hooks and end the tape's step; once per function."""
    step = cls.step
    if getattr(step, "hooked", False):
        return

    @functools.wraps(step)
    def hooked_step(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if not (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_pre_hooks
            or _global_post_hooks
        ):
            self._opt_called = True
            result = step(self, *args, **kwargs)
            step_end()
            return result
        return _watched_step(step, self, args, kwargs)

    hooked_step.hooked = True  # type: ignore[attr-defined]
    cls.step = hooked_step  # type: ignore[method-assign]
    if cls.__module__.startswith("rushlight."):
        hot(hooked_step)


def _watched_step(step: Callable[..., Any], self: Optimizer, args: tuple, kwargs: dict) -> Any:
    """A step with the hooks around it."""
    arguments: tuple = (self, *args)
    for hook in (*_global_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()):
        replaced = hook(self, arguments, kwargs)
        if replaced is None:
            continue
        if not isinstance(replaced, tuple) or len(replaced) != 2:
            raise RuntimeError(
                f"{step} must return None or a tuple of (new_args, new_kwargs), but got {replaced}."
            )
        arguments, kwargs = replaced
    self._opt_called = True
    result = step(*arguments, **kwargs)
    for hook in (*self._optimizer_step_post_hooks.values(), *_global_post_hooks.values()):
        hook(self, arguments, kwargs)
    step_end()
    return result


def _split_names(group: dict[str, Any]) -> None:
    """Make group["params"] a list of tensors, and ["param_names"] one of names if they came so."""
    params = group["params"]
    if isinstance(params, Tensor):
        group["params"] = [params]
        return
    if isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering "
            "of tensors in sets will change between runs. Please use a list instead."
        )
    given = list(params)
    names = [entry[0] for entry in given if isinstance(entry, tuple)]
    group["params"] = [entry[1] if isinstance(entry, tuple) else entry for entry in given]
    if names and len(names) != len(given):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    if names:
        group["param_names"] = names


def _check_same_groups(groups: list[dict], saved: list[dict]) -> None:
    if len(groups) != len(saved):
        raise ValueError(
            "loaded state dict has a different number of parameter groups "
            f"({len(saved)}, the optimizer has {len(groups)})"
        )
    for number, (group, other) in enumerate(zip(groups, saved)):
        if len(group["params"]) != len(other["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group (group {number}: {len(other['params'])} parameters loaded, "
                f"the optimizer has {len(group['params'])})"
            )


def _indices_with_step_on_device(groups: list[dict]) -> set[Any]:
    """Saved indices of parameters whose "step" lives with the parameter, as a float32."""
    return {
        index
        for group in groups
        if group.get("capturable", False) or group.get("fused", False)
        for index in group["params"]
    }


def _fitted(param: Tensor, value: Any, name: Any, step_on_device: bool) -> Any:
    """`value` from a saved state with its tensors made to fit `param`; containers are rebuilt."""
    if isinstance(value, Tensor):
        return _fitted_tensor(param, value, name, step_on_device)
    if isinstance(value, dict):
        return {key: _fitted(param, item, key, step_on_device) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return type(value)(_fitted(param, item, None, step_on_device) for item in value)  # type: ignore[call-arg]
    return value


def _fitted_tensor(param: Tensor, value: Tensor, name: Any, step_on_device: bool) -> Tensor:
    # "step" counts in float32 whatever the parameter's dtype: bfloat16 cannot count past 256.
    if name == "step":
        if step_on_device:
            return value.to(dtype=float32, device=param.device)
        return value
    with no_grad():
        if param.dtype.is_floating_point:
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)
