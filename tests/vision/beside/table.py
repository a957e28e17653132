"""Writes the table of torchvision's names: equal, differs, there or missing.

`python -m tests.vision.beside.table --peer PYTHON --networks FILE --tests FILE.xml` reads what
`python -m tests.vision.beside` printed and what `pytest tests/vision --junitxml` wrote where both
libraries are installed, and writes `docs/torchvision.md`.  A name is *equal* if a comparison that
passed calls it, *differs* if one that failed does, *there* if none does.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

from tests.vision.beside.__main__ import ROOT
from tools import examples

PAGE = ROOT / "docs" / "torchvision.md"
LIST = """
import importlib, json
import torchvision
found = {"models": torchvision.models.list_models()}
PARTS = "datasets transforms transforms.v2 transforms.functional ops utils io"
for name in PARTS.split():
    module = importlib.import_module("torchvision." + name)
    names = getattr(module, "__all__", None) or [
        n for n, v in vars(module).items()
        if not n.startswith("_") and getattr(v, "__module__", "").startswith(module.__name__)
    ]
    found[name] = sorted(n for n in names if not n.startswith("_"))
print(json.dumps(found))
"""
HEAD = """# torchvision, name by name

`rushlight.vision` is `torchvision` under `rushlight run`. This page is written by
`python -m tests.vision.beside.table` from comparisons with torchvision 0.29 itself: networks with
the same seed (names, shapes and bits of the weights, outputs, for detectors losses and gradients),
datasets on small folders laid out as their publications have them, transforms and operations by
seed, and the examples of the reference, which print the same on both. **Equal** means that a
comparison that passed calls the name, **differs** that one found a difference, **there** that no
comparison calls it, **missing** that the name is not there.

| part | names | equal | differs | there | missing | share equal |
| --- | --- | --- | --- | --- | --- | --- |
"""
EXAMPLES = re.compile(r"test_examples_print_the_same_on_pytorch\[(rushlight\.vision\.[\w.]+)\]")
TESTS = re.compile(r"\b(?:T|F|o|u|d|v2|ours|transforms|our_io)\.(\w+)\(")


def _networks(path: Path) -> dict[str, str]:
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, words = line.partition(" ")
        found[name] = "equal" if words.strip() == "equal" else "differs"
    return found


def _cases(path: Path) -> tuple[set[str], set[str]]:
    """Words that passed comparisons call, and those that failed ones do."""
    good: set[str] = set()
    bad: set[str] = set()
    failing: set[str] = set()
    files: dict[str, Path] = {}
    for case in ElementTree.parse(path).iter("testcase"):
        file = ROOT / (str(case.get("classname")).replace(".", "/") + ".py")
        files[file.stem] = file
        failed = case.find("failure") is not None or case.find("error") is not None
        if case.find("skipped") is not None:
            continue
        words = set(re.findall(r"\w+", str(case.get("name"))))
        example = EXAMPLES.match(str(case.get("name")))
        if example:
            if not failed:
                blocks = examples.table(example[1])
                good |= {name for names in blocks for name in names.split(", ")}
            continue
        (bad if failed else good).update(words)
        if failed:
            failing.add(file.stem)
    for stem, file in files.items():
        if stem not in failing and file.exists():
            good |= set(TESTS.findall(file.read_text(encoding="utf-8")))
    return good, bad


def _here(part: str) -> set[str]:
    module = importlib.import_module("rushlight.vision." + part)
    return set(module.list_models()) if part == "models" else set(dir(module))


def _status(name: str, here: set[str], good: set[str], bad: set[str]) -> str:
    if name not in here:
        return "missing"
    if name in bad:
        return "differs"
    return "equal" if name in good else "there"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.vision.beside.table")
    parser.add_argument("--peer", required=True)
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument("--tests", type=Path, required=True)
    options = parser.parse_args()
    listed = subprocess.run([options.peer, "-c", LIST], capture_output=True, text=True, check=True)
    names: dict[str, list[str]] = json.loads(listed.stdout)
    networks = _networks(options.networks)
    good, bad = _cases(options.tests)
    rows, lists = [], []
    for part, known in names.items():
        here = _here(part)
        found: dict[str, list[str]] = {"equal": [], "differs": [], "there": [], "missing": []}
        for name in known:
            status = _status(name, here, good, bad)
            if part == "models" and status != "missing":
                status = networks.get(name, "there")
            found[status].append(name)
        counts = " | ".join(str(len(found[status])) for status in found)
        share = len(found["equal"]) / len(known)
        rows.append(f"| `{part}` | {len(known)} | {counts} | {share:.0%} |")
        lists.append(f"\n## `{part}`\n")
        for status, of in found.items():
            if of:
                lists.append(f"- {status}: " + ", ".join(f"`{name}`" for name in of))
    PAGE.write_text(HEAD + "\n".join([*rows, *lists]) + "\n", encoding="utf-8")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
