"""State of models and optimizers by the names of parameters, whatever wraps them.  Level 12.

Source: torch.distributed.checkpoint.state_dict.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.optim.optimizer import Optimizer

__all__ = [
    "StateDictOptions", "get_model_state_dict", "get_optimizer_state_dict", "get_state_dict",
    "set_model_state_dict", "set_optimizer_state_dict", "set_state_dict",
]  # fmt: skip

# What wrappers put in front of the names of what they wrap.
_WRAPPERS = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.")


@dataclasses.dataclass
class StateDictOptions:
    """What the functions here may leave out, and how strict they are."""

    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    keep_submodule_prefixes: bool = True
    strict: bool = True
    broadcast_from_rank0: bool = False
    flatten_optimizer_state_dict: bool = False
    dsd_fqn_modifiers: str = "_fqn_modifiers"


def _plain(name: str, model: Module) -> str:
    """A parameter's name without those of wrappers."""
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    parallel = type(model).__name__ in ("DistributedDataParallel", "DataParallel")
    return name.removeprefix("module.") if parallel else name


def _optimizers(optimizers: Optimizer | Iterable[Optimizer]) -> tuple[Optimizer, ...]:
    return (optimizers,) if isinstance(optimizers, Optimizer) else tuple(optimizers)


def get_model_state_dict(
    model: Module,
    *,
    submodules: set[Module] | None = None,
    options: StateDictOptions | None = None,
) -> dict[str, Any]:
    """A model's state by plain names; frozen parameters are left out if asked."""
    chosen = options or StateDictOptions()
    frozen = {name for name, one in model.named_parameters() if not one.requires_grad}
    return {
        _plain(name, model): value
        for name, value in model.state_dict().items()
        if not (chosen.ignore_frozen_params and name in frozen)
    }


def set_model_state_dict(
    model: Module,
    model_state_dict: Mapping[str, Any],
    *,
    options: StateDictOptions | None = None,
) -> Any:
    """Give a model state by plain names; what `load_state_dict` says of missing names."""
    chosen = options or StateDictOptions()
    names = {_plain(name, model): name for name in model.state_dict()}
    given = {names.get(name, name): value for name, value in model_state_dict.items()}
    return model.load_state_dict(given, strict=chosen.strict)


def _parameter_names(model: Module) -> dict[int, str]:
    return {id(value): _plain(name, model) for name, value in model.named_parameters()}


def get_optimizer_state_dict(
    model: Module,
    optimizers: Optimizer | Iterable[Optimizer],
    *,
    submodules: set[Module] | None = None,
    options: StateDictOptions | None = None,
) -> dict[str, Any]:
    """The optimizers' state, parameters named as in the model."""
    names = _parameter_names(model)
    made: dict[str, Any] = {"state": {}, "param_groups": []}
    for optimizer in _optimizers(optimizers):
        state = optimizer.state_dict()
        own = [names[id(one)] for group in optimizer.param_groups for one in group["params"]]
        made["state"].update({own[index]: value for index, value in state["state"].items()})
        made["param_groups"] += [
            {**group, "params": [own[index] for index in group["params"]]}
            for group in state["param_groups"]
        ]
    if options is not None and options.flatten_optimizer_state_dict:
        return _flattened(made)
    return made


def _flattened(state: dict[str, Any]) -> dict[str, Any]:
    """One level: `state.weight.exp_avg`, `param_groups.weight.lr`."""
    made = {
        f"state.{name}.{key}": value
        for name, values in state["state"].items()
        for key, value in values.items()
    }
    for group in state["param_groups"]:
        for name in group["params"]:
            for key, value in group.items():
                if key != "params":
                    made[f"param_groups.{name}.{key}"] = value
    return made


def set_optimizer_state_dict(
    model: Module,
    optimizers: Optimizer | Iterable[Optimizer],
    optim_state_dict: Mapping[str, Any],
    *,
    options: StateDictOptions | None = None,
) -> None:
    """Give optimizers state whose parameters are named as in the model, flat or nested.

    Raises: KeyError for a group whose parameters the state does not name.
    """
    names = _parameter_names(model)
    given = optim_state_dict if "state" in optim_state_dict else None
    for optimizer in _optimizers(optimizers):
        own = [names[id(one)] for group in optimizer.param_groups for one in group["params"]]
        plain = optimizer.state_dict()
        state = {
            index: _state_of(name, optim_state_dict, given is None)
            for index, name in enumerate(own)
        }
        for group in plain["param_groups"]:
            first = own[group["params"][0]]
            group.update(_group_of(first, optim_state_dict, given is None))
        optimizer.load_state_dict(
            {
                "state": {index: values for index, values in state.items() if values},
                "param_groups": plain["param_groups"],
            }
        )


def _state_of(name: str, given: Mapping[str, Any], flat: bool) -> dict[str, Any]:
    if not flat:
        return given["state"].get(name, {})
    start = f"state.{name}."
    return {key[len(start) :]: value for key, value in given.items() if key.startswith(start)}


def _group_of(name: str, given: Mapping[str, Any], flat: bool) -> dict[str, Any]:
    if flat:
        start = f"param_groups.{name}."
        return {key[len(start) :]: value for key, value in given.items() if key.startswith(start)}
    for group in given["param_groups"]:
        if name in group["params"]:
            return {key: value for key, value in group.items() if key != "params"}
    raise KeyError(f"set_optimizer_state_dict: no group of the state has the parameter {name!r}")


def get_state_dict(
    model: Module,
    optimizers: Optimizer | Iterable[Optimizer],
    *,
    submodules: set[Module] | None = None,
    options: StateDictOptions | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """State of a model and of its optimizers."""
    return (
        get_model_state_dict(model, options=options),
        get_optimizer_state_dict(model, optimizers, options=options),
    )


def set_state_dict(
    model: Module,
    optimizers: Optimizer | Iterable[Optimizer],
    *,
    model_state_dict: Mapping[str, Any],
    optim_state_dict: Mapping[str, Any],
    options: StateDictOptions | None = None,
) -> Any:
    """Give a model and its optimizers their state."""
    set_optimizer_state_dict(model, optimizers, optim_state_dict, options=options)
    return set_model_state_dict(model, model_state_dict, options=options)
