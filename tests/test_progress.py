"""`track` hands a loop its steps, with a bar where somebody looks."""

from __future__ import annotations

import pytest

from rushlight import progress
from rushlight.progress import track


def test_the_steps_come_in_order_and_nothing_is_printed_without_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(track(range(3))) == [0, 1, 2]
    assert list(track(iter("ab"), "letters")) == ["a", "b"]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_bar_is_drawn_on_a_terminal_and_lines_stay_above_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for step in track(range(2), "epochs"):
        print(f"loss [{step}]")
    drawn = capsys.readouterr().out
    assert "loss [0]" in drawn and "loss [1]" in drawn
    assert "epochs" in drawn and "100 %" in drawn


def test_a_loop_that_ends_early_or_fails_takes_its_bar_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for step in track(range(5)):
        if step == 1:
            break
    with pytest.raises(ValueError, match="two"):
        for step in track(range(5)):
            if step == 2:
                raise ValueError("two")
    # A second bar can be drawn only when the first has stopped.
    with progress.report_progress(1) as report:
        report.advance("")
