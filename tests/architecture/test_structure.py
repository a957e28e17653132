"""The structure of the source holds, and each check is shown to be able to fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture import layers

ROOT = Path(__file__).resolve().parents[2] / "src" / "rushlight"

CHECKS: dict[str, Callable[[Path], list[str]]] = {
    "every folder has a level": layers.unlevelled_folders,
    "imports go downward only": layers.upward_imports,
    "imports stand at the top of the file": layers.imports_in_functions,
    "the library never imports torch": layers.forbidden_imports,
    "modules form no cycle": layers.import_cycles,
    "files stay short": layers.long_files,
    "every module says what it is": layers.undocumented_modules,
    "files are named for what they do": layers.empty_names,
}

# One planted violation per check: files of a toy package, and a piece of the sentence expected.
PLANTED: dict[str, tuple[dict[str, str], str]] = {
    "every folder has a level": ({"gadgets/x.py": '"""Doc."""\n'}, "gadgets has no level"),
    "imports go downward only": (
        {
            "base/shapes.py": '"""Doc."""\nfrom rushlight.tape import node\n',
            "tape/node.py": '"""Doc."""\n',
        },
        "base/shapes.py:2: base (level 0) imports rushlight.tape.node (level 1)",
    ),
    "imports stand at the top of the file": (
        {"base/x.py": '"""Doc."""\ndef f():\n    import json\n    return json\n'},
        "base/x.py:3: imports json inside a function",
    ),
    "the library never imports torch": (
        {"base/x.py": '"""Doc."""\nimport torch.nn\n'},
        "base/x.py:2: imports torch.nn",
    ),
    "modules form no cycle": (
        {
            "base/a.py": '"""Doc."""\nfrom rushlight.base import b\n',
            "base/b.py": '"""Doc."""\nfrom . import c\n',
            "base/c.py": '"""Doc."""\nimport rushlight.base.a\n',
        },
        "rushlight.base.a, rushlight.base.b, rushlight.base.c",
    ),
    "files stay short": ({"base/x.py": '"""Doc."""\n' + "x = 1\n" * 600}, "has 601 lines"),
    "every module says what it is": ({"base/x.py": "x = 1\n"}, "base/x.py has no module docstring"),
    "files are named for what they do": ({"base/helpers.py": '"""Doc."""\n'}, "base/helpers.py"),
}


def plant(folder: Path, files: dict[str, str]) -> Path:
    root = folder / "rushlight"
    for name, text in {"__init__.py": '"""Doc."""\n', **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("claim", CHECKS)
def test_the_source_keeps_the_rule(claim: str) -> None:
    problems = CHECKS[claim](ROOT)
    assert not problems, f"{claim}:\n" + "\n".join(problems)


@pytest.mark.parametrize("claim", CHECKS)
def test_a_planted_violation_is_reported(claim: str, tmp_path: Path) -> None:
    files, sentence = PLANTED[claim]
    problems = CHECKS[claim](plant(tmp_path, files))
    assert len(problems) == 1
    assert sentence in problems[0]


@pytest.mark.parametrize("claim", CHECKS)
def test_a_clean_tree_has_no_violation(claim: str, tmp_path: Path) -> None:
    files = {
        "base/shapes.py": '"""Doc."""\nimport math\n',
        "tape/node.py": '"""Doc."""\nfrom rushlight.base.shapes import math\n',
        "autograd/function.py": '"""Doc."""\n',
        "nn/module.py": '"""Doc."""\nfrom rushlight.autograd import function\n',
        "nn/utils/clip.py": '"""Doc."""\nfrom ..module import function\n',
        "cli/main.py": '"""Doc."""\nfrom rushlight import __doc__\n',
    }
    assert CHECKS[claim](plant(tmp_path, files)) == []


def test_library_folders_import_in_their_order_only(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        {
            "nn/x.py": '"""Doc."""\nfrom rushlight.optim import sgd\n',
            "optim/sgd.py": '"""Doc."""\n',
        },
    )
    assert len(layers.upward_imports(root)) == 1


def test_import_loads_neither_torch_nor_the_compiler() -> None:
    """The import budget: llvmlite is loaded at the first compile, torch never."""
    code = "import sys, rushlight; print([m for m in ('torch', 'llvmlite') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
