"""No kernel over many dense elements runs in an inner loop shorter than a vector."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from benchmarks.catalogue import WORKLOADS
from benchmarks.inner_loops import inner_loops, too_short
from rushlight import nn
from rushlight.base.config import config
from tests.lowering.executors import compare


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")


@pytest.mark.parametrize(
    ("loops", "found"),
    [
        ("786432 parallel (3 vector)", [(3, 786432 * 3)]),
        ("64 parallel (16 reduce (1024 reduce))", [(1024, 1 << 20)]),
        ("100 parallel (14 vector (4 reduce))", [(14, 1400)]),
        ("131072 parallel", [(1, 131072)]),
        ("7 parallel (9 serial)", []),
        ("4 parallel (9 vector, 5 reduce (3 vector)), 6 vector", [(9, 36), (3, 60), (6, 6)]),
        ("72 parallel (machine-specific code)", []),
        ("16 parallel (tiles of 512 x 256 x 4608)", []),
    ],
)
def test_the_loops_over_vectors_are_found(loops, found):
    assert list(inner_loops(loops)) == found


@pytest.mark.parametrize("name", ["cnn_small", "residual", "mlp_784"])
def test_no_step_of_a_workload_has_short_loops(name):
    job = WORKLOADS[name](rl, F)
    job.step()
    assert too_short(job.step) == []


class Block(nn.Module):
    """Convolutions whose weights are not small, one of them strided and one of single elements."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(16, 48, 3, 2, 1, bias=False)
        self.second = nn.Conv2d(48, 64, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(48, 64, 1, bias=False)
        self.norm = nn.BatchNorm2d(64)

    def forward(self, x):
        x = self.first(x)
        return F.relu(self.norm(self.second(x)) + self.shortcut(x)).mean((1, 2, 3))


def test_gradients_of_convolutions_are_read_in_long_loops():
    rl.manual_seed(0)
    model, x = Block(), rl.randn(6, 16, 8, 8, requires_grad=True)
    optimizer = rl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step():
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()
        return x.grad.sum().item()

    step()
    assert too_short(step) == []


# Permutations and windows whose last axes stay side by side, in reversed order too, and below
# operations of other shapes.
VIEWS = {
    "last two stay": lambda x: x.permute(1, 0, 2, 3) * 2,
    "last three stay": lambda x: x.reshape(2, 3, 4, 5, 6).permute(1, 0, 2, 3, 4) + 1,
    "single elements": lambda x: x.reshape(6, 20, 6, 1, 1).permute(1, 0, 2, 3, 4).exp(),
    "transposed columns": lambda x: x.reshape(6, 120, 1, 1).permute(1, 0, 2, 3) * 3,
    "flipped": lambda x: x.flip(2, 3).permute(1, 0, 2, 3) - 1,
    "flipped in part": lambda x: x.flip(3).permute(1, 0, 2, 3) - 1,
    "sliced": lambda x: x[:, 1:, :, ::2].permute(1, 0, 2, 3) * 2,
    "sliced rows": lambda x: x[1:, ::2].permute(1, 0, 2, 3) * 2,
    "broadcast below": lambda x: (x * x[:, :1, :1, :1]).permute(1, 0, 2, 3) + x.permute(1, 0, 2, 3),
    "sums of permuted": lambda x: (x.permute(1, 0, 2, 3) * 2).sum((2, 3)),
    "sums over outer and last axes": lambda x: (x.exp() * 2).sum((0, 2, 3)),
    "sums of permuted over outer axes": lambda x: x.permute(1, 2, 0, 3).exp().sum((0, 2, 3)),
    "largest over outer and last axes": lambda x: x.permute(1, 0, 3, 2).amax((0, 2, 3)),
    "means of single columns": lambda x: x.reshape(6, 20, 6, 1).mean((0, 2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_joined_axes_give_what_the_reference_rules_give(name):
    data = np.random.default_rng(1).standard_normal((6, 5, 4, 6)).astype(np.float32)

    def program():
        x = rl.tensor(data)
        return [VIEWS[name](x)]

    compare(program, rtol=1e-5, atol=1e-5)
