"""Loops that never read a value, or carry one along, run in bounded memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import rushlight

SOURCE = str(Path(rushlight.__file__).resolve().parents[1])

# Growth allowed over the second half of a loop.  By then the pending tape has reached its cap and
# caches are full; a hundred bytes kept by each of the 50,000 steps would exceed it.
ALLOWED_MEGABYTES = 4

PREPARATION = """
    import sys
    sys.path.insert(0, {source!r})
    import rushlight as torch

    torch.manual_seed(0)
    x = torch.randn(8, 4)
    y = torch.randn(8, 1)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    total = torch.tensor(0.0)
    state = torch.ones(16)

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 / 2**20

    steps = {steps}
    for step in range(steps):
        if step == steps // 2:
            before = resident()
        {body}
    print(resident() - before, float({result}))
"""

LOOPS = {
    "training, nothing read": (
        """
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()
        """,
        "model.weight.sum()",
    ),
    "training, total += loss": (
        """
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        total += loss.detach()
        """,
        "total",
    ),
    "training by hand": (
        """
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.01 * parameter.grad
                parameter.grad = None
        """,
        "model.weight.sum()",
    ),
    "a state carried along": (
        "state = state * 0.999 + 0.001",
        "state.sum()",
    ),
    "evaluation, total += loss": (
        """
        with torch.no_grad():
            total += ((model(x) - y) ** 2).mean()
        """,
        "total",
    ),
}


def growth(name: str, steps: int) -> tuple[float, float]:
    """Megabytes gained over the second half of the loop, and its result."""
    body, result = LOOPS[name]
    body = textwrap.indent(textwrap.dedent(body).strip(), " " * 4).strip()
    text = textwrap.dedent(PREPARATION).format(source=SOURCE, steps=steps, body=body, result=result)
    run = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=550
    )
    assert run.returncode == 0, run.stderr
    gained, value = run.stdout.split()
    return float(gained), float(value)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_of_many_steps_runs_in_bounded_memory(name):
    gained, value = growth(name, 20_000 if "training" not in name else 6_000)
    assert value == value
    assert gained < ALLOWED_MEGABYTES


@pytest.mark.endurance
@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", LOOPS)
def test_a_hundred_thousand_steps_run_in_bounded_memory(name):
    gained, value = growth(name, 100_000)
    assert value == value
    assert gained < ALLOWED_MEGABYTES
