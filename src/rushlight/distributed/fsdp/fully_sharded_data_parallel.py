"""`FullyShardedDataParallel` over the one process there is.  Level 12.

In: a module and an initialized process group.  Out: a module that calls it, in the precision asked
for; as one process has all the parts, nothing is split.  State dicts are the module's own, without
the wrapper's names, as in PyTorch.  Source: torch.distributed.fsdp.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rushlight.distributed.distributed_c10d import _resolved
from rushlight.distributed.fsdp.api import (
    BackwardPrefetch,
    CPUOffload,
    FullOptimStateDictConfig,
    FullStateDictConfig,
    LocalOptimStateDictConfig,
    LocalStateDictConfig,
    MixedPrecision,
    OptimStateDictConfig,
    OptimStateKeyType,
    ShardedOptimStateDictConfig,
    ShardedStateDictConfig,
    ShardingStrategy,
    StateDictConfig,
    StateDictSettings,
    StateDictType,
)
from rushlight.distributed.fsdp.precision import computed_in
from rushlight.distributed.fsdp.wrap import HiddenWrapper, wrap_parts
from rushlight.nn.modules.module import Module
from rushlight.nn.utils.clip_grad import clip_grad_norm_
from rushlight.tensor.tensor import Tensor

__all__ = [
    "BackwardPrefetch", "CPUOffload", "FullOptimStateDictConfig", "FullStateDictConfig",
    "FullyShardedDataParallel", "LocalOptimStateDictConfig", "LocalStateDictConfig",
    "MixedPrecision", "OptimStateDictConfig", "OptimStateKeyType", "ShardedOptimStateDictConfig",
    "ShardedStateDictConfig", "ShardingStrategy", "StateDictConfig", "StateDictSettings",
    "StateDictType",
]  # fmt: skip

FSDP_WRAPPED_MODULE = "_fsdp_wrapped_module"


class FullyShardedDataParallel(HiddenWrapper):
    """Wraps a module; its parts, too, where a policy wants it."""

    inside = FSDP_WRAPPED_MODULE

    def __init__(
        self,
        module: Module,
        process_group: Any = None,
        sharding_strategy: ShardingStrategy | None = None,
        cpu_offload: CPUOffload | None = None,
        auto_wrap_policy: Callable[..., Any] | None = None,
        backward_prefetch: BackwardPrefetch | None = BackwardPrefetch.BACKWARD_PRE,
        mixed_precision: MixedPrecision | None = None,
        ignored_modules: Iterable[Module] | None = None,
        param_init_fn: Callable[[Module], None] | None = None,
        device_id: Any = None,
        sync_module_states: bool = False,
        forward_prefetch: bool = False,
        limit_all_gathers: bool = True,
        use_orig_params: bool = False,
        ignored_states: Any = None,
        device_mesh: Any = None,
    ) -> None:
        super().__init__()
        self.process_group = _resolved(process_group)
        self.sharding_strategy = sharding_strategy or ShardingStrategy.NO_SHARD
        self.cpu_offload = cpu_offload or CPUOffload()
        self.mixed_precision = mixed_precision or MixedPrecision()
        if auto_wrap_policy is not None:
            options: dict[str, Any] = {
                "process_group": process_group,
                "sharding_strategy": sharding_strategy,
                "mixed_precision": mixed_precision,
            }
            skipped = set(ignored_modules or ())

            def wrapped(part: Module, **own: Any) -> Module:
                if part in skipped or isinstance(part, FullyShardedDataParallel):
                    return part
                return FullyShardedDataParallel(part, **{**options, **own})

            wrap_parts(module, auto_wrap_policy, wrapped)
        setattr(self, FSDP_WRAPPED_MODULE, module)
        self._state_dict_type = StateDictType.FULL_STATE_DICT
        self._state_dict_config: StateDictConfig = FullStateDictConfig()
        self._optim_state_dict_config: OptimStateDictConfig = FullOptimStateDictConfig()

    @property
    def module(self) -> Module:
        """The module inside."""
        return getattr(self, FSDP_WRAPPED_MODULE)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == FSDP_WRAPPED_MODULE:
                raise
            return getattr(self.module, name)

    def __getitem__(self, key: int) -> Any:
        return self.module[key]  # type: ignore[index]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        precision = self.mixed_precision
        return computed_in(
            self.module,
            precision.param_dtype,
            precision.cast_root_forward_inputs or precision.cast_forward_inputs,
            tuple(precision._module_classes_to_ignore),
            args,
            kwargs,
        )

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Any]]:
        """Parameters with the wrappers' names in front, as in PyTorch outside of summoning."""
        for name, parameter in super().named_parameters(*args, **kwargs):
            yield (self.without_wrappers(name) if self._summoned else name), parameter

    _summoned = False

    @staticmethod
    @contextlib.contextmanager
    def summon_full_params(
        module: Module,
        recurse: bool = True,
        writeback: bool = True,
        rank0_only: bool = False,
        offload_to_cpu: bool = False,
        with_grads: bool = False,
    ) -> Iterator[None]:
        """A stretch in which parameters are whole and have the names of the module."""
        parts = FullyShardedDataParallel.fsdp_modules(module)
        for part in parts:
            part._summoned = True
        try:
            yield
        finally:
            for part in parts:
                part._summoned = False

    @staticmethod
    def fsdp_modules(module: Module, root_only: bool = False) -> list[FullyShardedDataParallel]:
        """The wrappers in a module, the outermost alone if asked."""
        found = [part for part in module.modules() if isinstance(part, FullyShardedDataParallel)]
        if not root_only:
            return found
        inner = {id(part) for outer in found for part in outer.modules() if part is not outer}
        return [part for part in found if id(part) not in inner]

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """A stretch in which gradients stay with each process, as they do anyway."""
        yield

    def clip_grad_norm_(self, max_norm: float, norm_type: float = 2.0) -> Tensor:
        """Clip the gradients of all parameters by their common norm, and return it."""
        return clip_grad_norm_(self.parameters(), max_norm, norm_type)

    @staticmethod
    def set_state_dict_type(
        module: Module,
        state_dict_type: StateDictType,
        state_dict_config: StateDictConfig | None = None,
        optim_state_dict_config: OptimStateDictConfig | None = None,
    ) -> StateDictSettings:
        """Whose parts state dicts have from now on; returns what was in force."""
        before = FullyShardedDataParallel.get_state_dict_type(module)
        for part in FullyShardedDataParallel.fsdp_modules(module):
            part._state_dict_type = state_dict_type
            part._state_dict_config = state_dict_config or _CONFIGS[state_dict_type][0]()
            part._optim_state_dict_config = (
                optim_state_dict_config or _CONFIGS[state_dict_type][1]()
            )
        return before

    @staticmethod
    def get_state_dict_type(module: Module) -> StateDictSettings:
        """What is in force for state dicts."""
        for part in FullyShardedDataParallel.fsdp_modules(module):
            return StateDictSettings(
                part._state_dict_type, part._state_dict_config, part._optim_state_dict_config
            )
        return StateDictSettings(
            StateDictType.FULL_STATE_DICT, FullStateDictConfig(), FullOptimStateDictConfig()
        )

    @staticmethod
    @contextlib.contextmanager
    def state_dict_type(
        module: Module,
        state_dict_type: StateDictType,
        state_dict_config: StateDictConfig | None = None,
        optim_state_dict_config: OptimStateDictConfig | None = None,
    ) -> Iterator[None]:
        """A stretch with another kind of state dicts."""
        before = FullyShardedDataParallel.set_state_dict_type(
            module, state_dict_type, state_dict_config, optim_state_dict_config
        )
        try:
            yield
        finally:
            FullyShardedDataParallel.set_state_dict_type(
                module,
                before.state_dict_type,
                before.state_dict_config,
                before.optim_state_dict_config,
            )

    @staticmethod
    def optim_state_dict(
        model: Module, optim: Any, optim_state_dict: dict | None = None, group: Any = None
    ) -> dict[str, Any]:
        """An optimizer's state by the names of the parameters."""
        state = optim_state_dict or optim.state_dict()
        names = _names_of(model, optim)
        return {
            "state": {names[index]: value for index, value in state["state"].items()},
            "param_groups": [
                {**group, "params": [names[index] for index in group["params"]]}
                for group in state["param_groups"]
            ],
        }

    @staticmethod
    def optim_state_dict_to_load(
        model: Module,
        optim: Any,
        optim_state_dict: dict[str, Any],
        is_named_optimizer: bool = False,
        load_directly: bool = False,
        group: Any = None,
    ) -> dict[str, Any]:
        """The state that the optimizer's `load_state_dict` takes, from one by names."""
        numbers = {name: index for index, name in enumerate(_names_of(model, optim))}
        made = {
            "state": {numbers[name]: value for name, value in optim_state_dict["state"].items()},
            "param_groups": [
                {**group, "params": [numbers[name] for name in group["params"]]}
                for group in optim_state_dict["param_groups"]
            ],
        }
        if load_directly:
            optim.load_state_dict(made)
        return made


def _names_of(model: Module, optimizer: Any) -> list[str]:
    """The names of an optimizer's parameters, in the order in which it numbers them."""
    plain = FullyShardedDataParallel.without_wrappers
    names = {id(value): plain(name) for name, value in model.named_parameters()}
    return [
        names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]
    ]


_CONFIGS: dict[StateDictType, tuple[Any, Any]] = {
    StateDictType.FULL_STATE_DICT: (FullStateDictConfig, FullOptimStateDictConfig),
    StateDictType.LOCAL_STATE_DICT: (LocalStateDictConfig, LocalOptimStateDictConfig),
    StateDictType.SHARDED_STATE_DICT: (ShardedStateDictConfig, ShardedOptimStateDictConfig),
}
