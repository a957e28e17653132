"""The examples that the reference shows below each public function, and what they print.

    python tools/examples.py          writes anew what every example prints
    python tools/examples.py --check  says whether all of it is up to date

In: `docs/examples/*.txt`, one file for each public part, in it blocks of a line `# name` or
`# name, name` and lines of code after `>>>`; docstrings that hold an example themselves.  Out: for
each public name its example.  A table beside the docstrings, since they would make the files of
operations half as long again, and many docstrings are made by factories.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import inspect
import io
import linecache
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "examples"

# The public parts whose every name has an example, and the file that holds most of them.
PARTS = {
    "rushlight": "torch",
    "rushlight.linalg": "linalg",
    "rushlight.special": "special",
    "rushlight.fft": "fft",
    "rushlight.nn": "nn",
    "rushlight.nn.functional": "functional",
    "rushlight.nn.init": "init",
    "rushlight.nn.utils": "nn_utils",
    "rushlight.optim": "optim",
    "rushlight.optim.lr_scheduler": "lr_scheduler",
    "rushlight.utils.data": "data",
    "rushlight.distributions": "distributions",
    "rushlight.func": "func",
    "rushlight.autograd": "autograd",
    "rushlight.amp": "amp",
    "rushlight.signal.windows": "windows",
    "rushlight.masked": "masked",
    "rushlight.nested": "nested",
    "rushlight.sparse": "sparse",
    "rushlight.serialization": "serialization",
    "rushlight.fx": "fx",
    "rushlight.export": "export",
    "rushlight.hub": "hub",
    "rushlight.nn.utils.prune": "prune",
    "rushlight.onnx": "onnx",
    "rushlight.library": "library",
    "rushlight.jit": "jit",
    "rushlight.distributed": "distributed",
    "rushlight.ao.quantization": "quantization",
    "rushlight.futures": "futures",
    "rushlight.cuda": "cuda",
    "rushlight.vision.ops": "vision_ops",
    "rushlight.vision.transforms": "vision_transforms",
    "rushlight.vision.transforms.functional": "vision_transforms_functional",
    "rushlight.vision.transforms.v2": "vision_v2",
    "rushlight.vision.transforms.v2.functional": "vision_v2_functional",
    "rushlight.vision.utils": "vision_utils",
    "rushlight.vision.io": "vision_io",
    "rushlight.vision.tv_tensors": "vision_tv_tensors",
}
# Where functions and classes of an example say that they stand.
MODULE = "example"
PRELUDE = "import rushlight as torch"
# What the code of an example may use; `torch` is also asked of PyTorch itself by the tests.
SHORT = {
    "nn": "nn",
    "F": "nn.functional",
    "prune": "nn.utils.prune",
}
VISION = {
    "ops": "ops",
    "transforms": "transforms",
    "TF": "transforms.functional",
    "vutils": "utils",
    "v2": "transforms.v2",
    "VF": "transforms.v2.functional",
    "tv_tensors": "tv_tensors",
    "vio": "io",
}


def public(part: str) -> dict[str, Any]:
    """The functions and classes of a part, by name."""
    module = importlib.import_module(part)
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    found = {name: getattr(module, name) for name in names}
    return {
        name: value
        for name, value in found.items()
        if callable(value)
        and str(getattr(value, "__module__", "")).startswith("rushlight")
        and (name != "Tensor" or part == "rushlight")
    }


def table(part: str) -> dict[str, str]:
    """The blocks of a part's file: {"name" or "name, name": code and what it prints}."""
    path = FOLDER / f"{PARTS[part]}.txt"
    blocks: dict[str, str] = {}
    if path.exists():
        for block in re.split("^# ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            names, _, text = block.partition("\n")
            blocks[names] = text.strip() + "\n"
    return blocks


def examples(part: str) -> dict[str, str]:
    """{name: its example}, from its docstring or from the table."""
    found = {}
    for names, text in table(part).items():
        found.update(dict.fromkeys(names.split(", "), text))
    for name, value in public(part).items():
        text = inspect.getdoc(inspect.unwrap(value)) or ""
        if ">>>" in text:
            found[name] = text
    return found


@contextlib.contextmanager
def device_of(part: str) -> Iterator[None]:
    """While examples of a part run: two emulated devices, where they are about devices."""
    if part != "rushlight.cuda":
        yield
        return
    cuda = importlib.import_module("rushlight.engine.cuda")
    cuda.use_driver(importlib.import_module("rushlight.runtime.emulator").Emulator(devices=2))
    try:
        yield
    finally:
        cuda.use_driver(None)


def names_for(torch: ModuleType, vision: ModuleType | None = None) -> dict[str, Any]:
    """The names that examples use, for a library: rushlight or PyTorch."""
    found: dict[str, Any] = {"torch": torch, "np": numpy, "__name__": MODULE}
    for roots, short in ((torch, SHORT), (vision, VISION)):
        for name, path in short.items() if roots is not None else ():
            found[name] = importlib.import_module(f"{roots.__name__}.{path}")
    return found


def _place(source: str) -> str:
    """A name under which `inspect` finds the source, as PyTorch's TorchScript does."""
    place = f"<example {hash(source):x}>"
    linecache.cache[place] = len(source), None, source.splitlines(keepends=True), place
    module = sys.modules[MODULE] = ModuleType(MODULE)
    module.__file__ = place
    return place


def printed(source: str, names: dict[str, Any]) -> str:
    """What a statement prints, as a prompt shows it."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        # What is deprecated in PyTorch's place says so; its example shows what it gives.
        warnings.filterwarnings("ignore", ".* deprecated", Warning)
        exec(compile(source, _place(source), "single"), names)
    return out.getvalue()


def steps(text: str) -> Iterator[doctest.Example]:
    """The statements of an example with what they are said to print."""
    yield from doctest.DocTestParser().get_examples(text)


def written(text: str, names: dict[str, Any]) -> str:
    """An example with what it prints now."""
    lines = []
    names["torch"].manual_seed(0)
    for step in steps(text):
        first, *more = step.source.rstrip("\n").split("\n")
        lines += [f">>> {first}", *(f"... {line}".rstrip() for line in more)]
        lines += [line or "<BLANKLINE>" for line in printed(step.source, names).splitlines()]
    return "\n".join(lines) + "\n"


def _all_written(part: str) -> str:
    library = importlib.import_module("rushlight")
    vision = importlib.import_module("rushlight.vision") if ".vision" in part else None
    blocks = table(part)
    with device_of(part):
        return "\n".join(
            f"# {names}\n{written(text, names_for(library, vision))}"
            for names, text in sorted(blocks.items(), key=lambda item: item[0].lower())
        )


def main(words: list[str]) -> int:
    """Check or write; returns the exit code."""
    stale = 0
    for part, file in PARTS.items():
        path = FOLDER / f"{file}.txt"
        if not path.exists():
            continue
        text = _all_written(part)
        if path.read_text(encoding="utf-8") != text:
            stale = 1
            if words != ["--check"]:
                path.write_text(text, encoding="utf-8")
    return stale if words == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
