"""What recording one operation costs, beside PyTorch's eager dispatch of the same operation.

    python -m benchmarks.recording

Tensors of ten elements; rushlight's tape replays what the memo knows (nothing is executed), PyTorch
executes.  The two alternate in short rounds and the best round of each counts, since other programs
only ever add time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType

import rushlight
from rushlight.tape.tape import current_tape

try:
    import torch
except ImportError:
    torch = None

ELEMENTS = 10
OPERATIONS = 500
ROUNDS = 200

BUDGET_NO_GRAD = 0.8e-6
BUDGET_GRAD = 1.5e-6


def _operands(library: ModuleType, requires_grad: bool):
    x = library.tensor([float(i) for i in range(ELEMENTS)], requires_grad=requires_grad)
    y = library.tensor([2.0] * ELEMENTS)
    return x, y


def _add(x, y) -> None:
    for _ in range(OPERATIONS):
        x + y


def _multiply(x, y) -> None:
    for _ in range(OPERATIONS):
        x * y


def _add_number(x, y) -> None:
    for _ in range(OPERATIONS):
        x + 1.5


def _seconds(work: Callable, operands, forget: Callable[[], None]) -> float:
    forget()
    started = time.perf_counter()
    work(*operands)
    return (time.perf_counter() - started) / OPERATIONS


def measure(work: Callable, requires_grad: bool) -> tuple[float, float | None]:
    """Best seconds for each operation: (rushlight, PyTorch or None)."""
    ours = _operands(rushlight, requires_grad)
    theirs = _operands(torch, requires_grad) if torch is not None else None
    best_ours = best_theirs = float("inf")
    for _ in range(ROUNDS):
        best_ours = min(best_ours, _seconds(work, ours, current_tape().drop))
        if theirs is not None:
            best_theirs = min(best_theirs, _seconds(work, theirs, lambda: None))
    return best_ours, best_theirs if theirs is not None else None


def rows() -> list[tuple[str, float, float | None]]:
    """(name, rushlight seconds, PyTorch seconds) for each measured operation."""
    found = []
    for name, work in (("x + y", _add), ("x * y", _multiply), ("x + 1.5", _add_number)):
        for requires_grad in (False, True):
            label = f"{name}, {'with' if requires_grad else 'no'} grad"
            found.append((label, *measure(work, requires_grad)))
    return found


def main() -> None:
    """Print the table."""
    if torch is not None:
        torch.set_num_threads(1)
    print(f"{'operation':22} {'rushlight':>12} {'PyTorch':>12} {'ratio':>7}")
    for name, ours, theirs in rows():
        other = "not installed" if theirs is None else f"{theirs * 1e6:9.2f} us"
        ratio = "" if theirs is None else f"{theirs / ours:7.2f}"
        print(f"{name:22} {ours * 1e6:9.2f} us {other:>12} {ratio}")


if __name__ == "__main__":
    main()
