"""DataLoader with worker processes: equal results, seeds, and each way in which it may fail."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import rushlight
from rushlight.random import manual_seed
from rushlight.utils import data

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.skipif(sys.platform == "win32", reason="uses signals of POSIX"),
]

SOURCE = str(Path(rushlight.__file__).resolve().parents[1])


class Items(data.Dataset):
    """index -> action(index)."""

    def __init__(self, size, action):
        self.size = size
        self.action = action

    def __getitem__(self, index):
        return self.action(index)

    def __len__(self):
        return self.size


class Share(data.IterableDataset):
    """0 ... size - 1, each worker giving every num_workers-th."""

    def __init__(self, size):
        self.size = size

    def __iter__(self):
        info = data.get_worker_info()
        return iter(range(info.id, self.size, info.num_workers))


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc/self").exists()
    return state != "Z"


def wait_until_gone(pids, seconds=15.0) -> list[int]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        alive = [pid for pid in pids if is_running(pid)]
        if not alive:
            return []
        time.sleep(0.05)
    return alive


def worker_pids(iterator) -> list[int]:
    return [worker.process.pid for worker in iterator._batches._workers]


# ---- results -------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_batches_come_in_the_order_of_the_sampler(workers):
    def slow_first(index):
        time.sleep(0.05 if index == 0 else 0.0)
        return index

    loader = data.DataLoader(Items(20, slow_first), batch_size=3, num_workers=workers)
    assert [b.tolist() for b in loader] == [list(range(i, min(i + 3, 20))) for i in range(0, 20, 3)]


@pytest.mark.parametrize("size", [3, 40_000, 400_000])
def test_tensors_of_any_size_arrive_whole_and_writable(size):
    dataset = Items(3, lambda index: rushlight.tensor(np.full(size, index, np.float32)))
    for index, batch in enumerate(data.DataLoader(dataset, num_workers=2)):
        assert batch.shape == (1, size)
        batch += 1
        assert batch.sum().item() == size * (index + 1)


def test_a_buffer_that_a_dataset_uses_again_and_again_is_sent_as_it_was():
    class Reusing(data.Dataset):
        def __init__(self):
            self.buffer = np.zeros(300_000, np.float32)

        def __getitem__(self, index):
            self.buffer[:] = index
            return self.buffer, {"same": self.buffer}

        def __len__(self):
            return 12

    loader = data.DataLoader(Reusing(), batch_size=None, num_workers=1, prefetch_factor=6)
    for index, (converted, nested) in enumerate(loader):
        time.sleep(0.01)
        assert set(converted.tolist()) == {index}
        assert set(nested["same"].tolist()) == {index}


def test_every_dtype_and_structure_arrives():
    def sample(index):
        return {
            "half": rushlight.tensor([1.5, index], dtype=rushlight.bfloat16),
            "mask": rushlight.tensor([True, False]),
            "complex": rushlight.tensor([1j]),
            "empty": rushlight.tensor([]),
            "names": ("a", [np.float64(2.0), b"x"]),
        }

    local = list(data.DataLoader(Items(4, sample), batch_size=2))
    remote = list(data.DataLoader(Items(4, sample), batch_size=2, num_workers=2))
    for here, there in zip(local, remote):
        assert list(here) == list(there)
        for name in ("half", "mask", "complex", "empty"):
            assert here[name].dtype is there[name].dtype
            assert here[name].tolist() == there[name].tolist()
        assert here["names"][0] == there["names"][0]
        assert here["names"][1][0].tolist() == there["names"][1][0].tolist()


def test_workers_fetch_ahead_no_more_than_asked():
    fetched = []

    class Counting(data.Sampler):
        def __iter__(self):
            for index in range(100):
                fetched.append(index)
                yield index

    loader = data.DataLoader(range(100), sampler=Counting(), num_workers=2, prefetch_factor=3)
    iterator = iter(loader)
    assert len(fetched) == 6
    next(iterator)
    assert len(fetched) == 7


def test_out_of_order_batches_are_handed_out_as_they_arrive():
    def slow_first(index):
        time.sleep(0.5 if index == 0 else 0.0)
        return index

    loader = data.DataLoader(Items(6, slow_first), num_workers=2, in_order=False)
    order = [batch.item() for batch in loader]
    assert sorted(order) == list(range(6))
    assert order[0] != 0


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_streams_are_shared_out_by_worker_info(workers):
    loader = data.DataLoader(Share(11), batch_size=2, num_workers=workers)
    items = [item for batch in loader for item in batch.tolist()]
    assert sorted(items) == list(range(11))


@pytest.mark.parametrize("persistent", [False, True])
def test_a_second_pass_gives_everything_again(persistent):
    loader = data.DataLoader(Share(7), num_workers=2, persistent_workers=persistent)
    for _ in range(3):
        assert sorted(batch.item() for batch in loader) == list(range(7))


@pytest.mark.parametrize("threads", [1, 3])
def test_each_worker_computes_with_one_thread(threads):
    before = rushlight.get_num_threads()
    rushlight.set_num_threads(threads)
    try:
        loader = data.DataLoader(Items(2, lambda _: rushlight.get_num_threads()), num_workers=2)
        assert [batch.item() for batch in loader] == [1, 1]
        assert rushlight.get_num_threads() == threads
    finally:
        rushlight.set_num_threads(before)


def test_persistent_workers_are_the_same_processes():
    dataset = Items(4, lambda index: os.getpid())
    kept = data.DataLoader(dataset, num_workers=2, persistent_workers=True)
    assert {b.item() for b in kept} == {b.item() for b in kept}
    fresh = data.DataLoader(dataset, num_workers=2)
    assert not {b.item() for b in fresh} & {b.item() for b in fresh}


def test_a_pass_abandoned_midway_does_not_leak_into_the_next():
    loader = data.DataLoader(Items(50, lambda i: i), num_workers=2, persistent_workers=True)
    for count in (1, 7, 0):
        iterator = iter(loader)
        for _ in range(count):
            next(iterator)
    assert [batch.item() for batch in loader] == list(range(50))


def test_two_loaders_can_be_iterated_together():
    one = data.DataLoader(Items(10, lambda i: i), num_workers=1)
    two = data.DataLoader(Items(10, lambda i: -i), num_workers=1)
    assert [(a.item(), b.item()) for a, b in zip(one, two)] == [(i, -i) for i in range(10)]


def test_spawned_workers_give_the_same():
    xs = rushlight.tensor(np.arange(10, dtype=np.float32))
    loader = data.DataLoader(
        data.TensorDataset(xs), 3, num_workers=1, multiprocessing_context="spawn"
    )
    assert [batch[0].tolist() for batch in loader] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


# ---- seeds ---------------------------------------------------------------------------------------


def draws(_):
    return (
        float(rushlight.rand(()).item()),
        random.random(),
        float(np.random.rand()),
        data.get_worker_info().seed,
    )


def test_random_numbers_in_workers_equal_pytorchs():
    torch = pytest.importorskip("torch")

    def their_draws(_):
        return (
            float(torch.rand(()).item()),
            random.random(),
            float(np.random.rand()),
            torch.utils.data.get_worker_info().seed,
        )

    torch.manual_seed(77)
    theirs = torch.utils.data.DataLoader(Items(6, their_draws), shuffle=True, num_workers=2)
    expected = [[part.item() for part in batch] for batch in theirs]
    manual_seed(77)
    ours = data.DataLoader(Items(6, draws), shuffle=True, num_workers=2)
    assert [[part.item() for part in batch] for batch in ours] == expected


def test_workers_and_passes_have_different_numbers():
    loader = data.DataLoader(Items(4, draws), num_workers=2)
    passes = [[tuple(part.item() for part in batch) for batch in loader] for _ in range(2)]
    numbers = [numbers for one_pass in passes for numbers in one_pass]
    assert len({n[0] for n in numbers}) == len({n[2] for n in numbers}) == 8


def test_the_init_function_runs_once_in_each_worker():
    marks = []
    loader = data.DataLoader(
        Items(4, lambda index: list(marks)), num_workers=2, worker_init_fn=marks.append
    )
    assert [[part.item() for part in batch] for batch in loader] == [[0], [1], [0], [1]]
    assert marks == []


# ---- failures ------------------------------------------------------------------------------------


class Fussy(Exception):
    def __init__(self, first, second):
        super().__init__(first, second)


@pytest.mark.parametrize(
    "error, raised",
    [
        (ValueError("too bad"), ValueError),
        (KeyError("lost"), KeyError),
        (ZeroDivisionError("nothing"), ZeroDivisionError),
        (Fussy(1, 2), RuntimeError),
        (StopIteration("early"), StopIteration),
    ],
)
def test_an_exception_in_a_worker_has_its_type_and_its_traceback(error, raised):
    def fail(index):
        if index == 2:
            raise error
        return index

    iterator = iter(data.DataLoader(Items(6, fail), num_workers=2))
    assert [next(iterator).item(), next(iterator).item()] == [0, 1]
    with pytest.raises(raised) as caught:
        next(iterator)
    text = str(caught.value)
    assert f"Caught {type(error).__name__} in DataLoader worker process 0." in text
    assert "Original Traceback (most recent call last):\n" in text
    assert "raise error" in text


def test_iteration_can_go_on_after_an_exception():
    def fail(index):
        if index % 3 == 1:
            raise ValueError(index)
        return index

    iterator = iter(data.DataLoader(Items(7, fail), num_workers=2))
    seen = []
    while True:
        try:
            seen.append(next(iterator).item())
        except ValueError:
            seen.append(None)
        except StopIteration:
            break
    assert seen == [0, None, 2, 3, None, 5, 6]


def test_a_failing_init_function_is_reported():
    def fail(worker):
        raise OSError(f"no disk for {worker}")

    with pytest.raises(OSError, match="no disk for 0"):
        next(iter(data.DataLoader([1, 2], num_workers=1, worker_init_fn=fail)))


def test_a_local_exception_class_arrives_as_text():
    class Local(Exception):
        pass

    def fail(index):
        raise Local("mine")

    with pytest.raises(RuntimeError, match="Local: mine"):
        next(iter(data.DataLoader(Items(2, fail), num_workers=1)))


def test_a_result_that_cannot_be_sent_is_reported():
    loader = data.DataLoader(Items(2, lambda i: lambda: i), num_workers=1, collate_fn=list)
    with pytest.raises(Exception, match=r"pickle|Can't get local object"):
        next(iter(loader))
    graph = Items(2, lambda i: rushlight.tensor([1.0]).requires_grad_() * 2)
    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor"):
        next(iter(data.DataLoader(graph, num_workers=1)))


def kill(number):
    def action(index):
        if index == 3:
            os.kill(os.getpid(), number)
            time.sleep(60)
        return index

    return action


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_is_an_error_and_not_a_hang(number):
    iterator = iter(data.DataLoader(Items(40, kill(number)), num_workers=2))
    pids = worker_pids(iterator)
    started = time.monotonic()
    expected = rf"DataLoader worker \(pid\(s\) ({pids[0]}|{pids[1]})\) exited unexpectedly"
    with pytest.raises(RuntimeError, match=expected + f".*{number.name}"):
        list(iterator)
    assert time.monotonic() - started < 10
    assert wait_until_gone(pids) == []
    with pytest.raises(RuntimeError, match="have been stopped"):
        next(iterator)


def test_after_the_workers_are_stopped_what_arrived_before_is_not_handed_out():
    iterator = iter(data.DataLoader(Items(40, lambda i: i), num_workers=2))
    batches = iterator._batches
    while batches._next_out not in batches._results:
        batches._take_in()
    batches.stop()
    with pytest.raises(RuntimeError, match="have been stopped"):
        next(iterator)


def test_a_worker_that_exits_is_an_error():
    def leave(index):
        os._exit(7)

    with pytest.raises(RuntimeError, match="exited unexpectedly: exit code 7"):
        next(iter(data.DataLoader(Items(4, leave), num_workers=1)))


def test_a_worker_killed_from_outside_while_sending_is_an_error():
    # Batches of 4 MB in small pieces keep the connection busy most of the time.
    def many_parts(index):
        return [bytes(1000)] * 4000

    loader = data.DataLoader(Items(1000, many_parts), batch_size=None, num_workers=2)
    for delay in (0.0, 0.01, 0.05):
        iterator = iter(loader)
        next(iterator)
        time.sleep(delay)
        os.kill(worker_pids(iterator)[0], signal.SIGKILL)
        with pytest.raises(RuntimeError, match="exited unexpectedly"):
            list(iterator)


def test_waiting_ends_at_the_timeout():
    dataset = Items(2, lambda index: time.sleep(60))
    iterator = iter(data.DataLoader(dataset, num_workers=1, timeout=0.5))
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0.5 seconds"):
        next(iterator)
    assert time.monotonic() - started < 5
    pids = worker_pids(iterator)
    del iterator
    assert wait_until_gone(pids) == []


def test_a_dropped_iterator_ends_its_workers():
    iterator = iter(data.DataLoader(Items(1000, lambda i: i), num_workers=2))
    next(iterator)
    pids = worker_pids(iterator)
    started = time.monotonic()
    del iterator
    assert wait_until_gone(pids) == []
    assert time.monotonic() - started < 2


def test_an_exhausted_iterator_ends_its_workers():
    iterator = iter(data.DataLoader(Items(4, lambda i: i), num_workers=2))
    pids = worker_pids(iterator)
    assert len(list(iterator)) == 4
    assert wait_until_gone(pids) == []
    assert list(iterator) == []


def test_starting_workers_while_threads_run_does_not_hang():
    """Forks happen while other threads record and flush, holding locks at any moment."""
    stop = threading.Event()

    def busy():
        x = rushlight.ones(10)
        while not stop.is_set():
            x = x * 1.0
            x.sum().item()

    threads = [threading.Thread(target=busy, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        dataset = Items(4, lambda i: rushlight.ones(3) * i)
        for _ in range(10):
            loader = data.DataLoader(dataset, num_workers=2, timeout=20)
            assert [batch.sum().item() for batch in loader] == [0, 3, 6, 9]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_threads_can_start_and_end_workers_of_their_own():
    """A connection that one thread closes gives its number to a file that another opens."""
    dataset = Items(4, lambda i: rushlight.ones(3) * i)
    wrong = []

    def iterate():
        for _ in range(12):
            try:
                sums = [b.sum().item() for b in data.DataLoader(dataset, num_workers=2, timeout=20)]
            except Exception as error:
                wrong.append(error)
            else:
                if sums != [0, 3, 6, 9]:
                    wrong.append(sums)

    threads = [threading.Thread(target=iterate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ---- the end of the main process -----------------------------------------------------------------

SCRIPT = """
    import os, signal, sys, time
    # A shell starts what runs in its background with Ctrl-C ignored, and the tests with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path.insert(0, {source!r})
    from rushlight.utils import data

    class Slow(data.Dataset):
        def __getitem__(self, index):
            time.sleep({delay})
            return index
        def __len__(self):
            return 10_000

    iterator = iter(data.DataLoader(Slow(), num_workers=2, persistent_workers={persistent}))
    print(*[w.process.pid for w in iterator._batches._workers], flush=True)
    for batch in iterator:
        {body}
"""


def run_script(delay: float, body: str = "pass", persistent: bool = False):
    text = textwrap.dedent(SCRIPT).format(
        source=SOURCE, delay=delay, body=body, persistent=persistent
    )
    process = subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    return process, pids


@pytest.mark.parametrize("delay", [0.001, 30])
@pytest.mark.parametrize("body", ["pass", "time.sleep(60)"])
def test_ctrl_c_ends_the_program_and_all_workers(delay, body):
    process, pids = run_script(delay, body)
    time.sleep(0.3)
    # As a terminal does: to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode != 0
    assert errors.count("Traceback") == 1
    assert "KeyboardInterrupt" in errors
    assert wait_until_gone(pids) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.001, 30])
def test_workers_do_not_outlive_a_killed_program(number, delay):
    process, pids = run_script(delay)
    time.sleep(0.2)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert wait_until_gone(pids) == []


@pytest.mark.parametrize("persistent", [False, True])
def test_a_program_that_ends_midway_leaves_no_worker(persistent):
    process, pids = run_script(0.001, "break", persistent)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == ""
    assert wait_until_gone(pids) == []
