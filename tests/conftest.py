"""What every test shares: child processes import the checkout, torch compares on one thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"

os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
)
# Two test workers with a thread pool each only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Every program is checked after each pass, in child processes too.
os.environ.setdefault("RUSHLIGHT_VERIFY", "1")
# Recording is machine code from the first flush on, as it is in any program that runs for long.
os.environ.setdefault("RUSHLIGHT_SELFCOMPILE", "1")


@pytest.fixture(autouse=True, scope="module")
def _functions_are_themselves() -> Iterator[None]:
    """Subclasses of Tensor that one file made do not have functions watched in the next."""
    yield
    interception = sys.modules.get("rushlight.overrides.interception")
    if interception is not None:
        interception.forget_classes()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the texts of tests/golden")


# Files of Linux, and how the lines in them begin that say whether memory ran out.
_MEMORY_FACTS = {
    "/proc/meminfo": ("MemTotal", "MemAvailable"),
    "/proc/vmstat": ("oom_kill",),
    "/sys/fs/cgroup/memory.events": ("oom", "oom_kill"),
    "/sys/fs/cgroup/memory.max": ("",),
}


# How the last worker that vanished ended.
_last_words: list[str] = []


def _state_of(process: subprocess.Popen) -> str:
    """How a process ended."""
    try:
        status = process.wait(10)
    except subprocess.TimeoutExpired:
        return "it goes on, but said no more"
    if status < 0:
        return f"ended by signal {signal.Signals(-status).name}"
    return f"ended with exit status {status}"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error) -> None:
    """A worker ended: keep how, for the report of the test it was at."""
    if error is None:
        return
    _last_words[:] = [f"worker {node.gateway.id}: {_state_of(node.gateway._io.popen)}"]


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport) -> None:
    """A worker that vanished says nothing itself: add what the system knows of it."""
    lines = [f"{report.longrepr}", *_last_words]
    for name, wanted in _MEMORY_FACTS.items():
        if Path(name).exists():
            facts = Path(name).read_text().splitlines()
            lines.append(f"{name}: {', '.join(f for f in facts if f.startswith(wanted))}")
    report.longrepr = "\n".join(lines)
