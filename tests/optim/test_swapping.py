"""An optimizer works on other parameters for a while, as PyTorch's does."""

from __future__ import annotations

import pytest

import rushlight

torch = pytest.importorskip("torch")


def _run(lib):
    parameters = [lib.ones(2, requires_grad=True), lib.zeros(3, requires_grad=True)]
    optimizer = lib.optim.Adam(parameters, lr=0.1)
    for parameter in parameters:
        parameter.grad = lib.ones_like(parameter)
    optimizer.step()
    others = {name: p.detach().clone() + 1 for name, p in zip("ab", parameters)}
    for parameter in others.values():
        parameter.grad = lib.ones_like(parameter) * 2
    state = optimizer.state_dict()
    saved = {
        "state": {k: {n: v.clone() for n, v in s.items()} for k, s in state["state"].items()},
        "param_groups": [dict(group, lr=0.5) for group in state["param_groups"]],
    }
    with lib.optim.swap_in_optimizer_params_and_state(optimizer, others, saved):
        optimizer.step()
    found = [p.tolist() for p in (*parameters, *others.values())]
    found += [float(saved["state"][0]["step"]), float(optimizer.state[parameters[0]]["step"])]
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.param_groups[0]["params"][0] is parameters[0]
    with pytest.raises(RuntimeError, match="swap_in_optimizer_params_and_state"):  # noqa: SIM117
        with lib.optim.swap_in_optimizer_params_and_state(optimizer, {}, {"state": {}}):
            pass
    return found


def test_a_step_in_between_changes_the_others_alone() -> None:
    mine, theirs = _run(rushlight), _run(torch)
    for x, y in zip(mine, theirs):
        assert x == pytest.approx(y, rel=1e-6)
