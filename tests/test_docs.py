"""The pages of `docs/` are so: their examples run, their tables are up to date."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import docs, examples

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(page for page in docs.DOCS.rglob("*.md") if docs.examples(page))
ESSAY = docs.DOCS / "from_scratch.py"


def run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *words], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_example_of_a_page_runs(page: Path) -> None:
    run("-c", docs.examples(page))


def test_the_essay_trains_the_digits_and_is_short() -> None:
    assert len(ESSAY.read_text(encoding="utf-8").splitlines()) < 800
    printed = run(str(ESSAY))
    assert "1 plan compiled" in printed
    accuracy = float(re.search(r"([\d.]+)% of digits", printed)[1])
    assert accuracy > 93


def test_the_table_of_settings_is_up_to_date() -> None:
    text = docs.PAGE.read_text(encoding="utf-8")
    assert "RUSHLIGHT_EXECUTOR" in text
    assert docs.filled_in(text) == text, "run `python tools/docs.py`"


def test_the_site_lists_every_page() -> None:
    listed = set(re.findall(r"([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert listed == {str(page.relative_to(docs.DOCS)) for page in docs.DOCS.rglob("*.md")}


def test_the_reference_shows_every_part_that_has_examples() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in docs.DOCS.glob("api/*.md"))
    shown = set(re.findall(r"^<!-- names: ([\w.]+) -->$", pages, re.MULTILINE))
    assert set(examples.PARTS) - shown == set()


def test_the_walk_and_the_page_on_levels_name_files_that_exist() -> None:
    named = re.findall(r"`(\w+/[\w/]+\.py)", (docs.DOCS / "walk.md").read_text(encoding="utf-8"))
    missing = [
        name
        for name in named
        if not any((folder / name).exists() for folder in (ROOT, ROOT / "src" / "rushlight"))
    ]
    assert named and not missing
