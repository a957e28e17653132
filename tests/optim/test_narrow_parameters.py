"""Parameters of 16 bits: the arithmetic of an update has more, and results are rounded once."""

import numpy as np
import pytest

import rushlight as rl

RULES = {
    "SGD": {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    "Adam": {"lr": 1e-3},
    "AdamW": {"lr": 1e-3, "amsgrad": True},
    "RMSprop": {"lr": 1e-3, "momentum": 0.5, "centered": True},
    "Adagrad": {"lr": 1e-2},
    "Adadelta": {},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {},
    "Rprop": {"lr": 2.0**-7},  # it begins as a state, which has 16 bits
    "ASGD": {},
}


def values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((5, 7)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("rule", RULES)
def test_a_step_is_that_of_float32_rounded_once(rule, dtype):
    """Each of several steps, from the 16-bit parameters and states that the one before left."""
    kind = getattr(rl, dtype)
    param = rl.nn.Parameter(rl.tensor(values(0)).to(kind))
    optimizer = getattr(rl.optim, rule)([param], **RULES[rule])
    for turn in range(1, 5):
        grad = rl.tensor(values(turn)).to(kind)
        wide = rl.nn.Parameter(param.detach().float())
        judge = getattr(rl.optim, rule)([wide], **RULES[rule])
        for key, value in optimizer.state[param].items():
            judge.state[wide][key] = value.float() if value.dtype is kind else value.clone()
        param.grad, wide.grad = grad, grad.float()
        optimizer.step()
        judge.step()
        found, expected = param.detach().float(), wide.detach().to(kind).float()
        np.testing.assert_array_equal(found.numpy(), expected.numpy())
        for key, value in judge.state[wide].items():
            state = optimizer.state[param][key]
            assert state.dtype is (kind if state.shape == param.shape else state.dtype)
            np.testing.assert_array_equal(
                state.float().numpy(), value.to(state.dtype).float().numpy(), err_msg=key
            )


def test_small_rates_count():
    """0.999 has no bfloat16: as 1.0, a second moment would only ever grow."""
    param = rl.nn.Parameter(rl.ones(1, dtype=rl.bfloat16))
    optimizer = rl.optim.Adam([param], lr=1e-3, betas=(0.9, 0.99))
    for gradient in (1.0, *[0.0] * 60):
        param.grad = rl.full((1,), gradient, dtype=rl.bfloat16)
        optimizer.step()
    first = 0.01
    assert optimizer.state[param]["exp_avg_sq"].item() < first
