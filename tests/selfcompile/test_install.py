"""The hot paths as machine code: all of them, in every place, with the same results."""

from __future__ import annotations

import inspect
import math
import os
import pickle
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import rushlight
import rushlight.optim
from rushlight import nn
from rushlight.amp import autocast_mode
from rushlight.base.config import config
from rushlight.base.errors import CompilerWarning
from rushlight.base.hot import HOT_FUNCTIONS, warmup
from rushlight.nn import functional as F
from rushlight.overrides import interception
from rushlight.selfcompile import warmup as warming
from rushlight.selfcompile.install import INSTALLER, function_kind
from rushlight.selfcompile.tree import tree_of
from rushlight.tape.memo import memo
from rushlight.tape.tape import current_tape

# Functions whose factory or class gives them what has no translation, and why.
STAY_PYTHON = {
    "set_grad_enabled.__init__": "super",
    "inference_mode.__new__": "super",
    "inference_mode.__init__": "super",
}


@pytest.fixture(autouse=True)
def installed():
    # Functions that an earlier test had watched are themselves again.
    interception.forget_classes()
    autocast_mode._watch.left_at = -math.inf
    with warming._progress.lock:
        autocast_mode._watch.end_if_idle()
    INSTALLER.install_all()
    INSTALLER.resume()
    yield
    if config.selfcompile == "0":  # the tests that follow are to record in Python
        INSTALLER.suspend()
    else:
        INSTALLER.resume()


def test_every_marked_function_has_machine_code() -> None:
    refused = {f.__qualname__: reason for f, reason in INSTALLER.refused.items()}
    assert refused.keys() == STAY_PYTHON.keys(), refused
    for name, reason in refused.items():
        assert STAY_PYTHON[name] in reason
    assert set(INSTALLER.functions) | set(INSTALLER.refused) == set(HOT_FUNCTIONS)
    # Not the counter of `stats()`: a test that ran before in this process may have set it back.
    assert {type(made) for made in INSTALLER.functions.values()} == {function_kind()}


def test_functions_methods_and_properties_are_replaced_and_given_back() -> None:
    kind: Any = function_kind()
    places = [
        lambda: vars(rushlight.Tensor)["__add__"],
        lambda: vars(rushlight.Tensor)["shape"].fget,
        lambda: vars(rushlight.Tensor)["_apply2"].__func__,
        lambda: vars(nn.Linear)["forward"],
        lambda: vars(rushlight)["sigmoid"],
        lambda: vars(F)["linear"],
    ]
    assert [type(place()) is kind for place in places] == [True] * len(places)
    INSTALLER.suspend()
    assert [type(place()) is kind for place in places] == [False] * len(places)
    INSTALLER.resume()
    assert [type(place()) is kind for place in places] == [True] * len(places)


def test_compiled_functions_look_like_functions() -> None:
    assert list(inspect.signature(F.linear).parameters) == ["input", "weight", "bias"]
    assert list(inspect.signature(nn.Linear(2, 3).forward).parameters) == ["input"]
    assert F.linear.__doc__ is not None and F.linear.__name__ == "linear"
    assert "def linear" in inspect.getsource(F.linear)
    assert F.linear.__code__.co_name == "linear"
    assert repr(F.linear) == "<compiled function linear>"
    assert pickle.loads(pickle.dumps(F.linear)) is F.linear
    with pytest.raises(AttributeError):
        F.linear.nothing
    bound = nn.Linear(2, 3).forward
    assert bound.__self__ is not None and bound.__func__ is nn.Linear.forward


def run(program: Any) -> list[np.ndarray]:
    rushlight.manual_seed(7)
    return [np.array(x) for x in program()]


def training(optimizer: Any, **options: Any) -> Any:
    def program() -> list[Any]:
        model = nn.Sequential(
            nn.Linear(6, 16), nn.LayerNorm(16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 3)
        )
        step = optimizer(model.parameters(), **options)
        x, y = rushlight.randn(20, 6), rushlight.randint(0, 3, (20,))
        losses = []
        for _ in range(6):
            step.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            step.step()
            losses.append(loss.item())
        return [*losses, *[p.detach().numpy() for p in model.parameters()]]

    return program


def by_hand() -> list[Any]:
    x = rushlight.randn(12, 5)
    y = (x.sum(1) > 0).float()
    w = rushlight.zeros(5, requires_grad=True)
    b = rushlight.zeros(1, requires_grad=True)
    found = []
    for _ in range(8):
        p = rushlight.sigmoid(x @ w + b)
        loss = -(y * rushlight.log(p + 1e-7) + (1 - y) * rushlight.log(1 - p + 1e-7)).mean()
        loss.backward()
        with rushlight.no_grad():
            w.sub_(0.1 * w.grad)
            b.sub_(0.1 * b.grad)
            w.grad = None
            b.grad = None
        found.append(loss.item())
    return [*found, w.detach().numpy()]


def recurrent() -> list[Any]:
    model = nn.LSTM(4, 5, num_layers=2, batch_first=True)
    output, (hidden, _) = model(rushlight.randn(3, 6, 4))
    (output.sum() + hidden.tanh().mean()).backward()
    return [output.detach().numpy(), *[p.grad.numpy() for p in model.parameters()]]


def views_and_writes() -> list[Any]:
    x = rushlight.randn(4, 6, requires_grad=True)
    y = x * 2
    y[1:3, ::2] += 1.5
    y[0].mul_(y[3].detach() + 1.25)
    z = y.t().reshape(3, 8) ** 2 - 1 / (y.sum() + 10)
    z.mean(0).sum().backward()
    return [z.detach().numpy(), x.grad.numpy()]


PROGRAMS = [
    by_hand, recurrent, views_and_writes,
    training(rushlight.optim.Adam, lr=1e-2),
    training(rushlight.optim.AdamW, lr=1e-2, amsgrad=True),
    training(rushlight.optim.SGD, lr=0.1, momentum=0.9, nesterov=True),
    training(rushlight.optim.RMSprop, lr=1e-2, centered=True),
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__qualname__)
def test_programs_give_the_same_bits_and_need_no_other_kernels(program: Any) -> None:
    # What other tests recorded fills the memo, which would forget the oldest meanwhile.
    rushlight.synchronize()
    memo.clear()
    current_tape().drop()
    INSTALLER.suspend()
    as_python = run(program)
    INSTALLER.resume()
    run(program)
    compiled = rushlight.stats()["kernels_compiled"], rushlight.stats()["fallbacks"]
    as_machine_code = run(program)
    assert (rushlight.stats()["kernels_compiled"], rushlight.stats()["fallbacks"]) == compiled
    assert len(as_python) == len(as_machine_code)
    for one, other in zip(as_python, as_machine_code):
        assert one.tobytes() == other.tobytes()


def test_python_and_machine_code_record_the_same_memo_path() -> None:
    INSTALLER.suspend()
    run(by_hand)
    run(by_hand)
    missed = rushlight.stats()["operations_missed"]
    INSTALLER.resume()
    run(by_hand)
    assert rushlight.stats()["operations_missed"] == missed


def test_errors_are_those_of_python() -> None:
    x = rushlight.ones(2, 3)
    calls: list[Any] = [
        lambda: x @ x,
        lambda: x + rushlight.ones(4),
        lambda: x + "a",
        lambda: F.linear(x, rushlight.ones(2, 2)),
        lambda: F.cross_entropy(x, rushlight.tensor([0, 1]), label_smoothing=2.0),
        lambda: x.requires_grad_().mul_(2),
        lambda: rushlight.relu(3),
        lambda: x.mean(dim=5),
        lambda: rushlight.relu(x, x, x),
        lambda: x.nothing,
        lambda: (x * 2).sum(1).backward(),
        lambda: rushlight.ones(2, dtype=rushlight.int64).mean(),
    ]
    for call in calls:
        said = []
        for change in (INSTALLER.suspend, INSTALLER.resume):
            change()
            with pytest.raises(Exception) as caught:
                call()
            said.append((caught.type, str(caught.value)))
        assert said[0] == said[1]


def test_a_module_inside_itself_is_an_error_and_not_a_crash() -> None:
    model = nn.Sequential(nn.ReLU())
    model.append(model)
    with pytest.raises(RecursionError):
        model(rushlight.ones(1))
    deep = nn.Sequential(nn.ReLU())
    for _ in range(60):
        deep = nn.Sequential(deep)
    assert deep(rushlight.ones(1)).item() == 1


def test_threads_record_on_tapes_of_their_own() -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        x = rushlight.full((8,), float(number))
        for i in range(200):
            found = ((x + i) * 2 - x).sum().item()
            if found != 8 * (number + 2 * i):
                wrong.append((number, i, found))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_operation_is_told_by_the_function_the_user_called() -> None:
    from rushlight.tape.tape import current_tape

    x = rushlight.ones(3, 3)

    def names(call: Any) -> set[str]:
        call()
        found = {
            n.step.line.spelling for n in current_tape().nodes if getattr(n.step, "line", None)
        }
        current_tape().flush("test")
        return found

    current_tape().flush("test")
    assert names(lambda: F.linear(x, x, x[0])) >= {"linear"}
    assert "cross_entropy" in names(lambda: F.cross_entropy(x * 1.25, rushlight.tensor([0, 1, 2])))
    # A function with a frame that calls a compiled one is the outer of the two.
    assert "var" in names(lambda: rushlight.var(x * 1.75))


def test_warming_up_takes_a_share_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    done: list[float] = []

    class Installer:
        def is_complete(self) -> bool:
            return len(done) >= 3

        def prepare_next(self) -> None:
            pass

        def install_next(self) -> None:
            done.append(now[0])
            now[0] += 0.1

    class AtOnce:
        seconds = 0.4  # of another thread

        def __init__(self, function) -> None:
            function()

        def is_over(self) -> bool:
            return True

    monkeypatch.setattr(warming, "Later", AtOnce)
    progress = warming._Progress()
    progress.installer = Installer()
    monkeypatch.setattr(warming, "_progress", progress)
    monkeypatch.setattr(warming, "clock", lambda: now[0])
    monkeypatch.setattr(warming.config, "selfcompile", "auto")
    soon = warming._install_some()
    assert not done and soon > 0
    for _ in range(2000):
        now[0] += 0.01
        warming._install_some()
    assert len(done) == 3
    assert done[0] - 100 >= 1  # a short program stays as it is
    assert all((later - 100) * 0.1 >= 0.5 * count for count, later in enumerate(done[1:], 1))
    progress.suspended = 1
    done.clear()
    now[0] += 1000
    assert warming._install_some() > 0
    assert not done


def test_what_goes_wrong_is_said_once_and_leaves_python(monkeypatch: pytest.MonkeyPatch) -> None:
    class Installer:
        def is_complete(self) -> bool:
            raise RuntimeError("no such\nthing")

    progress = warming._Progress()
    progress.installer = Installer()
    monkeypatch.setattr(warming, "_progress", progress)
    monkeypatch.setattr(warming.config, "selfcompile", "1")
    with pytest.warns(CompilerWarning, match="no such thing"):
        assert warming._install_some() == -1
    assert warming.recording_form() == "Python: no such thing"


def test_what_recording_is_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting, form in (
        ("0", "Python, as RUSHLIGHT_SELFCOMPILE=0 asks"),
        ("1", "machine code at once"),
        ("auto", "machine code once a program has run for a second"),
    ):
        monkeypatch.setattr(warming.config, "selfcompile", setting)
        assert warming.recording_form() == form
    monkeypatch.setattr(warming.sys, "platform", "plan9")
    assert warming.recording_form().startswith("Python: untried on such a system")
    monkeypatch.setattr(warming.config, "selfcompile", "1")
    monkeypatch.setattr("sys.maxsize", 1 << 31)
    assert warming.recording_form() == "Python: the interpreter is not a 64-bit one"


SCRIPT = """
import rushlight
x = rushlight.ones(4)
for i in range({flushes}):
    (x + 1.5).sum().item()
print(rushlight.stats()["functions_compiled"] > 0)
"""


@pytest.mark.parametrize(
    "setting, flushes, expected", [("0", 40, "False"), ("1", 2, "True"), ("auto", 40, "False")]
)
def test_the_setting_chooses(setting: str, flushes: int, expected: str) -> None:
    environment = {**os.environ, "RUSHLIGHT_SELFCOMPILE": setting}
    command = [sys.executable, "-c", SCRIPT.format(flushes=flushes)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == (expected, "")


AT_THE_END = """
import rushlight, threading
class Last:
    def __init__(self): self.x = rushlight.ones(4, requires_grad=True)
    def __del__(self): print((self.x * 2 + 1).sum().item())
kept = Last()
rushlight.kept = Last()
threading.kept = Last()
print((rushlight.ones(2) + 1).sum().item())
"""


def test_what_runs_while_the_interpreter_ends_is_no_crash() -> None:
    """Modules are gone by then, so it may fail; but code and tables must still be there."""
    environment = {**os.environ, "RUSHLIGHT_SELFCOMPILE": "1"}
    command = [sys.executable, "-c", AT_THE_END]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout[:4]) == (0, "4.0\n"), result.stderr


def test_an_unknown_setting_is_refused() -> None:
    environment = {**os.environ, "RUSHLIGHT_SELFCOMPILE": "2"}
    command = [sys.executable, "-c", "import rushlight"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "RUSHLIGHT_SELFCOMPILE='2' is not one of" in result.stderr


def test_between_flushes_there_is_a_look_now_and_then() -> None:
    looks: list[int] = []
    left, look = warmup.left, warmup.look
    try:
        warmup.left, warmup.look = 3, lambda: looks.append(1)
        for _ in range(5):
            # A shape of its own: no other test has cut this recording in two.
            (rushlight.ones(457) + 1).sum().item()
        assert len(looks) == 1 and warmup.left == -2
    finally:
        warmup.left, warmup.look = left, look


def test_a_flush_that_failed_is_taken_back_before_anything_else_happens() -> None:
    def trouble() -> None:
        raise CompilerWarning("a warning that is an error")

    x = rushlight.tensor([1.0, 2.0])
    left, look = warmup.left, warmup.look
    try:
        x.copy_(rushlight.ones(3)[rushlight.tensor([0, 6]) + 1])
        warmup.left, warmup.look = 1, trouble
        with pytest.raises(IndexError):
            x.tolist()
        warmup.left = -1
        assert x.tolist() == [1.0, 2.0]
    finally:
        warmup.left, warmup.look = left, look


def test_a_function_is_not_translated_while_its_calls_are_watched() -> None:
    """A thread may be at it when the program begins to watch: the wrong source would be read."""
    add = interception.python_form(rushlight.add)
    assert add is not None
    assert tree_of(add).name == add.__code__.co_name
    interception.watch()
    try:
        with pytest.raises(RuntimeError, match="is watched and cannot be translated now"):
            tree_of(add)
    finally:
        interception.leave()
    assert tree_of(add).name == add.__code__.co_name
