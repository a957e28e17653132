"""`rushlight gallery` lists every example with what it says of itself, and runs what is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from rushlight.cli import gallery, main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_every_example_is_listed_with_its_first_line(capsys) -> None:
    assert main.main(["gallery"]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = {line.split()[0]: line for line in lines[:-3]}
    assert listed.keys() == {path.stem for path in EXAMPLES.glob("*.py")}
    assert all(len(line.split()) > 3 for line in listed.values())


def test_every_example_is_short_and_says_how_to_run_it() -> None:
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 120, path.name
        assert f"rushlight run examples/{path.name}" in text
        assert "[PICTURE.png]" in text, f"{path.name} saves no picture"
        assert " in track(" in text, f"{path.name} has no progress bar"


def test_a_name_that_is_not_there_is_refused_with_those_that_are(capsys) -> None:
    assert main.main(["gallery", "spma"]) == 2
    error = capsys.readouterr().err
    assert "no spma" in error and "spam" in error


def test_one_is_shown_and_run(capfd) -> None:
    assert main.main(["gallery", "--show", "regression"]) == 0
    assert capfd.readouterr().out.strip() == (EXAMPLES / "regression.py").read_text().strip()
    assert main.main(["gallery", "regression"]) == 0
    assert "test error: " in capfd.readouterr().out


def test_what_it_draws_is_kept_on_request(capfd, tmp_path) -> None:
    pytest.importorskip("PIL")
    assert main.main(["gallery", "regression", "--pictures", str(tmp_path / "new")]) == 0
    assert "test error: " in capfd.readouterr().out
    assert (tmp_path / "new" / "regression.png").read_bytes().startswith(b"\x89PNG")


def test_an_installation_without_them_says_so(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(gallery, "PLACES", (tmp_path / "none",))
    assert main.main(["gallery"]) == 1
    assert "missing" in capsys.readouterr().err
