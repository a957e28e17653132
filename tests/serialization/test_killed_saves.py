"""A process killed while it saves: the old file stays whole, what lies beside it soon goes."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
import warnings

import pytest

import rushlight
from rushlight import load, save
from rushlight.serialization import atomic

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes to kill")


def saving_process(path, unnamed: bool, fatal: str = "") -> int:
    """A child that saves for ever, or is killed at the first call of what `fatal` names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of forks in a process with threads
        child = os.fork()
    if child:
        return child
    try:
        if not unnamed:
            atomic._open_unnamed = lambda folder: None
        if fatal:
            when, name = fatal.split()
            setattr(os, name, deadly(getattr(os, name), when == "before"))
        for step in itertools.count(1):
            save({"step": step, "weights": rushlight.full((200_000,), step)}, path)
    finally:
        os._exit(1)


def deadly(function, before: bool):
    def call(*args, **kwargs):
        if before:
            os.kill(os.getpid(), signal.SIGKILL)
        function(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    return call


def check_whole(path) -> None:
    found = load(path)
    assert (found["weights"] == found["step"]).all()


@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_save_killed_at_any_point_leaves_what_the_next_one_clears(tmp_path, unnamed, when, name):
    path = tmp_path / "ck.pt"
    save({"step": 0, "weights": rushlight.full((200_000,), 0)}, path)
    _, status = os.waitpid(saving_process(path, unnamed, f"{when} {name}"), 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    check_whole(path)
    save({"step": 7, "weights": rushlight.full((200_000,), 7)}, path)
    check_whole(path)
    assert os.listdir(tmp_path) == ["ck.pt"]


@pytest.mark.parametrize("unnamed", [True, False])
def test_saves_killed_at_random_moments_leave_whole_files(tmp_path, unnamed):
    path = tmp_path / "ck.pt"
    moments = random.Random(5)
    for _ in range(6):
        child = saving_process(path, unnamed)
        time.sleep(0.02 + moments.random() * 0.05)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert len(os.listdir(tmp_path)) <= 2
        if path.exists():
            check_whole(path)
    save({"step": 0}, path)
    assert os.listdir(tmp_path) == ["ck.pt"]


def test_what_a_living_process_writes_is_not_cleared(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_open_unnamed", lambda folder: None)
    path = tmp_path / "ck.pt"
    seen = []

    def write_slowly(target):
        target.write(b"first")
        atomic.write_atomically(path, lambda other: other.write(b"second"))
        seen.append(sorted(os.listdir(tmp_path)))

    atomic.write_atomically(path, write_slowly)
    assert path.read_bytes() == b"first"
    assert len(seen[0]) == 2  # the second writer finished and left the first one's file alone
    assert os.listdir(tmp_path) == ["ck.pt"]


def test_files_of_other_names_are_not_cleared(tmp_path):
    strangers = [".ck.pt.settings.partial", ".other.pt.0123456789abcdef.partial", "ck.pt.partial"]
    for name in strangers:
        (tmp_path / name).write_bytes(b"mine")
    save(1, tmp_path / "ck.pt")
    assert sorted(os.listdir(tmp_path)) == sorted([*strangers, "ck.pt"])


@pytest.mark.parametrize("unnamed", [True, False])
def test_the_longest_names_can_be_saved(tmp_path, monkeypatch, unnamed):
    if not unnamed:
        monkeypatch.setattr(atomic, "_open_unnamed", lambda folder: None)
    for name in ("x" * 255, "é" * 127):
        save(1, tmp_path / name)
        save(2, tmp_path / name)
        assert load(tmp_path / name) == 2
    assert len(os.listdir(tmp_path)) == 2
