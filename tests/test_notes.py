"""Every Python snippet of the learners' notes runs as written.

The notes (`tests/data/notes`) are documents that people learn PyTorch from.  Their snippets are
taken from the files as they are and run twice: by `rushlight run`, unchanged, in a process of
their own; and here, with rushlight imported in torch's place.
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import rushlight
from rushlight.torch_version import INTERFACE

NOTES = Path(__file__).parent / "data" / "notes"
FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
NO_GRAPH = "element 0 of tensors does not require grad and does not have a grad_fn"


def python_snippets() -> dict[str, str]:
    """Every Python block of the notes, by file and number."""
    found = {}
    for path in sorted(NOTES.glob("*.md")):
        blocks = [
            textwrap.dedent(text)
            for language, text in FENCE.findall(path.read_text(encoding="utf-8"))
            if language == "python" or "import torch" in text
        ]
        found.update({f"{path.stem}-{number}": block for number, block in enumerate(blocks)})
    return found


SNIPPETS = python_snippets()
BACKWARD_OF_A_CONSTANT = next(name for name, text in SNIPPETS.items() if "Example loss" in text)


def with_rushlight(snippet: str) -> str:
    """The snippet with its imports changed as a user of rushlight would write them."""
    snippet = re.sub(r"^import torch$", "import rushlight as torch", snippet, flags=re.MULTILINE)
    return re.sub(r"^(import|from) torch\.", r"\1 rushlight.", snippet, flags=re.MULTILINE)


def run_here(snippet: str) -> tuple[dict[str, object], str]:
    """Run in this process; the names it defines and what it prints."""
    names: dict[str, object] = {"__name__": "snippet"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(with_rushlight(snippet), "snippet", "exec"), names)
    return names, printed.getvalue()


def run_under_alias(snippet: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "snippet.py"
    script.write_text(snippet, encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "rushlight", "run", str(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_all_snippets_of_both_files_are_found() -> None:
    """Nine, so that a change of the extraction cannot empty this test unseen."""
    assert sum(name.startswith("methods") for name in SNIPPETS) == 6
    assert sum(name.startswith("first_steps") for name in SNIPPETS) == 3
    for text in SNIPPETS.values():
        assert "torch" in text
        compile(text, "snippet", "exec")


@pytest.mark.parametrize("name", [name for name in SNIPPETS if name != BACKWARD_OF_A_CONSTANT])
def test_the_snippet_runs_as_written(name: str, tmp_path: Path) -> None:
    result = run_under_alias(SNIPPETS[name], tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    _, printed = run_here(SNIPPETS[name])
    # Where rushlight is torch, its version is that of the interface.
    assert printed.replace(rushlight.__version__, INTERFACE) == result.stdout


def check_simple_network(names: dict, printed: str) -> None:
    out = names["SimpleNN"]()(rushlight.randn(3, 10))
    assert tuple(out.shape) == (3, 2) and out.requires_grad


def check_deep_network(names: dict, printed: str) -> None:
    assert tuple(names["DeepNet"]()(rushlight.randn(4, 10)).shape) == (4, 2)


def check_tensor(names: dict, printed: str) -> None:
    assert names["result"].tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert names["result"].requires_grad and names["tensor"].is_leaf


def check_autograd(names: dict, printed: str) -> None:
    assert names["x"].grad.item() == 7.0
    assert printed == "tensor([7.])\n"


def check_data_loader(names: dict, printed: str) -> None:
    assert [len(x) for x, _ in names["dataloader"]] == [32, 32, 32, 4]
    assert tuple(names["batch_x"].shape) == (4, 10) and tuple(names["batch_y"].shape) == (4,)


def check_version(names: dict, printed: str) -> None:
    assert printed == f"{rushlight.__version__}\n"


def check_no_accelerator(names: dict, printed: str) -> None:
    # Truthful: rushlight computes on the CPU, whatever this machine has.
    assert printed == "False\n"


RESULTS: dict[str, Callable[[dict, str], None]] = {
    "class SimpleNN": check_simple_network,
    "class DeepNet": check_deep_network,
    "torch.tensor([[1, 2], [3, 4]]": check_tensor,
    "print(x.grad)": check_autograd,
    "DataLoader(dataset": check_data_loader,
    "print(torch.__version__)": check_version,
    "torch.cuda.is_available()": check_no_accelerator,
    "torch.backends.mps.is_available()": check_no_accelerator,
}


@pytest.mark.parametrize("piece", RESULTS)
def test_the_snippet_gives_what_the_notes_say(piece: str) -> None:
    (snippet,) = [text for text in SNIPPETS.values() if piece in text]
    RESULTS[piece](*run_here(snippet))


def test_backward_of_a_constant_raises_the_error_of_pytorch(tmp_path: Path) -> None:
    """`loss = torch.tensor(0.5)` has no graph; PyTorch refuses `backward()` there, and so do we."""
    snippet = SNIPPETS[BACKWARD_OF_A_CONSTANT]
    with pytest.raises(RuntimeError, match=NO_GRAPH):
        run_here(snippet)
    result = run_under_alias(snippet, tmp_path)
    assert result.returncode == 1
    assert f"RuntimeError: {NO_GRAPH}" in result.stderr
    assert "loss.backward()" in result.stderr


def test_the_optimizer_snippet_trains_once_its_loss_has_a_graph(tmp_path: Path) -> None:
    constant = "loss = torch.tensor(0.5)"
    graph = "before = model.weight.tolist(); loss = model(torch.ones(4, 10)).pow(2).mean()"
    snippet = SNIPPETS[BACKWARD_OF_A_CONSTANT]
    assert snippet.count(constant) == 1
    snippet = snippet.replace(constant, graph)
    names, _ = run_here(snippet)
    after, before = names["model"].weight.tolist(), names["before"]
    steps = [abs(a - b) for rows in zip(after, before) for a, b in zip(*rows)]
    # Adam's first step has the size of its learning rate, whatever the gradient.
    assert steps == pytest.approx([0.001] * 20, rel=1e-2)
    result = run_under_alias(snippet, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
