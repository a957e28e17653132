"""Every stage of the compiler is checked, and a stage that goes wrong is named."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import rushlight
import rushlight as torch
from rushlight.base.config import config
from rushlight.base.errors import CompilerWarning
from rushlight.engine import arena, pipeline
from rushlight.engine.pipeline import STAGES, Lowered
from rushlight.engine.takeover import Lifetimes
from rushlight.engine.verify import faults_of_placement
from rushlight.schedule.fusion import Schedule
from rushlight.tape.memo import memo


@pytest.fixture(autouse=True)
def verifying(monkeypatch: pytest.MonkeyPatch):
    if config.executor == "reference":
        pytest.skip("nothing is compiled")
    memo.clear()
    monkeypatch.setattr(config, "verify", True)
    yield
    memo.clear()


def product_and_loss() -> float:
    x, w = torch.ones(6, 5), torch.full((5, 4), 0.5, requires_grad=True)
    loss = torch.softmax((x @ w).relu(), 1).log().mean()
    loss.backward()
    return (w.grad.sum() + loss).item()


def test_stages_are_told_in_order_on_the_page() -> None:
    assert pipeline.__doc__ is not None
    places = [pipeline.__doc__.index(f"\n    {stage.name} ") for stage in STAGES]
    assert places == sorted(places)
    assert all(stage.purpose for stage in STAGES)


def test_the_page_names_files_that_exist() -> None:
    packages = [name for _, name, _ in pkgutil.iter_modules(rushlight.__path__)]
    assert {"simplify", "schedule", "lowering", "codegen", "runtime", "engine"} <= set(packages)
    for name in ("simplify.pipeline", "schedule.packing", "schedule.fusion", "engine.items"):
        assert name.replace(".", "/") + ".py" in (pipeline.__doc__ or "")
        importlib.import_module(f"rushlight.{name}")


def test_a_sound_program_passes_all_checks() -> None:
    assert product_and_loss() == pytest.approx(-1.3862944)


def replace_stage(monkeypatch: pytest.MonkeyPatch, name: str, after) -> None:
    """Let `after` change what a stage left."""

    def run(stage):
        def broken(lowered: Lowered) -> None:
            stage.run(lowered)
            after(lowered)

        return stage._replace(run=broken)

    stages = tuple(run(stage) if stage.name == name else stage for stage in STAGES)
    monkeypatch.setattr(pipeline, "STAGES", stages)


def turn_groups_round(lowered: Lowered) -> None:
    lowered.schedule.groups.reverse()


def leave_out_the_last_group(lowered: Lowered) -> None:
    lowered.schedule.groups.pop()


def turn_steps_round(lowered: Lowered) -> None:
    lowered.sequence.reverse()


@pytest.mark.parametrize(
    ("stage", "harm", "sentence"),
    [
        ("schedule", turn_groups_round, r"after the stage schedule, group \d+ reads %\d+ for"),
        ("schedule", leave_out_the_last_group, "is kept and no group makes it"),
        ("lower", turn_steps_round, r"after the stage lower, step \d+ reads %\d+, which nothing"),
    ],
)
def test_a_stage_that_goes_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, stage: str, harm, sentence: str
) -> None:
    replace_stage(monkeypatch, stage, harm)
    with pytest.raises(CompilerWarning, match=sentence):
        product_and_loss()


def test_memory_that_two_values_need_at_once_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def place(self: arena.ArenaPlanner, size: int, first: int, last: int) -> int:
        self.total = max(self.total, size)
        return 0

    monkeypatch.setattr(arena.ArenaPlanner, "place", place)
    monkeypatch.setattr(arena.ArenaPlanner, "take_over", lambda self, offset, *times: offset)
    with pytest.raises(CompilerWarning, match="are needed at one time and share memory"):
        product_and_loss()


def test_a_value_may_be_written_over_one_that_ends() -> None:
    lifetimes = Lifetimes([[1], [1, 2], [2]])
    places, sizes = {1: 0, 2: 0}, {1: 64, 2: 64}
    assert list(faults_of_placement(places, sizes, lifetimes, {2: 1}, 64)) == []
    (fault,) = faults_of_placement(places, sizes, lifetimes, {}, 64)
    assert fault == "%1 and %2 are needed at one time and share memory"


def test_a_group_that_makes_a_value_twice_is_found() -> None:
    found: list[Schedule] = []

    replaced = pipeline.make_schedule

    def remember(*arguments):
        found.append(replaced(*arguments))
        return found[-1]

    pipeline.make_schedule = remember
    try:
        product_and_loss()
    finally:
        pipeline.make_schedule = replaced
    schedule = found[-1]
    schedule.groups.append(schedule.groups[0])
    (sentence,) = [s for s in pipeline.verify.faults_of_schedule(schedule) if "twice" in s][:1]
    assert sentence.startswith("%")
