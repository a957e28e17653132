"""The Optimizer base: groups, hooks, saving, errors, and what a step records."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import rushlight
from rushlight import optim
from rushlight.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from rushlight.tape.tape import current_tape


def parameters(count=2, size=3):
    params = [rushlight.ones(size).requires_grad_() for _ in range(count)]
    for param in params:
        param.grad = rushlight.ones(size)
    return params


# ---- recording -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "NAdam", "Rprop"])
def test_a_step_records_as_many_operations_for_a_hundred_parameters_as_for_two(name, monkeypatch):
    def recorded(count):
        optimizer = getattr(optim, name)(parameters(count))
        for _ in range(2):
            optimizer.step()
        seen = []

        def look():
            seen.extend(
                str(node.step.primitive) for node in current_tape().nodes if node.value is None
            )
            current_tape().flush("test")

        with monkeypatch.context() as patched:
            patched.setattr("rushlight.optim.optimizer.step_end", look)
            optimizer.step()
        return [primitive for primitive in seen if not primitive.startswith("output")]

    few = recorded(2)
    assert recorded(100) == few
    assert len(few) <= 30


def test_a_step_reads_nothing_and_flushes_once():
    optimizer = optim.Adam(parameters())
    optimizer.step()
    before = rushlight.stats()["flushes"]
    for _ in range(3):
        optimizer.step()
    assert rushlight.stats()["flushes"] == before + 3


def test_a_second_step_finds_everything_in_the_memo():
    params = parameters()
    optimizer = optim.AdamW(params)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

    def step():
        optimizer.zero_grad()
        sum((param * param).sum() for param in params).backward()
        optimizer.step()
        scheduler.step()

    for _ in range(3):
        step()
    before = rushlight.stats()["operations_missed"]
    for _ in range(5):
        step()
    assert rushlight.stats()["operations_missed"] == before


# ---- groups --------------------------------------------------------------------------------------


def test_groups_have_options_of_their_own():
    first, second = parameters()
    optimizer = optim.SGD([{"params": first, "lr": 0.5}, {"params": [second]}], lr=0.1)
    optimizer.step()
    assert first.tolist() == [0.5] * 3
    np.testing.assert_allclose(second.tolist(), 0.9)
    optimizer.add_param_group({"params": parameters(1), "momentum": 0.9})
    assert [group["momentum"] for group in optimizer.param_groups] == [0, 0, 0.9]


def test_named_parameters_keep_their_names():
    optimizer = optim.SGD([("w", parameters(1)[0]), ("b", parameters(1)[0])], lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["w", "b"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["w", "b"]


@pytest.mark.parametrize(
    "params, error, message",
    [
        (lambda: rushlight.ones(2), TypeError, "should be an iterable of Tensors or dicts"),
        (list, ValueError, "optimizer got an empty parameter list"),
        (lambda: [1.0], TypeError, "optimizer can only optimize Tensors"),
        (lambda: [rushlight.ones(2).requires_grad_() * 2], ValueError, "a non-leaf Tensor"),
        (lambda: [{"params": {rushlight.ones(2)}}], TypeError, "ordered collections"),
        (lambda: [("w", rushlight.ones(2)), rushlight.ones(2)], ValueError, "names are missing"),
    ],
)
def test_bad_parameters_are_refused(params, error, message):
    with pytest.raises(error, match=message):
        optim.SGD(params(), lr=0.1)


def test_a_parameter_is_in_one_group_only():
    param = parameters(1)[0]
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        optim.SGD([{"params": [param]}, {"params": [param]}], lr=0.1)
    with pytest.warns(UserWarning, match="a parameter group with duplicate parameters"):
        optim.SGD([param, param], lr=0.1)


def test_names_are_given_for_all_groups_or_none():
    optimizer = optim.SGD([("w", parameters(1)[0])], lr=0.1)
    with pytest.raises(ValueError, match="cannot add param group without names"):
        optimizer.add_param_group({"params": parameters(1)})


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda p: optim.SGD(p, lr=-1), "Invalid learning rate: -1"),
        (lambda p: optim.SGD(p, lr=rushlight.ones(2)), "Tensor lr must be 1-element"),
        (lambda p: optim.SGD(p, momentum=-1), "Invalid momentum value: -1"),
        (lambda p: optim.SGD(p, nesterov=True), "Nesterov momentum requires a momentum"),
        (lambda p: optim.Adam(p, betas=(1.0, 0.0)), "Invalid beta parameter at index 0: 1.0"),
        (lambda p: optim.Adam(p, eps=-1), "Invalid epsilon value: -1"),
        (lambda p: optim.Adam(p, weight_decay=-1), "Invalid weight_decay value: -1"),
        (lambda p: optim.Adadelta(p, rho=1.1), "Invalid rho value: 1.1"),
        (lambda p: optim.Rprop(p, etas=(1.0, 0.5)), "Invalid eta values: 1.0, 0.5"),
        (lambda p: optim.Adafactor(p, d=0.0), "Clipping threshold d should be >= 1"),
        (lambda p: optim.Muon(p), "Muon only supports 2D parameters"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(parameters())


def test_repr_lists_the_options_of_each_group():
    optimizer = optim.SGD(parameters(), lr=0.1)
    assert repr(optimizer) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n"
        "    foreach: None\n    fused: None\n    lr: 0.1\n    maximize: False\n"
        "    momentum: 0\n    nesterov: False\n    weight_decay: 0\n)"
    )


# ---- gradients -----------------------------------------------------------------------------------


def test_zero_grad_forgets_or_zeroes():
    first, second = parameters()
    optimizer = optim.SGD([first, second], lr=0.1)
    held = first.grad
    optimizer.zero_grad(set_to_none=False)
    assert held.tolist() == [0, 0, 0]
    assert first.grad is held
    optimizer.zero_grad()
    assert first.grad is None
    optimizer.step()
    assert first.tolist() == [1, 1, 1]


def test_a_closure_is_called_with_gradients_enabled():
    param = parameters(1)[0]
    optimizer = optim.SGD([param], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (param * param).sum()
        loss.backward()
        return loss

    with rushlight.no_grad():
        assert optimizer.step(closure).item() == 3
    assert param.tolist() == [0, 0, 0]


def test_parameters_stay_leaves_and_their_versions_count():
    param = parameters(1)[0]
    optimizer = optim.Adam([param])
    before = param._version
    optimizer.step()
    assert param.is_leaf
    assert param.requires_grad
    assert param._version > before


def test_backward_through_a_parameter_changed_by_a_step_is_an_error():
    param = parameters(1)[0]
    loss = (param * param).sum()
    optim.SGD([param], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# ---- hooks and subclasses ------------------------------------------------------------------------


def test_hooks_run_around_a_step_in_order():
    optimizer = optim.SGD(parameters(), lr=0.1)
    order = []
    handles = [
        register_optimizer_step_pre_hook(lambda *_: order.append("global pre")),
        register_optimizer_step_post_hook(lambda *_: order.append("global post")),
        optimizer.register_step_pre_hook(lambda *_: order.append("pre")),
        optimizer.register_step_post_hook(lambda *_: order.append("post")),
    ]
    optimizer.step()
    assert order == ["global pre", "pre", "post", "global post"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(order) == 4


def test_a_step_hook_may_change_the_arguments():
    optimizer = optim.SGD(parameters(), lr=0.1)
    with optimizer.register_step_pre_hook(lambda opt, args, kwargs: (args, {"closure": lambda: 7})):
        assert optimizer.step() == 7
    optimizer.register_step_pre_hook(lambda *_: "wrong")
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        optimizer.step()


def test_state_dict_hooks_may_replace_what_is_saved_and_loaded():
    optimizer = optim.SGD(parameters(), lr=0.1)
    calls = []
    optimizer.register_state_dict_pre_hook(lambda opt: calls.append("before"))
    optimizer.register_state_dict_post_hook(lambda opt, state: {**state, "extra": 1})
    optimizer.register_load_state_dict_post_hook(lambda opt: calls.append("loaded"))

    def double_rate(opt, state):
        state["param_groups"][0]["lr"] *= 2
        return state

    saved = optimizer.state_dict()
    assert saved["extra"] == 1
    optimizer.register_load_state_dict_pre_hook(double_rate)
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.2
    assert calls == ["before", "loaded"]


def test_a_users_own_optimizer_is_hooked_and_ends_the_step():
    class Halving(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {})

        @rushlight.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for param in group["params"]:
                    param.mul_(0.5)

    param = parameters(1)[0]
    optimizer = Halving([param])
    seen = []
    optimizer.register_step_post_hook(lambda *_: seen.append(param.tolist()))
    before = rushlight.stats()["flushes"]
    optimizer.step()
    assert seen == [[0.5] * 3]
    assert rushlight.stats()["flushes"] > before


# ---- saving --------------------------------------------------------------------------------------


def test_loading_checks_the_groups():
    saved = optim.SGD(parameters(2), lr=0.1).state_dict()
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        optim.SGD(parameters(3), lr=0.1).load_state_dict(saved)
    two = [{"params": parameters(1)}, {"params": parameters(1)}]
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optim.SGD(two, lr=0.1).load_state_dict(saved)


def test_loaded_state_takes_the_parameters_dtype_but_steps_stay_float32():
    saved = optim.Adam(parameters(1), lr=0.1)
    saved.step()
    param = rushlight.ones(3, dtype=rushlight.float64).requires_grad_()
    loaded = optim.Adam([param])
    loaded.load_state_dict(saved.state_dict())
    assert loaded.state[param]["exp_avg"].dtype is rushlight.float64
    assert loaded.state[param]["step"].dtype is rushlight.float32
    assert loaded.param_groups[0]["lr"] == 0.1


def test_a_step_count_saved_as_a_number_is_understood():
    saved = optim.Adam(parameters(1))
    saved.step()
    state = saved.state_dict()
    state["state"][0]["step"] = 1
    params = parameters(1)
    loaded = optim.Adam(params)
    loaded.load_state_dict(state)
    loaded.step()
    assert loaded.state[params[0]]["step"].item() == 2


def test_a_step_count_written_by_the_user_is_used():
    params = parameters(1)
    optimizer = optim.Adam(params)
    optimizer.step()
    optimizer.state[params[0]]["step"].fill_(10.0)
    optimizer.step()
    assert optimizer.state[params[0]]["step"].item() == 11
    optimizer.state[params[0]]["step"] = rushlight.tensor(20.0)
    optimizer.step()
    assert optimizer.state[params[0]]["step"].item() == 21


def test_an_optimizer_can_be_pickled_and_copied():
    params = parameters()
    optimizer = optim.Adam(params, lr=0.1)
    optimizer.step()
    for other in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        (group,) = other.param_groups
        assert group["lr"] == 0.1
        state = other.state[group["params"][0]]
        assert state["step"].item() == 1
        for param in group["params"]:
            param.grad = rushlight.ones(3)
        other.step()
        assert state["step"].item() == 2
    assert optimizer.state[params[0]]["step"].item() == 1


def test_a_differentiable_step_carries_gradients():
    torch = pytest.importorskip("torch")
    results = []
    for lib in (torch, rushlight):
        start = lib.tensor([1.0, 2.0]).requires_grad_()
        param = start.clone()
        gradient = lib.tensor([0.3, -0.4]).requires_grad_()
        param.grad = gradient
        optimizer = lib.optim.SGD([param], lr=0.1, weight_decay=0.2, differentiable=True)
        optimizer.step()
        (param * param).sum().backward()
        results.append([start.grad.tolist(), gradient.grad.tolist()])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6)
