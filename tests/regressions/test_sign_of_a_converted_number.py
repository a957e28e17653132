"""A number passed as double, rounded to half and used for its sign only: LLVM asked for a function
that converts double to half in one step, which nobody has."""

import rushlight as rl
from rushlight.base.config import config


def test_tanh_of_a_half_that_is_one_number(monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    x = rl.full((5,), -0.25, dtype=rl.float64).to(rl.float16)
    assert x.tanh().tolist() == [rl.tensor(-0.25, dtype=rl.float16).tanh().item()] * 5
    assert rl.copysign(x, x).tolist() == [-0.25] * 5
