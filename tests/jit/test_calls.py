"""Methods of archives that are put on the tape as a whole do what their code says each time."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight.jit import calls

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Body(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv1d(2, 4, 3, padding=1, padding_mode="reflect"),
            torch.nn.BatchNorm1d(4),
            torch.nn.ReLU(inplace=True),
            torch.nn.Dropout(0.5),
            torch.nn.Conv1d(4, 2, 1),
        )
        self.register_buffer("shift", torch.full((2, 1), 0.25))
        self.register_buffer("turned", torch.tensor(False))
        self.scale = 0.5

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.layers(x) * self.scale + self.shift
        if bool(self.turned):
            y = -y
        new = torch.stack([y.mean(-1), state[0] * 0.5])
        return y.tanh(), new


class Stateful(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = Body()
        self.state = torch.zeros(2, 1, 2)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, self.state = self.body(x, self.state)
        self.calls += 1
        return y + self.state[0].unsqueeze(-1)


def _pair(module: Any) -> tuple[Any, Any]:
    theirs = torch.jit.script(module.eval())
    buffer = io.BytesIO()
    torch.jit.save(theirs, buffer)
    buffer.seek(0)
    return rushlight.jit.load(buffer), theirs


def _compare(ours: Any, theirs: Any, count: int, *shape: int) -> None:
    for seed in range(count):
        x = np.random.default_rng(seed).normal(size=shape).astype("float32")
        with rushlight.no_grad(), torch.no_grad():
            mine, wanted = ours(rushlight.tensor(x)), theirs(torch.tensor(x))
        mine = mine if isinstance(mine, tuple) else (mine,)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        for one, other in zip(mine, wanted):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


def _replays(count: int, call: Any) -> list[int]:
    """How many blocks each of some calls put on the tape."""
    found = []
    for _ in range(count):
        before = rushlight.stats()["blocks_replayed"]
        call()
        found.append(rushlight.stats()["blocks_replayed"] - before)
    return found


@pytest.fixture
def pair() -> tuple[Any, Any]:
    torch.manual_seed(0)
    return _pair(Stateful())


def test_calls_that_carry_a_state_are_replayed_and_compute_the_same(pair: tuple) -> None:
    ours, theirs = pair
    _compare(ours, theirs, 6, 1, 2, 8)
    assert ours.calls == theirs.calls == 6
    x = rushlight.randn(1, 2, 8)
    with rushlight.no_grad():
        replays = _replays(6, lambda: ours(x).tolist())
    assert replays[-1] >= 1


def test_other_weights_buffers_and_values_count_at_once(pair: tuple) -> None:
    ours, theirs = pair
    _compare(ours, theirs, 5, 1, 2, 8)
    for library, module in ((rushlight, ours), (torch, theirs)):
        with library.no_grad():
            module.body.layers[0].weight.mul_(2)
    _compare(ours, theirs, 5, 1, 2, 8)
    for module in (ours, theirs):
        module.body.shift.fill_(11.0)
        module.body.turned.fill_(True)
    ours.body.layers[4].bias = rushlight.nn.Parameter(rushlight.ones(2))
    with torch.no_grad():
        theirs.body.layers[4].bias.fill_(1.0)
    _compare(ours, theirs, 5, 1, 2, 8)
    for module in (ours, theirs):
        module.body.scale = 0.25
    _compare(ours, theirs, 5, 1, 2, 8)


def test_other_sizes_and_longer_loops(pair: tuple) -> None:
    ours, theirs = pair
    for length in (8, 9, 8, 12, 8, 9):
        _compare(ours, theirs, 4, 1, 2, length)
    total, wanted = rushlight.zeros(()), torch.zeros(())
    with rushlight.no_grad(), torch.no_grad():
        for _ in range(12):  # nothing is read in between
            total = total + ours(rushlight.ones(1, 2, 8)).sum()
            wanted = wanted + theirs(torch.ones(1, 2, 8)).sum()
    assert total.item() == pytest.approx(wanted.item(), rel=1e-4)


def test_random_numbers_are_drawn_anew() -> None:
    torch.manual_seed(0)
    ours, theirs = _pair(Body())
    ours.train(), theirs.train()
    x = rushlight.ones(1, 2, 8)
    drawn = []
    for library, module in ((rushlight, ours), (torch, theirs)):
        library.manual_seed(3)
        with library.no_grad():
            args = (library.ones(1, 2, 8), library.zeros(2, 1, 2))
            drawn.append([module(*args)[0].numpy() for _ in range(5)])
    np.testing.assert_allclose(drawn[0], drawn[1], rtol=1e-4, atol=1e-5)
    with rushlight.no_grad():
        assert not any(_replays(6, lambda: ours(x, rushlight.zeros(2, 1, 2))[0].tolist()))


class Reading(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = Body()

    def forward(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        y = self.body(x, torch.zeros(2, 1, 2))[0]
        return y * float(factor) if int(factor) > 1 else y - float(factor)


def test_what_reads_a_value_of_an_argument_looks_at_it_each_time() -> None:
    torch.manual_seed(0)
    ours, theirs = _pair(Reading())
    for number in (0.5, 0.5, 0.5, 0.5, 3.0, 0.25, 4.0):
        with rushlight.no_grad(), torch.no_grad():
            mine = ours(rushlight.ones(1, 2, 8), rushlight.tensor(number))
            wanted = theirs(torch.ones(1, 2, 8), torch.tensor(number))
        np.testing.assert_allclose(mine.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)


class Writing(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = Body()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.body(x, state)[0]
        state.add_(y.mean())
        self.seen.add_(1)
        return y, x


def test_what_writes_to_arguments_and_buffers_does_so_each_time() -> None:
    torch.manual_seed(0)
    ours, theirs = _pair(Writing())
    mine, wanted = rushlight.zeros(2, 1, 2), torch.zeros(2, 1, 2)
    with rushlight.no_grad(), torch.no_grad():
        for _ in range(12):
            x = rushlight.ones(1, 2, 8)
            assert ours(x, mine)[1] is x
            theirs(torch.ones(1, 2, 8), wanted)
    np.testing.assert_allclose(mine.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)
    assert ours.seen.item() == theirs.seen.item() == 12


def test_gradients_flow_between_replayed_calls(pair: tuple) -> None:
    ours, theirs = pair
    _compare(ours, theirs, 5, 1, 2, 8)
    for library, module in ((rushlight, ours), (torch, theirs)):
        x = library.ones(1, 2, 8, requires_grad=True)
        module(x).sum().backward()
        module.state = module.state.detach()
        assert x.grad is not None
    np.testing.assert_allclose(
        ours.body.layers[0].weight.grad.numpy(),
        theirs.body.layers[0].weight.grad.numpy(),
        rtol=1e-3,
    )


def test_copies_have_calls_of_their_own(pair: tuple) -> None:
    ours, theirs = pair
    _compare(ours, theirs, 5, 1, 2, 8)
    again, known = copy.deepcopy(ours), ours.body.__dict__["_calls"]
    assert known and not again.body.__dict__["_calls"]
    _compare(again, copy.deepcopy(theirs), 5, 1, 2, 8)


def test_a_method_whose_calls_are_never_alike_is_left_alone(pair: tuple) -> None:
    ours, theirs = pair
    for length in range(4, 4 + 2 * calls.MOST_VAIN):
        _compare(ours, theirs, 1, 1, 2, length)
    assert all(call.vain == calls.MOST_VAIN for call in ours.body.__dict__["_calls"].values())


def test_calls_are_replayed_after_autocast(pair: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rushlight.amp.autocast_mode._LINGER_SECONDS", 0.0)
    with rushlight.autocast("cpu"):
        rushlight.ones(2, 2).mm(rushlight.ones(2, 2)).tolist()
    x = rushlight.randn(1, 2, 8)
    with rushlight.no_grad():
        assert _replays(12, lambda: pair[0](x).tolist())[-1] >= 1
