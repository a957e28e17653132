"""`explain`, `debug`, `why_recompiled` and `stats` say what happened and why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rushlight
from rushlight.base.config import config
from rushlight.base.observe import watchers
from rushlight.engine import kernels
from rushlight.runtime.kernel_cache import KernelCache
from rushlight.tape.memo import memo
from rushlight.tape.tape import local


def forget() -> None:
    """As in a process that has recorded nothing yet."""
    rushlight.synchronize()
    memo.clear()
    local.tape.drop()  # it stands on the memo that was cleared


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "executor", "compiled")
    forget()


def softmax_of_product(x, w):
    return rushlight.softmax(x @ w, 1)


def arguments():
    return rushlight.randn(6, 5), rushlight.randn(5, 7)


def test_an_explanation_names_kernels_groups_and_the_flush() -> None:
    explanation = rushlight.explain(softmax_of_product, *arguments())
    assert explanation.result.shape == (6, 7)
    assert [run.name for run in explanation.kernels][-1] == "softmax_6x7_f32"
    assert any(run.name == "matmul_6x7x5_f32" for run in explanation.kernels)
    assert [run.name for run in explanation.flushes] == ["explain ends"]
    text = str(explanation)
    assert "matmul_6x7x5_f32, a matrix product" in text
    assert "test_explain.py:" in text and "GFLOP/s" in text
    assert "softmax_of_product" in repr(explanation)


def test_flops_and_bytes_are_those_of_the_operations() -> None:
    x, w = arguments()
    rushlight.synchronize()
    explanation = rushlight.explain(lambda: x @ w)
    assert explanation.flops == 2 * 6 * 5 * 7
    product = [run for run in explanation.kernels if run.name == "matmul_6x7x5_f32"]
    assert [run.facts.moved for run in product] == [4 * (6 * 5 + 5 * 7 + 6 * 7)]


def test_the_second_explanation_of_the_same_call_finds_everything_known() -> None:
    x, w = arguments()
    rushlight.synchronize()
    first = rushlight.explain(softmax_of_product, x, w)
    second = rushlight.explain(softmax_of_product, x, w)
    assert first.missed == first.recorded > 0 and first.hits == 0
    assert second.missed == 0 and second.hits == second.recorded == first.recorded
    assert len(first.compiles) == 1 and second.compiles == []


def test_another_shape_is_named_as_the_reason() -> None:
    x, w = arguments()
    wider = rushlight.randn(9, 5)
    rushlight.synchronize()
    rushlight.explain(softmax_of_product, x, w)
    explanation = rushlight.explain(softmax_of_product, wider, w)
    (departure,) = explanation.departures
    assert departure.part == "shape"
    assert "[6, 5]" in departure.before and "[9, 5]" in departure.now
    assert str(departure) in str(explanation)
    assert str(departure) in str(rushlight.why_recompiled())


def test_each_part_of_the_key_is_named_when_it_differs() -> None:
    x = rushlight.randn(4, 3)

    def parts(first, second) -> list[str]:
        forget()
        rushlight.explain(first)
        return [departure.part for departure in rushlight.explain(second).departures]

    assert parts(lambda: x.exp(), lambda: x.sin()) == ["operation"]
    assert parts(lambda: x.sum(0), lambda: x.sum(1)) == ["parameter axes of reduce_sum"]
    assert parts(lambda: (x.exp(), x - x), lambda: (x.exp(), x.exp() - x))[:1] == ["operation"]
    assert parts(lambda: x.exp(), lambda: x.exp().sin()) == ["length"]
    y = rushlight.randn(4, 3)
    rushlight.synchronize()
    assert parts(lambda: (x + y, x - y), lambda: (x + y, y - x)) == ["operand 1 of sub"]


def test_values_that_are_kept_now_and_were_not_before_are_named() -> None:
    x = rushlight.randn(4, 3)
    forget()

    def run(keep: bool) -> None:
        y = x.exp()
        total = y.sin().sum()
        if not keep:
            del y
        total.item()

    run(False)
    run(True)
    reasons = [one for one in rushlight.why_recompiled() if one.part == "kept values"]
    assert "exp kept" in reasons[-1].now


def test_a_kernel_that_is_compiled_again_is_compared_with_the_one_before(monkeypatch) -> None:
    monkeypatch.setattr(kernels, "_cache", KernelCache(None))
    x, y = rushlight.randn(64, 48), rushlight.randn(1, 48)
    forget()
    (x + 1).tanh().tolist()
    (x + 2).tanh().tolist()
    assert not [one for one in rushlight.why_recompiled() if one.part == "loop nest"]
    (x + y).tanh().tolist()  # one row is read again and again: other indices
    found = [one for one in rushlight.why_recompiled() if one.part == "loop nest"]
    assert len(found) == 1 and "add_tanh_64x48_f32: " in found[0].now
    assert found[0].before != found[0].now and str(found[0]) in str(rushlight.why_recompiled())


def test_a_number_that_changes_is_no_reason() -> None:
    x = rushlight.randn(4, 3)
    rushlight.explain(lambda: x * 2.0)
    assert rushlight.explain(lambda: x * 3.0).departures == []


def test_operations_without_kernels_come_with_their_reason() -> None:
    x = rushlight.randn(4, 16)
    rushlight.synchronize()
    explanation = rushlight.explain(lambda: rushlight.fft.fft(x).real.sum().item())
    assert any(run.name == "dft" for run in explanation.references)
    assert any(reason.startswith("dft: ") for reason in explanation.reasons)
    assert any(r.startswith("dft: ") for r in rushlight.stats()["fallback_reasons"])


def test_what_was_not_joined_is_listed_with_the_reason() -> None:
    x = rushlight.randn(64, 32)
    rushlight.synchronize()
    explanation = rushlight.explain(lambda: rushlight.softmax(x, 1).sum())
    (refusal,) = explanation.refusals
    assert "softmax_64x32_f32" in refusal[0] and "reduce_sum" in refusal[1]
    assert refusal[2] in str(explanation)


def test_every_kernel_that_reads_another_says_why_it_is_apart() -> None:
    x, w, b = rushlight.randn(8, 4), rushlight.randn(4, 6), rushlight.randn(6)
    rushlight.synchronize()

    def chain():
        y = rushlight.relu(x @ w + b)
        z = y @ y.t()
        return z + z.sum(0), y.sum(0), rushlight.fft.fft(y)

    refusals = rushlight.explain(chain).refusals
    reasons = [reason for _, _, reason in refusals]
    assert "a matrix product stores its result as it is" in reasons
    assert "is a matrix product" in reasons
    assert "reduces along outer axes" in reasons
    assert "a reduction along outer axes is complete only at its end" in reasons
    assert "is an operation of its own" in reasons
    assert len({(group, operation) for group, operation, _ in refusals}) == len(refusals)


def test_the_reference_executor_is_explained_by_its_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "executor", "reference")
    explanation = rushlight.explain(softmax_of_product, *arguments())
    assert explanation.kernels == [] and len(explanation.references) > 3
    assert "matmul(%" in str(explanation)


def test_explain_wants_a_function_and_lets_its_errors_through() -> None:
    with pytest.raises(TypeError, match="expected a function"):
        rushlight.explain(rushlight.ones(2))
    with pytest.raises(ZeroDivisionError):
        rushlight.explain(lambda: 1 / 0)
    assert watchers == []


def test_stats_count_kernels_by_where_they_came_from() -> None:
    x = rushlight.randn(3, 4)
    rushlight.synchronize()
    before = rushlight.stats()
    rushlight.softmax(x, 1).sum().item()
    after = rushlight.stats()
    sources = ("kernels_compiled", "kernels_from_disk", "kernels_reused")
    assert sum(after[name] - before[name] for name in sources) == 2
    assert after["kernel_launches"] - before["kernel_launches"] == 2
    assert after["compile_seconds"] > before["compile_seconds"]
    rushlight.softmax(x, 1).sum().item()
    again = rushlight.stats()
    assert [again[name] for name in sources] == [after[name] for name in sources]
    assert again["memo_hits"] - after["memo_hits"] == 7  # softmax is six


# ---- debug levels --------------------------------------------------------------------------------


def shown(level: int, capsys: pytest.CaptureFixture, kernels: str = "") -> str:
    x, w = arguments()
    rushlight.synchronize()
    capsys.readouterr()
    with rushlight.debug(level, kernels):
        result = softmax_of_product(x, w).sum()
    assert result.shape == ()
    return capsys.readouterr().err


# What each level shows and the one below it does not.
MARKS = {
    1: "flush (debug ends)",
    2: " GFLOP/s ",
    3: "group 0: matmul_6x7x5_f32, a matrix product",
    4: "softmax_6x7_f32: loop nest",
    5: "define void @kernel_",
    6: "softmax_6x7_f32: assembly",
}


@pytest.mark.parametrize("level", MARKS)
def test_each_level_shows_more_than_the_one_below(level: int, capsys) -> None:
    text = shown(level, capsys)
    for other, mark in MARKS.items():
        assert (mark in text) == (other <= level), (other, mark)
    assert all(line.startswith("rushlight: ") for line in text.splitlines())


def test_level_zero_shows_nothing_and_the_setting_before_comes_back(capsys) -> None:
    assert shown(0, capsys) == ""
    assert (config.debug, config.debug_kernels, watchers) == (0, "", [])


def test_a_filter_shows_only_the_kernels_it_names(capsys) -> None:
    text = shown(4, capsys, "softmax")
    assert "softmax_6x7_f32: loop nest" in text and "tape:" not in text
    assert "matmul_6x7x5_f32" not in text


def test_a_level_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="level 7 is not one of"):
        rushlight.debug(7)


def test_the_settings_come_back_after_an_error(capsys) -> None:
    with pytest.raises(KeyError), rushlight.debug(3):
        raise KeyError("x")
    assert (config.debug, watchers) == (0, [])


CODE = "import rushlight as r; r.softmax(r.ones(4, 3), 1).tolist(); r.ones(5).exp().tolist()"


def run_with(setting: str, code: str = CODE) -> subprocess.CompletedProcess:
    environment = {**os.environ, "RUSHLIGHT_DEBUG": setting, "RUSHLIGHT_EXECUTOR": "compiled"}
    command = [sys.executable, "-c", code]
    folder = Path(__file__).parent
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


def test_the_variable_takes_a_level_and_a_kernel() -> None:
    result = run_with("4:softmax")
    assert result.returncode == 0 and "softmax_4x3_f32: loop nest" in result.stderr
    assert "exp_5_f32" not in result.stderr


def test_a_level_that_is_no_number_is_explained() -> None:
    result = run_with("loud")
    assert result.returncode != 0
    assert "RUSHLIGHT_DEBUG='loud' is not understood (1: flushes" in result.stderr
