"""`rushlight run` gives a PyTorch script rushlight, and otherwise what `python` gives it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def rushlight_run(
    *words: str, folder: Path, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rushlight", "run", *words],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )


def run_script(text: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text, encoding="utf-8")
    return rushlight_run("script.py", *arguments, folder=folder)


def output_of(text: str, folder: Path, *arguments: str) -> list[str]:
    result = run_script(text, folder, *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.splitlines()


def test_torch_is_rushlight_under_all_spellings(tmp_path: Path) -> None:
    script = """
import sys
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import torch.utils.data
from torch import Tensor
from torch.nn import Linear
from torch.utils.data import DataLoader, TensorDataset
import rushlight
import rushlight.nn.functional
print(torch is rushlight, nn is rushlight.nn, F is rushlight.nn.functional)
print(torch.utils.data.DataLoader is DataLoader is rushlight.utils.data.DataLoader)
print(Tensor is rushlight.Tensor, Linear is nn.Linear, optim is torch.optim)
print(nn.__spec__.name, torch.__spec__.name, sys.modules["torch.nn"] is nn)
print(torch.tensor([1, 2]) + 1)
"""
    assert output_of(script, tmp_path) == [
        "True True True",
        "True",
        "True True True",
        "rushlight.nn rushlight True",
        "tensor([2, 3])",
    ]


def test_the_real_torch_is_never_loaded(tmp_path: Path) -> None:
    script = "import sys, torch\nprint('torch._C' in sys.modules, torch.__name__)"
    assert output_of(script, tmp_path) == ["False torch"]


def test_the_script_sees_what_python_would_show_it(tmp_path: Path) -> None:
    (tmp_path / "neighbor.py").write_text("value = 42\n")
    script = """
import os, sys
import neighbor
print(__name__, os.path.basename(__file__), sys.argv, neighbor.value)
print(sys.modules["__main__"].__dict__ is globals(), __spec__, __builtins__.__name__)
print(os.path.samefile(sys.path[0], os.path.dirname(__file__)))
"""
    expected = [
        "__main__ script.py ['script.py', '--epochs', '3', '-m', '--help'] 42",
        "True None builtins",
        "True",
    ]
    arguments = ["--epochs", "3", "-m", "--help"]
    assert output_of(script, tmp_path, *arguments) == expected
    plain = subprocess.run(
        [sys.executable, "script.py", *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert plain.stdout.splitlines() == expected


def test_a_module_runs_with_dash_m(tmp_path: Path) -> None:
    package = tmp_path / "project"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text("import torch\nversion = torch.__spec__.name\n")
    (package / "train.py").write_text(
        "import sys\nfrom . import model\nprint(__name__, model.version, sys.argv[1:])\n"
    )
    result = rushlight_run("-m", "project.train", "--fast", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "__main__ rushlight ['--fast']\n"


def test_code_runs_with_dash_c(tmp_path: Path) -> None:
    code = "import sys, torch; print(torch.__spec__.name, sys.argv)"
    result = rushlight_run("-c", code, "x", "-y", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "rushlight ['-c', 'x', '-y']\n"


def test_the_standard_input_runs_with_a_dash(tmp_path: Path) -> None:
    text = "import sys, torch\nprint(torch.__spec__.name, sys.argv)\n"
    result = rushlight_run("-", "x", folder=tmp_path, text=text)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "rushlight ['-', 'x']\n"


def test_a_folder_with_a_main_runs(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text(
        "import torch; print(__name__, torch.__spec__.name)"
    )
    assert rushlight_run("app", folder=tmp_path).stdout == "__main__ rushlight\n"


@pytest.mark.parametrize(
    ("statement", "code"),
    [("sys.exit(3)", 3), ("sys.exit()", 0), ("raise SystemExit('stop')", 1), ("1 / 0", 1)],
)
def test_the_exit_code_is_the_scripts(statement: str, code: int, tmp_path: Path) -> None:
    assert run_script(f"import sys\n{statement}\n", tmp_path).returncode == code


def test_a_traceback_shows_the_script_only(tmp_path: Path) -> None:
    script = "def f():\n    return 1 / 0\n\nf()\n"
    got = run_script(script, tmp_path)
    plain = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True
    )
    assert got.stderr == plain.stderr
    assert rushlight_run("-c", "1 / 0", folder=tmp_path).stderr.count("File ") == 1


def test_a_syntax_error_is_shown_as_python_shows_it(tmp_path: Path) -> None:
    got = run_script("x = = 1\n", tmp_path)
    assert got.returncode == 1
    assert "SyntaxError" in got.stderr and "cli/run.py" not in got.stderr


@pytest.mark.parametrize(
    ("statement", "kind", "name"),
    [
        ("import torch.package", "ModuleNotFoundError", "torch.package"),
        ("import torch.engine", "ModuleNotFoundError", "torch.engine"),
        ("import torchaudio", "ModuleNotFoundError", "torchaudio"),
        ("from torch import no_such_name", "ImportError", "torch.no_such_name"),
        ("import torch; torch.no_such_name", "AttributeError", "torch.no_such_name"),
        ("import torch; torch.nn.NoSuch", "AttributeError", "torch.nn.NoSuch"),
        ("import torch; torch.ones(2).no_such()", "AttributeError", "torch.Tensor.no_such"),
    ],
)
def test_what_is_lacking_is_named(statement: str, kind: str, name: str, tmp_path: Path) -> None:
    result = run_script(statement, tmp_path)
    assert result.returncode == 1
    assert kind in result.stderr and name in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert "rushlight" in last and ("does not have" in last or "does not provide" in last)


def test_a_missing_submodule_can_be_caught_as_an_import_error(tmp_path: Path) -> None:
    script = """
try:
    import torch.package as dist
except ImportError as error:
    print(error.name, error)
"""
    line = (
        "torch.package No module named 'torch.package': rushlight does not have it yet"
        " (torch is rushlight in this process)"
    )
    assert output_of(script, tmp_path) == [line]


def test_who_asks_for_what_is_lacking_is_named_and_probes_are_answered(tmp_path: Path) -> None:
    (tmp_path / "package.py").write_text("import torch.nn\ndef ask(): return torch.nn.no_such\n")
    (tmp_path / "other.py").write_text("import torch.no_such_module\n")
    script = """
import importlib.util
import package, torch
print(importlib.util.find_spec("torch.no_such_module"), hasattr(torch, "no_such"))
print(importlib.util.find_spec("torch.fft").name, torch.torch is torch)
for attempt in (package.ask, lambda: __import__("other"), lambda: torch.no_such):
    try:
        attempt()
    except (AttributeError, ImportError) as error:
        print(error)
"""
    assert output_of(script, tmp_path) == [
        "None False",
        "torch.fft True",
        "module 'torch.nn' has no attribute 'no_such': rushlight does not have it,"
        " asked for by package",
        "No module named 'torch.no_such_module': rushlight does not have it yet"
        " (torch is rushlight in this process), asked for by other",
        "module 'torch' has no attribute 'no_such': rushlight does not have it",
    ]


def test_an_error_inside_a_module_is_not_taken_for_a_missing_module(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_package\n")
    result = run_script("import torch, broken\n", tmp_path)
    assert "No module named 'no_such_package'" in result.stderr
    assert "does not have" not in result.stderr


def test_classes_of_the_script_can_be_pickled(tmp_path: Path) -> None:
    script = """
import pickle
import torch.nn as nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

net = Net()
copy = pickle.loads(pickle.dumps(net))
print(type(copy) is Net, type(copy).__module__)
print((copy.layer.weight == net.layer.weight).all().item())
"""
    assert output_of(script, tmp_path) == ["True __main__", "True"]


SPAWN = """
import multiprocessing
import torch
from torch.utils.data import DataLoader, Dataset

class Squares(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return torch.tensor(index * index), torch.__spec__.name == "rushlight"

if __name__ == "__main__":
    loader = DataLoader(Squares(), batch_size=3, num_workers=1, multiprocessing_context="METHOD")
    for squares, names in loader:
        print(squares.tolist(), names.tolist())
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_workers_see_the_alias_too(method: str, tmp_path: Path) -> None:
    lines = output_of(SPAWN.replace("METHOD", method), tmp_path)
    assert lines == ["[0, 1, 4] [True, True, True]", "[9, 16, 25] [True, True, True]"]


PROCESS = """
import multiprocessing

class Question:
    def answer(self):
        import torch.nn.functional
        return torch.__spec__.name

def work(queue, question):
    queue.put(question.answer())

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=work, args=(queue, Question()))
    process.start()
    print(queue.get(timeout=60))
    process.join()
"""


def test_a_spawned_process_of_the_script_sees_the_alias(tmp_path: Path) -> None:
    assert output_of(PROCESS, tmp_path) == ["rushlight"]


def test_other_programs_started_by_the_script_are_left_alone(tmp_path: Path) -> None:
    script = """
import os, subprocess, sys
code = "import sys; print(any('shim' in path for path in sys.path))"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())
"""
    assert output_of(script, tmp_path) == ["False"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name a script"),
        (["nowhere.py"], "can't open file 'nowhere.py'"),
        (["-m"], "-m needs a module after it"),
        (["--fast", "script.py"], "unknown option --fast"),
    ],
)
def test_wrong_use_is_explained(words: list[str], sentence: str, tmp_path: Path) -> None:
    result = rushlight_run(*words, folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("rushlight run: ") and sentence in result.stderr


def test_importing_rushlight_leaves_torch_alone() -> None:
    code = (
        "import sys, rushlight, rushlight.cli.run;"
        " print(any('alias' in repr(finder) for finder in sys.meta_path))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("False\n", "")


def test_an_import_of_what_is_missing_names_what_the_program_wrote(tmp_path: Path) -> None:
    script = """
import torch
try:
    from torch.linalg import (norm,
                              missing_thing)
except ImportError as error:
    print(error)
print(hasattr(torch.linalg, "missing_thing"))
"""
    text, probed = output_of(script, tmp_path)
    assert text.startswith("cannot import name 'missing_thing' from 'torch.linalg'")
    assert "rushlight." not in text and probed == "False"


CONTAINER = """
class Box:
    def __init__(self, values): self.values = values
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return Box([func.__name__, *[box.values for box in args[0]]])
"""


def test_a_class_of_a_package_answers_calls_though_it_is_no_tensor(tmp_path: Path) -> None:
    (tmp_path / "boxes.py").write_text(CONTAINER, encoding="utf-8")
    script = "import torch\nfrom boxes import Box\nprint(torch.cat([Box(1), Box(2)], 0).values)\n"
    assert output_of(script, tmp_path) == ["['cat', 1, 2]"]


def test_a_class_of_the_script_answers_calls_though_it_is_no_tensor(tmp_path: Path) -> None:
    script = f"import torch\n{CONTAINER}\nprint(torch.stack((Box(1), Box(2))).values)\n"
    assert output_of(script, tmp_path) == ["['stack', 1, 2]"]


def test_what_the_library_imports_itself_lets_no_call_be_watched(tmp_path: Path) -> None:
    """Calls that somebody watches are several times slower, and cannot be machine code."""
    (tmp_path / "modes.py").write_text(
        "from torch.overrides import TorchFunctionMode\nfrom torch.fx import Proxy\n"
        "class Counting(TorchFunctionMode):\n"
        "    def __torch_function__(self, func, types, args=(), kwargs=None):\n"
        "        return func(*args, **(kwargs or {}))\n"
        "class Named(Proxy):\n"
        "    @classmethod\n"
        "    def __torch_function__(cls, func, types, args=(), kwargs=None):\n"
        "        return super().__torch_function__(func, types, args, kwargs)\n",
        encoding="utf-8",
    )
    script = (
        "import torch, torch.fx, torch.jit, torch.masked, torch.nested, torch.distributions\n"
        "import modes, rushlight.selfcompile.warmup as warmup\nprint(warmup.is_suspended())\n"
        "with modes.Counting(): print(warmup.is_suspended())\nprint(warmup.is_suspended())\n"
    )
    assert output_of(script, tmp_path) == ["False", "True", "False"]
