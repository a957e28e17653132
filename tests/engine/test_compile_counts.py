"""Training loops compile in their first step only, and everything they do becomes kernels."""

from __future__ import annotations

import pytest

import rushlight as torch
import rushlight.nn.functional as F
from benchmarks.catalogue import TARGETS, WORKLOADS
from rushlight import nn
from rushlight.base.config import config
from rushlight.base.stats import stats
from rushlight.engine import kernels
from rushlight.runtime.kernel_cache import KernelCache
from rushlight.tape.memo import memo
from rushlight.tape.tape import current_tape

# Long to run, and of the same structure as gpt_small.
QUICK = [name for name in TARGETS if name != "gpt_medium"]


@pytest.fixture(autouse=True)
def compiler_without_kernels(monkeypatch):
    """The compiled executor as a new process on a new machine has it."""
    torch.synchronize()
    memo.clear()
    current_tape().drop()
    monkeypatch.setattr(config, "executor", "compiled")
    monkeypatch.setattr(kernels, "_cache", KernelCache(None))
    threads = torch.get_num_threads()
    yield
    torch.synchronize()
    memo.clear()
    torch.set_num_threads(threads)


def made_in(step) -> tuple[int, int]:
    """Kernels that a step compiles, and operations it leaves to the reference rules."""
    before = stats.kernels_compiled, stats.fallbacks
    step()
    return stats.kernels_compiled - before[0], stats.fallbacks - before[1]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", QUICK)
def test_a_workload_compiles_once_and_has_no_fallbacks(name, threads):
    torch.set_num_threads(threads)
    job = WORKLOADS[name](torch, F)
    torch.synchronize()
    compiled, fallbacks = made_in(job.step)
    assert compiled > 0
    assert fallbacks == 0
    assert made_in(job.step) == (0, 0)
    if job.lower_rate is not None:
        job.lower_rate()
        assert made_in(job.step) == (0, 0)
    if job.short is not None:
        assert made_in(job.short) == (0, 0)


def test_the_number_of_threads_is_no_part_of_a_kernel():
    torch.set_num_threads(1)
    job = WORKLOADS["mlp_784"](torch, F)
    job.step()
    torch.set_num_threads(2)
    assert made_in(job.step) == (0, 0)


def _training(optimizer_of, schedule_of, width: int = 12):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(width, 24), nn.Tanh(), nn.Linear(24, 3))
    optimizer = optimizer_of(model.parameters())
    schedule = schedule_of(optimizer)
    data, targets = torch.randn(64, width).numpy(), torch.randint(0, 3, (64,)).numpy()

    def step(rows: int = 64):
        x, y = torch.tensor(data[:rows]), torch.tensor(targets[:rows])
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss.item()

    return step


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "SGD with momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "Nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
}
SCHEDULES = {
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=10),
    "step": lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=2),
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=20),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_no_optimizer_compiles_after_the_first_step(optimizer):
    step = _training(OPTIMIZERS[optimizer], SCHEDULES["cosine"])
    step()
    assert [made_in(step) for _ in range(4)] == [(0, 0)] * 4


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_changing_rates_compile_nothing(schedule):
    step = _training(OPTIMIZERS["Adam"], SCHEDULES[schedule])
    step()
    assert [made_in(step) for _ in range(6)] == [(0, 0)] * 6


@pytest.mark.parametrize("width", [12, 300])
@pytest.mark.parametrize("rows", [63, 40, 32, 17, 13, 8, 5, 2])
def test_a_short_last_batch_compiles_nothing(rows, width):
    step = _training(OPTIMIZERS["Adam"], SCHEDULES["cosine"], width)
    step()
    assert made_in(lambda: step(rows)) == (0, 0)


def test_parameters_made_by_operations_are_no_part_of_the_first_step():
    """The second step is the same program as the first: nothing is compiled or planned again."""
    torch.manual_seed(0)
    w = (torch.randn(8, 1) * 0.1).requires_grad_()
    b = torch.zeros(1, requires_grad=True)
    x = torch.randn(32, 8)
    y = (x.sum(1, keepdim=True) > 0).float()

    def step():
        loss = F.mse_loss(x @ w + b, y)
        loss.backward()
        with torch.no_grad():
            for p in (w, b):
                p -= 0.1 * p.grad
                p.grad = None
        return loss.item()

    cuts = stats.flush_reasons.get("state", 0)
    step()
    plans, missed = stats.plans_made, stats.operations_missed
    assert made_in(step) == (0, 0)
    assert (stats.plans_made, stats.operations_missed) == (plans, missed)
    assert stats.flush_reasons.get("state", 0) == cuts + 1


@pytest.mark.parametrize("first", [lambda w: w * 3.0, lambda w: 1 - w], ids=["w * 3", "1 - w"])
def test_numbers_joining_such_parameters_are_no_different(first):
    torch.manual_seed(0)
    w = (torch.randn(8, 1) * 0.1).requires_grad_()

    def step():
        first(w).pow(2).sum().backward()
        with torch.no_grad():
            w.sub_(0.1 * w.grad)
            w.grad = None
        return w.detach().sum().item()

    step()
    missed = stats.operations_missed
    step()
    assert stats.operations_missed == missed


@pytest.mark.parametrize("rows", [11, 8, 7, 4, 2])
def test_the_code_of_longer_products_gives_the_same_bits(rows):
    torch.manual_seed(0)
    w = torch.randn(96, 200)
    short, long = torch.randn(rows, 200), torch.randn(64, 200)
    torch.synchronize()
    alone = (short @ w.t()).numpy().copy()
    memo.clear()
    current_tape().drop()
    kernels._cache = KernelCache(None)
    (long @ w.t()).sum().item()
    before = stats.kernels_compiled
    after = (short @ w.t()).numpy()
    assert stats.kernels_compiled == before
    assert (alone == after).all()


@pytest.mark.parametrize("name", ["mlp_tiny", "gpt_small"])
def test_the_second_step_is_the_program_of_the_first(name):
    """Whether operations are recorded one by one or replayed, nothing is planned twice."""
    job = WORKLOADS[name](torch, F)
    torch.synchronize()
    job.step()
    plans, missed = stats.plans_made, stats.operations_missed
    for _ in range(3):
        job.step()
    assert (stats.plans_made, stats.operations_missed) == (plans, missed)
