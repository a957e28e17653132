"""Another set of parameters and state in an optimizer, for a while.  Level 12."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from rushlight.optim.optimizer import Optimizer
from rushlight.tensor.tensor import Tensor


@contextlib.contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer, swapin_parameters: dict[str, Tensor], swapin_optim_state: dict[str, Any]
) -> Iterator[None]:
    """Context in which the optimizer has these parameters and this state, and its own again after.

    swapin_parameters: as many as it has, in their order.
    swapin_optim_state: as `state_dict()` gives it; its tensors are written to by steps.
    Raises: RuntimeError where groups or parameters are not as many.
    Source: torch.optim.swap_in_optimizer_params_and_state.
    """
    groups, saved = optimizer.param_groups, swapin_optim_state.get("param_groups")
    if saved is None or "state" not in swapin_optim_state or len(saved) != len(groups):
        raise RuntimeError(
            "swap_in_optimizer_params_and_state requires what optimizer.state_dict() gives, with"
            f" {len(groups)} groups"
        )
    given = list(swapin_parameters.values())
    wanted = sum(len(group["params"]) for group in groups)
    same = all(len(a["params"]) == len(b["params"]) for a, b in zip(groups, saved))
    if len(given) != wanted or not same:
        raise RuntimeError(
            f"swap_in_optimizer_params_and_state: the optimizer has {wanted} parameters, got"
            f" {len(given)}"
        )
    before = [dict(group) for group in groups]
    state = optimizer.state
    swapped: defaultdict[Any, Any] = defaultdict(dict)
    rest = iter(given)
    try:
        for group, other in zip(groups, saved):
            mine = [next(rest) for _ in group["params"]]
            group.update(other)
            group["params"] = mine
            for parameter, number in zip(mine, other["params"]):
                swapped[parameter] = dict(swapin_optim_state["state"].get(number, {}))
        optimizer.state = swapped
        yield
    finally:
        for group, kept in zip(groups, before):
            group.clear()
            group.update(kept)
        optimizer.state = state
