"""Saving and loading the state of a module tree.  Level 12.

`state_dict()` maps dotted names to the (detached, not copied) parameters and persistent buffers,
in registration order, and carries `_metadata`: the format version of every module by its name.
`load_state_dict` copies values in place, collects every difference first and reports all of them
in one error.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rushlight.base.hooks import RemovableHandle
from rushlight.nn.modules.registration import MemberRegistry
from rushlight.nn.parameter import Parameter, is_lazy
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

EXTRA_STATE_KEY = "_extra_state"


class _KeyDifference(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class _IncompatibleKeys(_KeyDifference):
    """What `load_state_dict` returns: keys the state lacked, and keys the module does not know."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class _WrappedHook:
    """A load hook, given its module first where it has one; deepcopy and pickle keep both."""

    def __init__(self, hook: Callable, module: Any = None) -> None:
        self.hook = hook
        self.with_module = module is not None
        self.module = module

    def __call__(self, *args: Any) -> Any:
        return self.hook(self.module, *args) if self.with_module else self.hook(*args)

    def __getstate__(self) -> dict[str, Any]:
        state = {"hook": self.hook, "with_module": self.with_module}
        return {**state, "module": self.module} if self.with_module else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"module": None, **state})


class ModuleState(MemberRegistry):
    """The part of `Module` that saves and loads state."""

    _version: int = 1
    _state_dict_hooks: OrderedDict[int, Callable]
    _state_dict_pre_hooks: OrderedDict[int, Callable]
    _load_state_dict_pre_hooks: OrderedDict[int, Callable]
    _load_state_dict_post_hooks: OrderedDict[int, Callable]
    _public_state_dict_hooks: frozenset[int] = frozenset()

    def get_extra_state(self) -> Any:
        """Override to add a value of your own to the state; saved under `_extra_state`."""
        raise RuntimeError(
            "Module.get_extra_state: the base class has no extra state; override it to save some"
        )

    def set_extra_state(self, state: Any) -> None:
        """Override to receive, when loading, what `get_extra_state` returned when saving."""
        raise RuntimeError(
            "Module.set_extra_state: the base class has no extra state; override it to load some"
        )

    def _overrides(self, name: str) -> bool:
        return getattr(type(self), name) is not getattr(ModuleState, name)

    # ---- saving ----------------------------------------------------------------------------

    def state_dict(
        self,
        *args: Any,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """All parameters and persistent buffers of the tree by dotted name.

        The tensors share memory with the module's own; with `keep_vars` they are not detached.
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead: "
                "state_dict(destination=..., prefix=..., keep_vars=...)",
                FutureWarning,
                stacklevel=2,
            )
            given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
            destination = given.get("destination", destination)
            prefix = given.get("prefix", prefix)
            keep_vars = given.get("keep_vars", keep_vars)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()  # type: ignore[attr-defined]
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for key, hook in self._state_dict_hooks.items():
            replacement = hook(self, destination, prefix, local_metadata)
            if replacement is not None:
                if key in self._public_state_dict_hooks:
                    raise RuntimeError("state_dict post-hook must return None")
                destination = replacement
        return destination

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """Write this module's own members (not its children's) into `destination`."""
        persistent = (
            item
            for item in self._buffers.items()
            if item[0] not in self._non_persistent_buffers_set
        )
        for name, value in (*self._parameters.items(), *persistent):
            if value is not None:
                # An uninitialized parameter has no value to detach.
                keep = keep_vars or is_lazy(value)
                destination[prefix + name] = value if keep else value.detach()
        if self._overrides("get_extra_state"):
            destination[prefix + EXTRA_STATE_KEY] = self.get_extra_state()

    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` collects this module."""
        handle = RemovableHandle(self._state_dict_pre_hooks)
        self._state_dict_pre_hooks[handle.id] = hook
        return handle

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after this module is collected.

        The hook may change the dictionary in place; it must return None.
        """
        handle = self._register_state_dict_hook(hook)
        self._public_state_dict_hooks = self._public_state_dict_hooks | {handle.id}
        return handle

    def _register_state_dict_hook(self, hook: Callable) -> RemovableHandle:
        """Like `register_state_dict_post_hook`, but the hook may return a new dictionary."""
        handle = RemovableHandle(self._state_dict_hooks)
        self._state_dict_hooks[handle.id] = hook
        return handle

    # ---- loading ---------------------------------------------------------------------------

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy the values of `state_dict` into the tree's parameters and buffers.

        With `strict` the names must be exactly the module's; with `assign` the tensors of the
        dictionary themselves take the place of the module's.
        Raises: TypeError if `state_dict` is no mapping; RuntimeError that lists all missing and
        unexpected names and all sizes that differ.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None)
        state: Any = OrderedDict(state_dict)
        if metadata is not None:
            state._metadata = metadata
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        self._load_tree(state, "", metadata, assign, (missing, unexpected, errors))
        if strict:
            if missing:
                errors.insert(0, f"Missing key(s) in state_dict: {_quoted(missing)}. ")
            if unexpected:
                at = 1 if missing else 0
                errors.insert(at, f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
        if errors:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(errors)
            )
        return _IncompatibleKeys(missing, unexpected)

    def _load_tree(
        self, state: dict, prefix: str, metadata: dict | None, assign: bool, report: tuple
    ) -> None:
        local_metadata = {} if metadata is None else metadata.get(prefix[:-1], {})
        if assign:
            local_metadata["assign_to_params_buffers"] = assign
        # Strictness is judged at the end, from the collected names.
        self._load_from_state_dict(state, prefix, local_metadata, True, *report)
        for name, child in self._modules.items():
            if child is not None:
                below = f"{prefix}{name}."
                child_state = {key: value for key, value in state.items() if key.startswith(below)}
                child._load_tree(child_state, below, metadata, assign, report)
        found = _IncompatibleKeys(report[0], report[1])
        for hook in self._load_state_dict_post_hooks.values():
            if hook(self, found) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected "
                    "to return new values, if incompatible_keys need to be modified, it should be "
                    "done inplace."
                )

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own members (not its children's), noting every difference."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        own: dict[str, Any] = {
            name: value for name, value in self._parameters.items() if value is not None
        }
        for name, value in self._buffers.items():
            if value is not None and name not in self._non_persistent_buffers_set:
                own[name] = value
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, value in own.items():
            key = prefix + name
            if key in state_dict:
                self._load_member(name, value, key, state_dict[key], assign, error_msgs)
            elif strict:
                missing_keys.append(key)
        extra_key = prefix + EXTRA_STATE_KEY
        if self._overrides("set_extra_state"):
            if extra_key in state_dict:
                self.set_extra_state(state_dict[extra_key])
            elif strict:
                missing_keys.append(extra_key)
        elif strict and extra_key in state_dict:
            unexpected_keys.append(extra_key)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra_key:
                    first, dot, _ = key[len(prefix) :].partition(".")
                    if first not in (self._modules if dot else own):
                        unexpected_keys.append(key)

    def _load_member(
        self, name: str, value: Tensor, key: str, given: Any, assign: bool, errors: list[str]
    ) -> None:
        if not isinstance(given, Tensor):
            errors.append(
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like '
                f"object from checkpoint but received {type(given)}"
            )
            return
        if not is_lazy(value):
            # Old checkpoints stored scalars with one axis.
            if value.dim() == 0 and tuple(given.shape) == (1,):
                given = given[0]
            if given.shape != value.shape:
                errors.append(
                    f"size mismatch for {key}: copying a param with shape {given.shape} from "
                    f"checkpoint, the shape in current model is {value.shape}."
                )
                return
        try:
            with no_grad():
                if assign:
                    setattr(self, name, _as_member_like(value, given))
                else:
                    if value.is_meta and not given.is_meta:
                        warnings.warn(
                            f"for {key}: copying into a parameter on the meta device does nothing; "
                            "pass `assign=True` to take the tensors of the state dictionary "
                            "themselves",
                            stacklevel=2,
                        )
                    value.copy_(given)
        except Exception as cause:
            errors.append(
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{value.size()} and whose dimensions in the checkpoint are {given.size()}, "
                f"an exception occurred : {cause.args}."
            )

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook` with (module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs) before this module loads its members."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable, with_module: bool = False
    ) -> RemovableHandle:
        """Like `register_load_state_dict_pre_hook`; the module is passed only on request."""
        handle = RemovableHandle(self._load_state_dict_pre_hooks)
        self._load_state_dict_pre_hooks[handle.id] = _WrappedHook(
            hook, self if with_module else None
        )
        return handle

    def register_load_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after this module has loaded its members.

        The two lists of `incompatible_keys` may be changed in place, before strictness is judged.
        """
        handle = RemovableHandle(self._load_state_dict_post_hooks)
        self._load_state_dict_post_hooks[handle.id] = hook
        return handle


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _as_member_like(value: Tensor, given: Tensor) -> Tensor:
    """`given` as a parameter with `value`'s requires_grad if `value` is a parameter."""
    if not isinstance(value, Parameter):
        return given
    if not isinstance(given, Parameter):
        return Parameter(given, requires_grad=value.requires_grad)
    return given.requires_grad_(value.requires_grad)
