"""The first thing to run where there is a CUDA card: does it compute rightly, and how fast?

    python tools/on_gpu.py [--quick] [--markdown FILE]

Runs the tests of devices on the card itself, compares programs with the CPU, and measures launches,
copies, kernels and products, beside PyTorch CUDA where that is installed.  Prints a table, and
exits with 1 if something was wrong.  Meant for ten minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rushlight
from rushlight.engine import cuda
from rushlight.tensor.flush import synchronize as flush

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parents[1]
TESTS = [
    "tests/devices/emulated/test_kernels.py",
    "tests/devices/emulated/test_products.py",
    "tests/devices/emulated/test_programs.py",
    "tests/devices/emulated/test_random.py",
    "tests/devices/emulated/test_surface.py",
]
Row = tuple[str, float, float | None, str]


def tests_pass() -> bool:
    """Whether the tests of devices pass on the card; thread order is its own there."""
    environment = {**os.environ, "RUSHLIGHT_ON_CARD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--timeout", "300", *TESTS]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode == 0


def seconds(library: Any, work: Callable[[], Any], rounds: int = 10, repeats: int = 10) -> float:
    """The best time of one call, with the device waited for at the end of each round."""
    work()
    library.cuda.synchronize()
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(repeats):
            kept = work()
            if library is rushlight:
                flush()  # or equal operations would be computed once
        library.cuda.synchronize()
        best = min(best, (time.perf_counter() - started) / repeats)
        del kept
    return best


def _libraries() -> list[Any]:
    with_cuda = torch is not None and torch.cuda.is_available()
    return [rushlight, torch] if with_cuda else [rushlight]


def measured(quick: bool) -> list[Row]:
    """(what, rushlight's figure, PyTorch's or None, unit)."""
    elements = 1 << (22 if quick else 26)
    size = 1024 if quick else 4096
    rows: list[Row] = []
    figures: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        figures.setdefault(what, []).append(value)

    for library in _libraries():
        x = library.randn(elements, device="cuda")
        y = library.randn(elements, device="cuda")
        moved = 4e-9 * elements
        note("add, GB/s", 3 * moved / seconds(library, lambda x=x, y=y: x + y))
        gelu = library.nn.functional.gelu
        note("gelu, GB/s", 2 * moved / seconds(library, lambda x=x, f=gelu: f(x)))
        note("sum, GB/s", moved / seconds(library, lambda x=x: x.sum()))
        rows_of = x.reshape(-1, 1024)
        softmax = library.softmax
        note("softmax, GB/s", 2 * moved / seconds(library, lambda r=rows_of, f=softmax: f(r, -1)))
        note("to the host, GB/s", moved / seconds(library, lambda x=x: x.cpu(), 3, 1))
        a = library.randn(size, size, device="cuda")
        b = library.randn(size, size, device="cuda")
        flops = 2e-12 * size**3
        note("float32 product, TFLOP/s", flops / seconds(library, lambda a=a, b=b: a @ b, 5, 3))
        half = a.bfloat16(), b.bfloat16()
        note(
            "bfloat16 product, TFLOP/s", flops / seconds(library, lambda h=half: h[0] @ h[1], 5, 3)
        )
        small = library.ones(16, device="cuda")
        note("small add, us", 1e6 * seconds(library, lambda s=small: s + s, 5, 100))
        note("training step of an MLP, us", 1e6 * seconds(library, _step_of(library), 5, 20))
    for what, values in figures.items():
        name, _, unit = what.rpartition(", ")
        rows.append((name, values[0], values[1] if len(values) > 1 else None, unit))
    return rows


def _step_of(library: Any) -> Callable[[], Any]:
    nn = library.nn
    library.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 2)).cuda()
    optimizer = library.optim.Adam(model.parameters())
    x = library.randn(32, 10, device="cuda")
    y = library.randint(0, 2, (32,), device="cuda")

    def step() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def table(rows: list[Row]) -> str:
    """The figures as Markdown."""
    facts = cuda.backend().facts
    lines = [
        f"{facts.name}, capability {facts.capability[0]}.{facts.capability[1]}",
        "",
        "| | rushlight | PyTorch CUDA | unit |",
        "|---|---|---|---|",
    ]
    for name, value, other, unit in rows:
        shown = "" if other is None else f"{other:.4g}"
        lines.append(f"| {name} | {value:.4g} | {shown} | {unit} |")
    return "\n".join(lines)


def main() -> int:
    """Run everything; 1 if there is no device or something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--no-tests", action="store_true", help="measure only")
    parser.add_argument("--markdown", metavar="FILE", help="write the table here, too")
    options = parser.parse_args()
    if not cuda.backends():
        print(f"there is no CUDA device: {cuda.reason()}")
        return 1
    if cuda.driver().emulated:
        print("this device is emulated: its times say nothing of a card's")
    right = options.no_tests or tests_pass()
    text = table(measured(options.quick))
    print(text)
    reasons = [r for r in rushlight.stats()["fallback_reasons"] if r.startswith("through")]
    print("through the host:", ", ".join(reasons) or "nothing")
    if options.markdown:
        Path(options.markdown).write_text(text + "\n", encoding="utf-8")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
