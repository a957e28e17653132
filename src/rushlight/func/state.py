"""Modules as functions of their parameters, and transforms that this library needs not.

Level: func.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rushlight.nn.modules.batchnorm import _BatchNorm
from rushlight.nn.modules.module import Module
from rushlight.nn.utils import stateless
from rushlight.primitives.movement import concatenate, reshape
from rushlight.tensor.autodiff import require_gradient
from rushlight.tensor.storage import alias_without_grad, current_edge
from rushlight.tensor.tensor import Tensor
from rushlight.transform.interception import current_node


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call `module` with the given tensors in the place of its parameters and buffers.

    parameter_and_buffer_dicts: by name; several dictionaries may not name the same member.
    args: the positional arguments as a tuple, or one argument.
    Raises: ValueError for a name given twice; else as `nn.utils.stateless.functional_call`.
    Source: torch.func.functional_call.
    """
    given = parameter_and_buffer_dicts
    if not isinstance(given, Mapping):
        if not isinstance(given, Sequence):
            raise ValueError(
                "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but "
                f"got {type(given)}"
            )
        merged: dict[str, Tensor] = {}
        for mapping in given:
            repeated = sorted(set(merged) & set(mapping))
            if repeated:
                raise ValueError(
                    f"{repeated[0]} appears in multiple dictionaries; behavior of functional call "
                    "is ambiguous"
                )
            merged.update(mapping)
        given = merged
    return stateless.functional_call(
        module, given, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(parameters, buffers) of equal modules, stacked along a new first axis: an ensemble.

    The stacked tensors are leaves of their own.  Raises: RuntimeError if the modules differ in
    class or mode.  Source: torch.func.stack_module_state.
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({model.training for model in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if len({type(model) for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = _stacked([dict(model.named_parameters()) for model in models])
    buffers = _stacked([dict(model.named_buffers()) for model in models])
    return parameters, buffers


def _stacked(members: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    found = {}
    for name, first in members[0].items():
        values = [member[name] for member in members]
        requires = [current_edge(value) is not None for value in values]
        if len(set(requires)) > 1:
            raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
        rows = [reshape(alias_without_grad(value), (1, *first._node.shape)) for value in values]
        stacked = concatenate(tuple(rows), 0)
        require_gradient(stacked, requires[0])
        found[name] = stacked
    return found


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Let every batch norm below `root` keep no running statistics, in place; returns `root`.

    A running average would be written in place, for which members of a vmap have no memory of
    their own.  Source: torch.func.replace_all_batch_norm_modules_.
    """
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = None
            module.running_var = None
            module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """`func` without in-place operations, as it already is on the tape.

    What the function records has no in-place writes: each gives a new value, and tensors point to
    it.  The function therefore runs as it is, and writes to its arguments are seen outside, as in
    PyTorch.  remove: "mutations" or "mutations_and_views".  Source: torch.func.functionalize.
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}. "
            "Valid options are 'mutations' and 'mutations_and_views'"
        )

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapped


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """The batch behind a tensor of a mapped function, for printing it; other tensors as they are.

    recurse: through all vmaps that are active.  Source: torch.func.debug_unwrap.
    """
    while True:
        payload = getattr(current_node(tensor), "payload", None)
        if payload is None:
            return tensor
        tensor = payload
        if not recurse:
            return tensor
