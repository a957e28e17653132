"""CUDA graphs: recorded once, replayed on what the tensors hold now."""

from __future__ import annotations

import pytest

import rushlight as torch
from rushlight import nn


def test_a_replay_computes_on_new_inputs() -> None:
    given = torch.zeros(3, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        assert torch.cuda.is_current_stream_capturing()
        result = (given * 2 + 1).relu()
        total = result.sum()
    assert not torch.cuda.is_current_stream_capturing()
    for values in ([1.0, -2.0, 3.0], [4.0, 5.0, 6.0]):
        given.copy_(torch.tensor(values))
        graph.replay()
        expected = [max(2 * v + 1, 0.0) for v in values]
        assert result.tolist() == expected and total.item() == sum(expected)
        assert result.device == given.device


def test_a_capture_changes_nothing_and_each_replay_once() -> None:
    counter = torch.zeros(2, device="cuda")
    view = counter[1:]
    graph = torch.cuda.CUDAGraph()
    filled = torch.ones(2, device="cuda")
    with torch.cuda.graph(graph):
        counter.add_(1)
        filled.fill_(7.0)
    assert counter.tolist() == [0.0, 0.0] and view.tolist() == [0.0]
    assert filled.tolist() == [1.0, 1.0]
    graph.replay()
    graph.replay()
    assert counter.tolist() == [2.0, 2.0] and view.tolist() == [2.0]
    assert filled.tolist() == [7.0, 7.0]
    counter.zero_()
    graph.replay()
    assert counter.tolist() == [1.0, 1.0]


def _trained(graphed: bool) -> tuple[list[float], list]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = torch.zeros(5, 4, device="cuda"), torch.zeros(5, 1, device="cuda")
    kept: list = []

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        kept[:] = [loss.detach()]

    step()  # the optimizer's state is there before
    graph = torch.cuda.CUDAGraph()
    if graphed:
        with torch.cuda.graph(graph):
            step()
    losses = []
    for number in range(4):
        values = torch.arange(20.0).reshape(5, 4).mul(0.1 * (number + 1)).sin()
        x.copy_(values)
        y.copy_(values.sum(1, keepdim=True))
        if graphed:
            graph.replay()
        else:
            step()
        losses.append(kept[0].item())
    return losses, [p.tolist() for p in model.parameters()]


def test_training_by_replays_is_training() -> None:
    assert _trained(True) == _trained(False)


def test_what_is_wrong_is_said() -> None:
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        graph.replay()
    with pytest.raises(RuntimeError, match="nothing is being captured"):
        graph.capture_end()
    x = torch.ones(2, device="cuda")
    with torch.cuda.graph(graph):
        x.mul_(2)
        with pytest.raises(RuntimeError, match="under way"):
            torch.cuda.CUDAGraph().capture_begin()
    with pytest.raises(RuntimeError, match="already owns a captured graph"):
        graph.capture_begin()
    graph.reset()
    with pytest.raises(RuntimeError, match="without a preceding"):
        graph.replay()
    assert x.tolist() == [1.0, 1.0]
    assert torch.cuda.graph_pool_handle() != torch.cuda.graph_pool_handle()


def test_callables_stay_what_they_are() -> None:
    layer = nn.Linear(3, 2).cuda()
    x = torch.ones(1, 3, device="cuda", requires_grad=True)
    graphed = torch.cuda.make_graphed_callables(layer, (x,))
    graphed(x).sum().backward()
    assert x.grad is not None and x.grad.shape == (1, 3)
