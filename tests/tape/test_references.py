"""Owners of objects, counted where no function's own variable can disturb the count."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rushlight.base import references
from rushlight.base.references import ADDED, first_unshared, owners


class Probe:
    def __init__(self) -> None:
        self.held: object = None


def test_every_owner_beyond_the_list_counts_one() -> None:
    probes = [Probe() for _ in range(5)]
    keyed = {"probe": probes[1]}
    pair = (probes[2], probes[2])
    holder = Probe()
    holder.held = probes[3]
    named = probes[4]
    assert owners(probes) == [0, len(keyed), len(pair), 1, 1]
    assert named is probes[4]


def test_the_first_that_only_the_list_refers_to() -> None:
    probes = [Probe() for _ in range(3)]
    seen = probes[:2]
    assert first_unshared(probes) == 2
    seen.append(probes[2])
    assert first_unshared(probes) == -1
    assert first_unshared([]) == -1


def test_a_borrowed_variable_still_owns() -> None:
    def counted(probe: Probe, probes: list[Probe]) -> list[int]:
        return owners(probes) if probe.held is None else []

    probes = [Probe()]
    assert counted(probes[0], probes)[0] >= 1


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(lambda probe: 1, id="the same for all"),
        pytest.param(lambda probe: 0, id="nothing"),
        pytest.param(lambda probe: 2 * sys.getrefcount(probe), id="two for each"),
    ],
)
def test_an_interpreter_that_counts_otherwise_is_refused(count) -> None:
    with pytest.raises(ImportError, match=r"must count one for each owner.*CPython 3\.10 to 3\.15"):
        references._measured(count)


def test_what_the_measurement_adds_is_what_the_list_and_the_call_add() -> None:
    assert references._measured(sys.getrefcount) == ADDED


def test_an_interpreter_without_counts_or_lock_is_refused_with_a_sentence(monkeypatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(ImportError, match="PYTHON_GIL=1"):
        references._getrefcount()
    monkeypatch.delattr(sys, "getrefcount")
    with pytest.raises(ImportError, match="does not count references"):
        references._getrefcount()


def test_values_that_local_variables_of_callers_hold_survive_a_flush() -> None:
    program = """
import rushlight as torch

def middle(y):
    total = (y * 3).sum()
    total.item()  # flushes while y is held by the caller's variable, and maybe only borrowed here
    return y + 1

def outer(x):
    y = x * 2
    return middle(y), y

for _ in range(3):
    z, y = outer(torch.arange(4.0))
    print(z.tolist(), y.tolist())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    line = "[1.0, 3.0, 5.0, 7.0] [0.0, 2.0, 4.0, 6.0]"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [line] * 3
