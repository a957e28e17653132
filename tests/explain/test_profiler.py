"""The profiler: PyTorch's names and shapes of results, and what rushlight's rows mean."""

from __future__ import annotations

import gzip
import inspect
import json
import re
import subprocess
import sys
import threading
import types

import pytest
import torch

import rushlight
from rushlight.base.config import config
from rushlight.base.observe import watchers
from rushlight.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)

CPU = [ProfilerActivity.CPU]
THEIR_CPU = [torch.profiler.ProfilerActivity.CPU]


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "executor", "compiled")
    rushlight.synchronize()


def step_of(model, optimizer, x) -> None:
    optimizer.zero_grad()
    model(x).relu().sum().backward()
    optimizer.step()


def training():
    model = rushlight.nn.Linear(8, 4)
    return model, rushlight.optim.SGD(model.parameters(), lr=0.1), rushlight.randn(5, 8)


def test_rows_are_functions_ranges_flushes_and_kernels() -> None:
    model, optimizer, x = training()
    step_of(model, optimizer, x)
    with profile(activities=CPU) as prof, record_function("one step"):
        step_of(model, optimizer, x)
    rows = {row.key: row for row in prof.key_averages()}
    for name in (
        "one step", "aten::relu", "aten::sum", "autograd::engine::backward",
        "Optimizer.step#SGD.step", "Optimizer.zero_grad#SGD.zero_grad", "rushlight::flush",
    ):  # fmt: skip
        assert rows[name].count == 1, name
    kernels = [name for name in rows if name.startswith("kernel::")]
    assert any("matmul_5x4x8" in name for name in kernels)
    assert all(rows[name].cpu_time_total > 0 for name in kernels)


def test_functions_of_every_namespace_have_rows() -> None:
    x = rushlight.ones(2, 3)
    assert rushlight.linalg and rushlight.special and rushlight.fft  # imported at the first access
    with profile() as prof:
        rushlight.nn.functional.cross_entropy(x, rushlight.tensor([0, 1])).item()
        rushlight.nn.Linear(3, 2)(x)
        rushlight.linalg.norm(x)
        rushlight.special.erf(x)
        rushlight.fft.fft(x)
        x + x
        x.clone().__iadd__(x)[0]
    rows = {row.key for row in prof.key_averages()}
    for name in (
        "cross_entropy", "linear", "linalg_norm", "fft_fft", "add", "add_", "clone", "getitem",
    ):  # fmt: skip
        assert f"aten::{name}" in rows, name
    assert rows & {"aten::erf", "aten::special_erf"}  # one function with two names


def test_events_lie_inside_each_other() -> None:
    model, optimizer, x = training()
    with profile() as prof, record_function("outer"):
        step_of(model, optimizer, x)
    events = prof.events()
    named = {event.name: event for event in events}
    flush = named["rushlight::flush"]
    assert flush.cpu_parent is named["Optimizer.step#SGD.step"]
    assert named["Optimizer.step#SGD.step"].cpu_parent is named["outer"]
    kernels = [event for event in events if event.name.startswith("kernel::")]
    assert kernels and all(event.cpu_parent is flush for event in kernels)
    for event in events:
        assert event.self_cpu_time_total <= event.cpu_time_total
        for child in event.cpu_children:
            assert child.time_range.start >= event.time_range.start
            assert child.time_range.end <= event.time_range.end
    roots = [event for event in events if event.cpu_parent is None]
    total = sum(event.cpu_time_total for event in roots)
    assert events.self_cpu_time_total == pytest.approx(total)


def test_what_was_recorded_before_and_after_is_not_in_the_profile() -> None:
    x = rushlight.ones(3)
    before = x.exp()
    with profile() as prof:
        inside = x.sin()
    after = x.cos()
    names = {event.name for event in prof.events()}
    assert "kernel::sin_3_f32" in names
    assert not any("exp" in name or "cos" in name for name in names)
    assert [len(t.tolist()) for t in (before, inside, after)] == [3, 3, 3]


def columns_of(table: str) -> list[str]:
    (heading,) = [line for line in table.splitlines() if line.strip().startswith("Name ")]
    return re.split(r"\s{2,}", heading.strip())


def test_tables_have_the_columns_of_pytorch() -> None:
    x, y = torch.ones(3, 4), rushlight.ones(3, 4)
    for options in ({}, {"record_shapes": True}, {"with_flops": True}):
        by_shape = "record_shapes" in options
        with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], **options
        ) as a:
            (x @ x.t()).sum()
        with profile(activities=CPU, **options) as b:
            (y @ y.t()).sum().item()
        expected, got = (
            p.key_averages(group_by_input_shape=by_shape).table(
                sort_by="cpu_time_total", header="H"
            )
            for p in (a, b)
        )
        assert columns_of(got) == columns_of(expected)
        assert "\nH\n" in expected and "\nH\n" in got
        assert re.search(r"^Self CPU time total: \d+\.\d{3}[um]?s$", got, re.MULTILINE)


def test_tables_sort_and_limit_rows() -> None:
    x = rushlight.ones(3, 4)
    with profile() as prof:
        for _ in range(3):
            rushlight.softmax(x, 1).sum().item()
    averages = prof.key_averages()
    by_count = averages.table(sort_by="count", row_limit=2).splitlines()
    assert len(by_count) == 3 + 2 + 2
    assert by_count[3].split()[-1] == "3"
    totals = [row.self_cpu_time_total for row in averages]
    first = averages.table(sort_by="self_cpu_time_total", row_limit=1).splitlines()[3]
    slowest = max(averages, key=lambda row: row.self_cpu_time_total)
    assert slowest.key[:40] in first and slowest.self_cpu_time_total == max(totals)
    assert averages.table(row_limit=-1).count("\n") == len(averages) + 5
    assert "ms" in averages.table(time_unit="ms")
    with pytest.raises(AttributeError):
        averages.table(sort_by="beauty")


def test_shapes_group_calls() -> None:
    with profile(record_shapes=True) as prof:
        for n in (2, 2, 5):
            rushlight.relu(rushlight.ones(n, 3)).sum().item()
    rows = [r for r in prof.key_averages(group_by_input_shape=True) if r.key == "aten::relu"]
    assert sorted((row.input_shapes, row.count) for row in rows) == [([[2, 3]], 2), ([[5, 3]], 1)]
    assert len([row for row in prof.key_averages() if row.key == "aten::relu"]) == 1


def test_flops_are_those_of_the_kernels() -> None:
    x = rushlight.ones(6, 7)
    with profile(with_flops=True) as prof:
        (x @ x.t()).tolist()
    assert sum(row.flops for row in prof.key_averages()) == 2 * 6 * 6 * 7


def test_memory_is_what_a_flush_kept() -> None:
    x = rushlight.ones(6, 7)
    rushlight.synchronize()
    with profile(profile_memory=True) as prof:
        y = x.exp()
    (flush,) = [row for row in prof.key_averages() if row.key == "rushlight::flush"]
    assert flush.self_cpu_memory_usage == 4 * y.numel()
    assert "Self CPU Mem" in prof.key_averages().table()


def test_stacks_name_the_program(tmp_path) -> None:
    with profile(with_stack=True) as prof:
        rushlight.ones(3).exp().sum().item()
    stacks = [event.stack for event in prof.events() if event.name == "aten::exp"]
    assert "test_profiler.py" in stacks[0][0]
    path = tmp_path / "stacks.txt"
    prof.export_stacks(path, "self_cpu_time_total")
    for line in path.read_text().splitlines():
        assert re.fullmatch(r"\S+ \d+", line)
    assert "test_profiler.py" in path.read_text()
    with pytest.raises(ValueError, match="metric should be one of"):
        prof.export_stacks(path, "beauty")
    with profile() as plain:
        pass
    with pytest.raises(AssertionError, match="with_stack=True"):
        plain.export_stacks(path)


def test_a_chrome_trace_holds_every_event(tmp_path) -> None:
    with profile(record_shapes=True) as prof:
        prof.add_metadata("author", "me")
        prof.add_metadata_json("sizes", "[1, 2]")
        with record_function('say "hello"</script>'):
            rushlight.ones(3, 2).exp().sum().item()
    prof.export_chrome_trace(tmp_path / "trace.json")
    prof.export_chrome_trace(tmp_path / "trace.json.gz")
    trace = json.loads((tmp_path / "trace.json").read_text())
    with gzip.open(tmp_path / "trace.json.gz", "rt") as file:
        assert json.load(file)["traceEvents"] == trace["traceEvents"]
    assert (trace["author"], trace["sizes"]) == ("me", [1, 2])
    complete = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert [event["name"] for event in complete] == [event.name for event in prof.events()]
    assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in complete)
    categories = {event["name"]: event["cat"] for event in complete}
    assert categories['say "hello"</script>'] == "user_annotation"
    (exp,) = [event for event in complete if event["name"] == "aten::exp"]
    assert exp["args"]["Input Dims"] == [[3, 2]] and exp["args"]["Input type"] == ["float32"]


# ---- schedules -----------------------------------------------------------------------------------

SCHEDULES = [
    {"wait": 1, "warmup": 1, "active": 2, "repeat": 2},
    {"wait": 0, "warmup": 1, "active": 1},
    {"wait": 2, "warmup": 1, "active": 3, "repeat": 1, "skip_first": 2},
    {"wait": 2, "warmup": 1, "active": 1, "skip_first": 1, "skip_first_wait": 1},
]


@pytest.mark.parametrize("arguments", SCHEDULES, ids=str)
def test_schedules_say_what_pytorchs_say(arguments: dict) -> None:
    ours, theirs = schedule(**arguments), torch.profiler.schedule(**arguments)
    assert [ours(i).name for i in range(20)] == [theirs(i).name for i in range(20)]


def test_wrong_schedules_are_refused_as_pytorch_refuses_them() -> None:
    for arguments in (
        {"wait": -1, "warmup": 0, "active": 1},
        {"wait": 0, "warmup": 1, "active": 0},
    ):
        with pytest.raises(AssertionError) as theirs:
            torch.profiler.schedule(**arguments)
        with pytest.raises(AssertionError) as ours:
            schedule(**arguments)
        assert str(ours.value) == str(theirs.value)
    with pytest.warns(UserWarning, match="won't be using warmup"):
        schedule(wait=0, warmup=0, active=1)


def cycles(module, **options) -> list:
    """(step, steps seen) at each complete trace."""
    seen = []

    def ready(prof) -> None:
        steps = [e.trace_name for e in prof.events() if e.name == "ProfilerStep*"]
        seen.append((prof.step_num, sorted(steps)))

    with module.profile(
        activities=[module.ProfilerActivity.CPU], on_trace_ready=ready, **options
    ) as prof:
        for _ in range(9):
            (rushlight if module is rushlight.profiler else torch).ones(3).exp().sum().item()
            prof.step()
    return seen


@pytest.mark.filterwarnings("ignore:Warning. Profiler clears events:UserWarning")
@pytest.mark.parametrize("arguments", SCHEDULES, ids=str)
def test_traces_are_ready_at_the_steps_at_which_pytorchs_are(arguments: dict) -> None:
    ours = cycles(rushlight.profiler, schedule=schedule(**arguments))
    theirs = cycles(torch.profiler, schedule=torch.profiler.schedule(**arguments))
    assert ours == theirs


def test_events_of_all_cycles_are_kept_on_request() -> None:
    counts = []
    for keep in (False, True):
        with profile(
            schedule=schedule(wait=0, warmup=1, active=1, repeat=2), acc_events=keep
        ) as prof:
            for _ in range(4):
                rushlight.ones(3).exp().sum().item()
                prof.step()
        counts.append(len([e for e in prof.events() if e.name == "aten::exp"]))
    assert counts == [1, 2]


def test_the_handler_writes_one_file_for_each_trace(tmp_path) -> None:
    folder = tmp_path / "logs"
    for use_gzip, suffix in ((False, ".pt.trace.json"), (True, ".pt.trace.json.gz")):
        handler = tensorboard_trace_handler(str(folder), "worker", use_gzip)
        with profile(on_trace_ready=handler):
            rushlight.ones(3).exp().sum().item()
        found = [p for p in folder.iterdir() if p.name.endswith(suffix)]
        assert len(found) == 1 and found[0].name.startswith("worker.")


# ---- names, errors, cost -------------------------------------------------------------------------


def test_activities_are_checked_as_pytorch_checks_them() -> None:
    with pytest.raises(AssertionError, match="No valid profiler activities found"):
        profile(activities=[])
    with pytest.warns(UserWarning, match="CUDA is not available, disabling CUDA profiling"):
        profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
    with pytest.raises(AssertionError, match="Profiler must be initialized before getting key av"):
        profile().key_averages()
    assert (
        ProfilerAction.RECORD_AND_SAVE.value == torch.profiler.ProfilerAction.RECORD_AND_SAVE.value
    )
    assert str(ProfilerActivity.CPU) == "ProfilerActivity.CPU"


@pytest.mark.parametrize(
    "path",
    ["profile", "schedule", "tensorboard_trace_handler", "record_function"],
)
def test_signatures_take_what_pytorchs_take(path: str) -> None:
    ours, theirs = getattr(rushlight.profiler, path), getattr(torch.profiler, path)
    if inspect.isclass(ours):
        ours, theirs = ours.__init__, theirs.__init__
    wanted = set(inspect.signature(theirs).parameters) - {"use_python_export"}
    assert wanted <= set(inspect.signature(ours).parameters)


def test_the_older_profiler_gives_the_same() -> None:
    older = rushlight.autograd.profiler
    assert older.record_function is record_function
    prof = older.profile(record_shapes=True)
    assert str(prof) == str(torch.autograd.profiler.profile())
    with pytest.raises(RuntimeError, match="Profiler didn't finish running"):
        prof.key_averages()
    with prof:
        rushlight.ones(3).exp().sum().item()
    assert "aten::exp" in prof.key_averages().table(sort_by="self_cpu_time_total")
    assert prof.table("count", 3) == prof.function_events.table("count", 3)
    assert "aten::exp" in str(prof)
    assert prof.total_average().key == "Total"
    assert prof.self_cpu_time_total > 0
    with pytest.raises(RuntimeError, match="not reentrant"), prof:
        pass
    with older.profile(enabled=False) as off:
        rushlight.ones(3).exp()
    with pytest.raises(RuntimeError):
        off.table()


def test_decorated_functions_are_ranges_even_when_they_call_themselves() -> None:
    @record_function("countdown")
    def countdown(n: int) -> int:
        return n if n == 0 else countdown(n - 1)

    with profile() as prof:
        assert countdown(3) == 0
    (row,) = [row for row in prof.key_averages() if row.key == "countdown"]
    longest = max(event.cpu_time_total for event in prof.events())
    assert row.count == 4
    assert row.cpu_time_total == pytest.approx(longest)  # the outermost call holds the others


def test_errors_pass_through_and_leave_nothing_behind() -> None:
    function, method = rushlight.relu, rushlight.Tensor.relu
    with pytest.raises(KeyError), profile():
        assert rushlight.relu is not function
        raise KeyError("x")
    with pytest.raises(RuntimeError), profile() as prof:
        rushlight.ones(2, 3) @ rushlight.ones(2, 3)
    assert any(event.name == "aten::matmul" for event in prof.events())
    assert rushlight.relu is function and rushlight.Tensor.relu is method
    assert watchers == []


def test_a_module_imported_under_a_profiler_has_the_real_functions_afterwards() -> None:
    name = "rushlight.imported_under_a_profiler"
    with profile():
        module = sys.modules[name] = types.ModuleType(name)
        module.relu = rushlight.relu
    assert sys.modules.pop(name).relu is rushlight.relu


def test_profiles_inside_each_other_both_see_everything() -> None:
    function = rushlight.exp
    with profile() as outer:
        with profile() as inner:
            rushlight.exp(rushlight.ones(3)).sum().item()
        assert rushlight.exp is not function
    for prof in (outer, inner):
        assert [event.name for event in prof.events()].count("aten::exp") == 1
    assert rushlight.exp is function


def test_other_threads_have_rows_of_their_own() -> None:
    def work() -> None:
        rushlight.ones(4).exp().sum().item()

    with profile() as prof:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        work()
    threads = {event.thread for event in prof.events() if event.name == "aten::exp"}
    assert len(threads) == 2
    for event in prof.events():
        if event.cpu_parent is not None:
            assert event.cpu_parent.thread == event.thread


def test_results_are_the_same_bits_under_a_profiler() -> None:
    rushlight.manual_seed(0)
    x, w = rushlight.randn(37, 19), rushlight.randn(19, 23)
    plain = rushlight.softmax((x @ w).tanh(), 1)
    rushlight.synchronize()
    with profile(record_shapes=True):
        profiled = rushlight.softmax((x @ w).tanh(), 1)
    assert rushlight.equal(plain, profiled)


def test_naming_a_range_does_not_load_the_compiler() -> None:
    code = (
        "import sys, rushlight\n"
        "with rushlight.profiler.record_function('x'): pass\n"
        "print('llvmlite' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "False\n", result.stderr
