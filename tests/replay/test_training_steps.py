"""A training step under `torch.compile` gives the bits of the plain one, whatever happens to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import nn

# Calls until a call is replayed: first steps, two that did the same, two done both ways.
WARM = 7


class Program:
    """A small network with its step: compiled, or as it is."""

    def __init__(self, compiled: bool, make_optimizer: Callable, dropout: float = 0.0) -> None:
        torch.manual_seed(0)
        layers: list[nn.Module] = [nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        self.model = nn.Sequential(*layers, nn.Linear(5, 3))
        self.optimizer = make_optimizer(self.model.parameters())
        model, optimizer = self.model, self.optimizer

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        self.step: Any = torch.compile(step) if compiled else step
        self.losses: list[float] = []

    def run(self, steps: int, rows: int = 8) -> None:
        for number in range(steps):
            x = torch.linspace(-1, 1, rows * 6).reshape(rows, 6) * (number + 1)
            y = torch.arange(rows) % 3
            self.losses.append(self.step(x, y).item())

    def state(self) -> list[np.ndarray]:
        found = [p.detach().clone().numpy() for p in self.model.state_dict().values()]
        found += [p.grad.clone().numpy() for p in self.model.parameters() if p.grad is not None]
        for state in self.optimizer.state.values():
            found += [v.clone().numpy() for v in state.values() if isinstance(v, torch.Tensor)]
        found.append(np.array(self.losses))
        found.append(torch.get_rng_state().numpy())
        return found


def sgd(params: Any) -> Any:
    return torch.optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.01)


def adam(params: Any) -> Any:
    return torch.optim.Adam(params, lr=0.01)


def check(
    change: Callable[[Program], None], make_optimizer: Callable = adam, dropout: float = 0.0
) -> Program:
    """Warm up, change something, go on: compiled and plain must agree in every bit."""
    programs = []
    for compiled in (False, True):
        program = Program(compiled, make_optimizer, dropout)
        program.run(WARM)
        change(program)
        program.run(WARM)
        programs.append(program)
    plain, replayed = programs
    for x, y in zip(plain.state(), replayed.state(), strict=True):
        assert x.shape == y.shape and x.tobytes() == y.tobytes()
    report = torch.compiler.replays(replayed.step)
    assert report.replays > 0, str(report)
    return replayed


def nothing(program: Program) -> None:
    pass


OPTIMIZERS = {
    "sgd": sgd,
    "plain sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "adam": adam,
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_steps_as_without(name: str) -> None:
    check(nothing, OPTIMIZERS[name])


def test_dropout_draws_the_masks_of_the_plain_run() -> None:
    check(nothing, dropout=0.3)


def test_a_schedule_changes_the_rate() -> None:
    def change(program: Program) -> None:
        schedule = torch.optim.lr_scheduler.StepLR(program.optimizer, 1, 0.5)
        for _ in range(4):
            program.run(2)
            schedule.step()

    program = check(change)
    assert torch.compiler.replays(program.step).replays > WARM


def test_a_rate_set_by_hand_counts_at_once() -> None:
    def change(program: Program) -> None:
        for number in range(5):
            program.optimizer.param_groups[0]["lr"] = 0.1 / (number + 1)
            program.run(1)

    report = torch.compiler.replays(check(change).step)
    assert report.variants == 1 and report.replays >= 10


def test_another_option_is_another_program() -> None:
    before = 0

    def change(program: Program) -> None:
        nonlocal before
        if hasattr(program.step, "__wrapped__"):
            before = torch.compiler.replays(program.step).replays
        program.optimizer.param_groups[0]["weight_decay"] = 0.5
        program.run(WARM)

    report = torch.compiler.replays(check(change).step)
    assert 0 < before < report.replays and report.reasons["an optimizer's options"] == 1


def test_a_parameter_set_in_place_between_steps() -> None:
    def change(program: Program) -> None:
        with torch.no_grad():
            program.model[0].weight.mul_(0.5)

    check(change)


def test_data_swapped_under_a_parameter() -> None:
    def change(program: Program) -> None:
        program.model[0].weight.data = torch.full((5, 6), 0.25)

    check(change)


def test_a_parameter_rebound() -> None:
    def change(program: Program) -> None:
        program.model[0].bias = nn.Parameter(torch.ones(5))
        program.optimizer.param_groups[0]["params"] = list(program.model.parameters())

    check(change)


def test_eval_mode_and_back() -> None:
    def change(program: Program) -> None:
        program.model.eval()
        program.run(WARM)
        program.model.train()

    program = check(change, dropout=0.3)
    assert torch.compiler.replays(program.step).variants == 2


def test_a_frozen_parameter() -> None:
    def change(program: Program) -> None:
        program.model[0].weight.requires_grad_(False)
        program.optimizer.zero_grad()

    check(change)


def test_a_last_short_batch() -> None:
    def change(program: Program) -> None:
        for _ in range(WARM):
            program.run(2)
            program.run(1, rows=5)

    report = torch.compiler.replays(check(change).step)
    assert report.variants == 2


def test_state_loaded_into_model_and_optimizer() -> None:
    def change(program: Program) -> None:
        model = {k: v.clone() for k, v in program.model.state_dict().items()}
        state = program.optimizer.state_dict()
        program.run(2)
        program.model.load_state_dict(model)
        program.optimizer.load_state_dict(state)

    check(change)


def test_the_step_count_is_adams() -> None:
    program = check(nothing)
    for state in program.optimizer.state.values():
        assert state["step"].item() == 2 * WARM
        state["step"].fill_(1000.0)
    before = torch.compiler.replays(program.step).replays
    program.run(1)
    assert torch.compiler.replays(program.step).replays == before
    assert all(state["step"].item() == 1001 for state in program.optimizer.state.values())


def test_another_module_in_the_same_place() -> None:
    def change(program: Program) -> None:
        program.model[2] = nn.Tanh()

    check(change)


def test_a_forward_hook_added_later() -> None:
    def change(program: Program) -> None:
        program.model[0].register_forward_hook(lambda module, inputs, output: output * 2)

    check(change)


def test_a_hook_with_effects_runs_every_time() -> None:
    seen = []

    def change(program: Program) -> None:
        seen.clear()
        program.model[0].register_forward_hook(lambda module, inputs, output: seen.append(1))

    check(change)
    assert len(seen) == WARM


def test_a_hook_on_a_parameter() -> None:
    def change(program: Program) -> None:
        program.model[0].weight.register_hook(lambda gradient: gradient * 0.5)

    check(change)


def test_a_step_hook_added_later() -> None:
    counted = []

    def change(program: Program) -> None:
        counted.clear()
        program.optimizer.register_step_post_hook(lambda *_: counted.append(1))

    check(change)
    assert len(counted) == WARM


def test_both_ways_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rushlight.base.config.config.replay", "verify")
    program = Program(True, adam)
    program.run(WARM)
    report = torch.compiler.replays(program.step)
    assert report.replays == 0 and report.variants == 1
    monkeypatch.setattr("rushlight.base.config.config.replay", "0")
    program.run(2)
    assert torch.compiler.replays(program.step).calls == report.calls


def test_options_that_the_program_reads_itself() -> None:
    results = []
    for compiled in (False, True):
        torch.manual_seed(0)
        layer = nn.Linear(3, 1)
        optimizer = sgd(layer.parameters())
        group = optimizer.param_groups[0]

        def step(x: Any, layer: Any = layer, optimizer: Any = optimizer, group: Any = group) -> Any:
            optimizer.zero_grad()
            loss = layer(x).square().mean() + group["lr"]
            loss.backward()
            optimizer.step()
            return loss

        run = torch.compile(step) if compiled else step
        losses = [run(torch.ones(2, 3)).item() for _ in range(WARM)]
        group["lr"] = 0.01
        results.append(losses + [run(torch.ones(2, 3)).item() for _ in range(WARM)])
    assert results[0] == results[1]
    assert torch.compiler.replays(run).variants == 2


def by_hand(compiled: bool) -> tuple[Any, Any, list]:
    torch.manual_seed(0)
    w = torch.zeros(3, requires_grad=True)
    rate = [0.5]

    def step(x: Any, y: Any) -> Any:
        loss = ((x @ w - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w.sub_(rate[0] * w.grad)
            w.grad = None
        return loss

    return (torch.compile(step) if compiled else step), w, rate


def test_a_loop_by_hand_and_a_changed_rate() -> None:
    x, y = torch.linspace(-1, 1, 12).reshape(4, 3), torch.tensor([1.0, -1.0, 2.0, 0.5])
    histories = []
    for compiled in (False, True):
        step, w, rate = by_hand(compiled)
        history = [step(x, y).item() for _ in range(WARM)]
        rate[0] = 0.25
        history += [step(x, y).item() for _ in range(WARM)]
        histories.append([*history, *w.tolist(), w._version])
    assert histories[0] == histories[1]
    assert torch.compiler.replays(step).variants == 2


def test_accumulated_gradients() -> None:
    results = []
    for compiled in (False, True):
        torch.manual_seed(0)
        layer = nn.Linear(4, 2)

        def accumulate(x: Any, layer: Any = layer) -> Any:
            loss = layer(x).square().mean() / 4
            loss.backward()
            return loss.detach()

        run = torch.compile(accumulate) if compiled else accumulate
        losses = []
        for number in range(12):
            losses.append(run(torch.full((3, 4), number / 8)).item())
            if number == 9:
                layer.zero_grad()
        results.append([losses, layer.weight.grad.tolist(), layer.bias.grad.tolist()])
    assert results[0] == results[1]
    assert torch.compiler.replays(run).replays > 0


def test_the_loss_has_been_left_behind_by_backward() -> None:
    program = Program(True, sgd)
    program.run(WARM)
    x, y = torch.ones(8, 6), torch.arange(8) % 3
    before = torch.compiler.replays(program.step).replays
    first, second = program.step(x, y), program.step(x, y)
    assert torch.compiler.replays(program.step).replays == before + 2
    assert first.requires_grad and not first.is_leaf and "NllLoss" in repr(first)
    assert first is not second and first.item() != second.item()
    assert math.isfinite(first.item())
    with pytest.raises(RuntimeError, match="second time"):
        first.backward()


def test_results_of_two_calls_live_side_by_side() -> None:
    program = Program(True, adam)
    program.run(WARM)
    x, y = torch.ones(8, 6), torch.arange(8) % 3
    kept = [program.step(x, y) for _ in range(6)]
    weights = program.model[0].weight.detach().clone()
    alias = program.model[0].weight.detach()
    values = [loss.item() for loss in kept]
    more = [program.step(x, y) for _ in range(6)]
    assert [loss.item() for loss in kept] == values
    assert len({loss.item() for loss in more}) == 6
    # An alias sees the update, a copy does not.
    assert torch.equal(alias, program.model[0].weight) and not torch.equal(alias, weights)
