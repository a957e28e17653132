"""`Module`: calling with hooks, training mode, printing.  Level 12.

What a module holds, walks, saves and converts lives in the classes it is made of (`registration`,
`traversal`, `state`, `conversion`).  Calling a module without hooks is one call of `forward`: that
path runs for every layer of every step.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rushlight.base.hooks import RemovableHandle
from rushlight.base.hot import hot
from rushlight.nn.modules.backward_hooks import BackwardHooks, first_grad_fn
from rushlight.nn.modules.conversion import ModuleConversion
from rushlight.nn.modules.notebook import module_html
from rushlight.nn.modules.registration import (
    _global_buffer_registration_hooks,  # noqa: F401 - packages take them from here
    _global_module_registration_hooks,  # noqa: F401
    _global_parameter_registration_hooks,  # noqa: F401
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from rushlight.nn.modules.state import EXTRA_STATE_KEY, ModuleState, _IncompatibleKeys
from rushlight.nn.modules.traversal import MemberTraversal

__all__ = [
    "Module",
    "_IncompatibleKeys",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

MIXED_BACKWARD_HOOKS = (
    "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use "
    "only one of them."
)


class _HookTables:
    """The hooks that run around calls: of one module, or (once) of all modules."""

    _is_full_backward_hook: bool | None

    def __init__(self) -> None:
        self._backward_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
        self._backward_hooks: OrderedDict[int, Callable] = OrderedDict()
        self._is_full_backward_hook = None
        self._forward_hooks: OrderedDict[int, Callable] = OrderedDict()
        self._forward_hooks_with_kwargs: OrderedDict[int, bool] = OrderedDict()
        self._forward_hooks_always_called: OrderedDict[int, bool] = OrderedDict()
        self._forward_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
        self._forward_pre_hooks_with_kwargs: OrderedDict[int, bool] = OrderedDict()


_GLOBAL = _HookTables()
# Holds the id of every hook of `_GLOBAL`, so that a call tests one dictionary instead of four.
_GLOBAL_CALL_HOOKS: OrderedDict[int, bool] = OrderedDict()


def _add_hook(registry: OrderedDict, hook: Callable, prepend: bool, *marks: OrderedDict) -> Any:
    """Register a hook, mark its id in further tables, and return its handle."""
    handle = RemovableHandle(registry, extra_dict=list(marks))
    registry[handle.id] = hook
    if prepend:
        registry.move_to_end(handle.id, last=False)
    for mark in marks:
        mark[handle.id] = True
    return handle


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args)` before the `forward` of every module."""
    return _add_hook(_GLOBAL._forward_pre_hooks, hook, False, _GLOBAL_CALL_HOOKS)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after the `forward` of every module."""
    marks = [_GLOBAL_CALL_HOOKS]
    if with_kwargs:
        marks.append(_GLOBAL._forward_hooks_with_kwargs)
    if always_call:
        marks.append(_GLOBAL._forward_hooks_always_called)
    return _add_hook(_GLOBAL._forward_hooks, hook, False, *marks)


def _use_backward_kind(full: bool) -> None:
    if _GLOBAL._backward_hooks and _GLOBAL._is_full_backward_hook is not full:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module "
            "hook. Please use only one of them."
        )
    _GLOBAL._is_full_backward_hook = full


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` at the node that made every module's output.

    Deprecated: use `register_module_full_backward_hook`.
    """
    _use_backward_kind(False)
    return _add_hook(_GLOBAL._backward_hooks, hook, False, _GLOBAL_CALL_HOOKS)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` in the backward pass of every module."""
    _use_backward_kind(True)
    return _add_hook(_GLOBAL._backward_hooks, hook, False, _GLOBAL_CALL_HOOKS)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the backward pass of every module."""
    return _add_hook(_GLOBAL._backward_pre_hooks, hook, False, _GLOBAL_CALL_HOOKS)


def _empty_tables() -> dict[str, Any]:
    """The instance attributes that every module has, in the order in which pickles show them."""
    return {
        "training": True,
        "_parameters": {},
        "_buffers": {},
        "_non_persistent_buffers_set": set(),
        **_HookTables().__dict__,
        "_state_dict_hooks": OrderedDict(),
        "_state_dict_pre_hooks": OrderedDict(),
        "_load_state_dict_pre_hooks": OrderedDict(),
        "_load_state_dict_post_hooks": OrderedDict(),
        "_modules": {},
    }


# By this name programs find the state that modules keep besides tensors.
_EXTRA_STATE_KEY_SUFFIX = EXTRA_STATE_KEY


class Module(MemberTraversal, ModuleState, ModuleConversion):
    """Base class of all neural network modules.

    A subclass calls `super().__init__()`, assigns parameters and submodules as attributes, and
    defines `forward`; calling the module runs `forward` with the registered hooks around it.
    """

    training: bool = True
    _is_full_backward_hook: bool | None
    call_super_init: bool = False
    dump_patches: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            if kwargs:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument "
                    f"'{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but "
                    f"{len(args) + 1} were given"
                )
        # Straight into the instance's dictionary: `__setattr__` would search tables not yet there.
        self.__dict__.update(_empty_tables())
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *input: Any) -> Any:
        """The computation; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    # ---- calling ---------------------------------------------------------------------------

    @hot
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` with the hooks around it."""
        if not (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or _GLOBAL_CALL_HOOKS
        ):
            return self.forward(*args, **kwargs)
        return self._call_watched(args, kwargs)

    def _call_watched(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """The same for a module with hooks."""
        called: set[int] = set()
        progress: dict[str, Any] = {"args": args, "kwargs": kwargs, "result": None}
        try:
            return self._call_with_hooks(progress, called)
        except Exception:
            self._call_remaining_hooks(progress, called)
            raise

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        return Module.__call__(self, *args, **kwargs)

    def _call_with_hooks(self, progress: dict[str, Any], called: set[int]) -> Any:
        self._run_forward_pre_hooks(progress)
        hooks = [*_GLOBAL._backward_hooks.values(), *self._backward_hooks.values()]
        full = _GLOBAL._is_full_backward_hook is True or self._is_full_backward_hook is True
        pre_hooks = [*_GLOBAL._backward_pre_hooks.values(), *self._backward_pre_hooks.values()]
        gates = None
        if pre_hooks or (full and hooks):
            gates = BackwardHooks(self, hooks if full else [], pre_hooks)
            progress["args"] = gates.gate_inputs(progress["args"])
        progress["result"] = self.forward(*progress["args"], **progress["kwargs"])
        for key, hook in (*_GLOBAL._forward_hooks.items(), *self._forward_hooks.items()):
            called.add(key)
            returned = self._run_forward_hook(key, hook, progress)
            if returned is not None:
                progress["result"] = returned
        if gates is not None:
            progress["result"] = gates.gate_outputs(progress["result"])
        if hooks and not full:
            grad_fn = first_grad_fn(progress["result"])
            for hook in hooks if grad_fn is not None else ():
                grad_fn.register_hook(functools.partial(hook, self))
        return progress["result"]

    def _run_forward_pre_hooks(self, progress: dict[str, Any]) -> None:
        for key, hook in (*_GLOBAL._forward_pre_hooks.items(), *self._forward_pre_hooks.items()):
            if key in self._forward_pre_hooks_with_kwargs:
                replaced = hook(self, progress["args"], progress["kwargs"])
                if replaced is None:
                    continue
                if not isinstance(replaced, tuple) or len(replaced) != 2:
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {replaced}."
                    )
                progress["args"], progress["kwargs"] = replaced
            else:
                replaced = hook(self, progress["args"])
                if replaced is not None:
                    progress["args"] = replaced if isinstance(replaced, tuple) else (replaced,)

    def _run_forward_hook(self, key: int, hook: Callable, progress: dict[str, Any]) -> Any:
        if key in self._forward_hooks_with_kwargs or key in _GLOBAL._forward_hooks_with_kwargs:
            return hook(self, progress["args"], progress["kwargs"], progress["result"])
        return hook(self, progress["args"], progress["result"])

    def _call_remaining_hooks(self, progress: dict[str, Any], called: set[int]) -> None:
        """After an error in `forward`: run the hooks registered with `always_call`."""
        for kind, tables in (("global module", _GLOBAL), ("module", self)):
            for key, hook in tables._forward_hooks.items():
                if key not in tables._forward_hooks_always_called or key in called:
                    continue
                try:
                    returned = self._run_forward_hook(key, hook, progress)
                    if returned is not None:
                        progress["result"] = returned
                except Exception as error:
                    warnings.warn(
                        f"{kind} forward hook with ``always_call=True`` raised an exception that "
                        f"was silenced as another error was raised in forward: {error}",
                        stacklevel=3,
                    )

    # ---- hooks -----------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments.

        With `with_kwargs`: `hook(module, args, kwargs)`, which returns None or both.
        """
        marks = [self._forward_pre_hooks_with_kwargs] if with_kwargs else []
        return _add_hook(self._forward_pre_hooks, hook, prepend, *marks)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; what it returns replaces the output.

        With `with_kwargs`: `hook(module, args, kwargs, output)`.  With `always_call` it runs even
        if `forward` raised.
        """
        marks = [self._forward_hooks_with_kwargs] if with_kwargs else []
        if always_call:
            marks.append(self._forward_hooks_always_called)
        return _add_hook(self._forward_hooks, hook, prepend, *marks)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's gradients are computed.

        What it returns takes the place of `grad_output`.
        """
        return _add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` once the inputs' gradients are computed.

        What it returns takes the place of `grad_input`.
        """
        if self._is_full_backward_hook is False:  # type: ignore[has-type]
            raise RuntimeError(MIXED_BACKWARD_HOOKS)
        self._is_full_backward_hook = True
        return _add_hook(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` at the node that made the output.

        Deprecated: use `register_full_backward_hook`.
        """
        if self._is_full_backward_hook is True:
            raise RuntimeError(MIXED_BACKWARD_HOOKS)
        self._is_full_backward_hook = False
        return _add_hook(self._backward_hooks, hook, False)

    # ---- modes -----------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Any:
        """Set training mode in the whole tree (it matters to dropout and normalization)."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Any:
        """Set evaluation mode in the whole tree: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Say whether autograd shall compute gradients of all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            grad = parameter.grad
            if grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Let calls of `forward` be replayed, in place; see `torch.compile`, which takes the same
        options.  Hooks run around it as ever."""
        if "_compiled_call_impl" in self.__dict__:
            del self.__dict__["forward"]
        made = importlib.import_module("rushlight.compiler").compile(self.forward, *args, **kwargs)
        self.__dict__["_compiled_call_impl"] = self.__dict__["forward"] = made

    # ---- pickling and printing -------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if state.pop("_compiled_call_impl", None) is not None:
            del state["forward"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Pickles of older versions lack the younger tables.
        for name, table in _empty_tables().items():
            self.__dict__.setdefault(name, table)

    def extra_repr(self) -> str:
        """Override to add text to the printed form: one line, or several."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) == 1 and not self._modules:
            return f"{self._get_name()}({lines[0]})"
        for name, module in self._modules.items():
            lines.append(f"({name}): {indent_below_first(repr(module), 2)}")
        if not lines:
            return f"{self._get_name()}()"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"

    def _repr_html_(self) -> str:
        """In a notebook: a tree of its parts, with their numbers of parameters."""
        return module_html(self)


def indent_below_first(text: str, spaces: int) -> str:
    """`text` with every line but the first and blank ones indented."""
    first, *rest = text.split("\n")
    indented = [" " * spaces + line if line.strip() else "" for line in rest]
    return "\n".join([first, *indented])
