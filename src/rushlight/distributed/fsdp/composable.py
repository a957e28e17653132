"""`fully_shard`: the same module, whose parameters would be split among processes.  Level 12.

In one process they are whole, so what remains is the precision it computes in.  Source:
torch.distributed.fsdp.fully_shard.
"""

from __future__ import annotations

import functools
from typing import Any

from rushlight.distributed.fsdp.api import MixedPrecisionPolicy, OffloadPolicy
from rushlight.distributed.fsdp.precision import cast_floats, computed_in
from rushlight.nn.modules.module import Module


class UnshardHandle:
    """A gathering that was started; it is done."""

    def wait(self) -> None:
        """Nothing is left to wait for."""


class FSDPModule:
    """What a module's class has besides its own once `fully_shard` has changed it."""

    _fsdp_policy: MixedPrecisionPolicy

    def unshard(self, async_op: bool = False) -> UnshardHandle | None:
        """Make the parameters whole, as they are."""
        return UnshardHandle() if async_op else None

    def reshard(self) -> None:
        """Split the parameters: there is one process."""

    def set_is_last_backward(self, is_last_backward: bool) -> None:
        """Whether this backward is the last of a step; gradients need no averaging."""

    def set_requires_gradient_sync(
        self, requires_gradient_sync: bool, *, recurse: bool = True
    ) -> None:
        """Whether gradients are averaged; with one process they are what they are."""

    def set_requires_all_reduce(self, requires_all_reduce: bool, *, recurse: bool = True) -> None:
        """The same for replicas."""

    def set_reshard_after_forward(self, reshard_after_forward: bool, recurse: bool = True) -> None:
        """Whether parameters are split again after forward."""

    def set_reshard_after_backward(
        self, reshard_after_backward: bool, *, recurse: bool = True
    ) -> None:
        """Whether parameters are split again after backward."""

    def set_modules_to_forward_prefetch(self, modules: list[Any]) -> None:
        """Whose parameters are fetched ahead in forward."""

    def set_modules_to_backward_prefetch(self, modules: list[Any]) -> None:
        """Whose parameters are fetched ahead in backward."""


@functools.cache
def _sharded_class(kind: Any) -> Any:
    return type(f"FSDP{kind.__name__}", (FSDPModule, kind), {"forward": _forward})


def _forward(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Forward of the module's own class, in the precision of the policy."""
    kind = type(self)
    own = kind.__mro__[kind.__mro__.index(FSDPModule) + 1]
    policy = self._fsdp_policy
    if policy.param_dtype is None:
        made = own.forward(self, *args, **kwargs)  # type: ignore[attr-defined]
    else:
        self.__class__ = own  # the call below is the module's own, hooks left out
        hooks, self._forward_hooks = self._forward_hooks, {}
        pre_hooks, self._forward_pre_hooks = self._forward_pre_hooks, {}
        try:
            made = computed_in(
                self, policy.param_dtype, policy.cast_forward_inputs, (), args, kwargs
            )
        finally:
            self._forward_hooks, self._forward_pre_hooks = hooks, pre_hooks
            self.__class__ = kind
    return made if policy.output_dtype is None else cast_floats(made, policy.output_dtype)


def fully_shard(
    module: Any,
    *,
    mesh: Any = None,
    reshard_after_forward: bool | int | None = None,
    shard_placement_fn: Any = None,
    mp_policy: MixedPrecisionPolicy = MixedPrecisionPolicy(),  # noqa: B008 - frozen
    offload_policy: OffloadPolicy | None = None,
    ignored_params: Any = None,
    dp_mesh_dims: Any = None,
) -> Any:
    """Let a module, or each of a list, be one that is split; the same object."""
    for part in module if isinstance(module, (list, tuple)) else (module,):
        if isinstance(part, FSDPModule):
            raise AssertionError(
                "Each distinct composable distributed API can only be applied once"
            )
        part._fsdp_policy = mp_policy
        kind: Any = type(part)
        part.__class__ = _sharded_class(kind)
    return module


def register_fsdp_forward_method(module: Module, method_name: str) -> None:
    """Let another method count as forward; parameters are whole in each of them."""
    if not hasattr(module, method_name):
        raise ValueError(f"{type(module)} does not have a method {method_name}")
