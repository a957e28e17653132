"""Programs of known structure and new sizes: no plan, no compile, and the bits of exact plans."""

from __future__ import annotations

import random

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.base.config import config
from rushlight.base.stats import stats
from rushlight.tape.memo import FORM_BYTES, forms, memo
from rushlight.tape.tape import current_tape


@pytest.fixture(autouse=True)
def compiled_and_empty(monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    forget()
    yield
    forget()


def forget() -> None:
    rl.synchronize()
    memo.clear()
    current_tape().drop()


# ---- random programs -----------------------------------------------------------------------------

_WIDTH = 6


def _merge(x):
    return x.reshape(-1, x.shape[-1]).view(x.shape)


def _window(x):
    return x[:, 1:] if x.shape[1] > 2 else x


def _turned(x):
    return x.transpose(0, 1).contiguous().transpose(0, 1)


_OPERATIONS = (
    lambda x, w: x.exp() * 0.1,
    lambda x, w: x * x - x,
    lambda x, w: x.softmax(-1),
    lambda x, w: x.softmax(1),
    lambda x, w: F.layer_norm(x, (_WIDTH,)),
    lambda x, w: F.gelu(x @ w),
    lambda x, w: x @ w.T + x,
    lambda x, w: x + x.mean(1, keepdim=True),
    lambda x, w: x - x.amax((0, 2), keepdim=True),
    lambda x, w: _merge(x),
    lambda x, w: _window(x),
    lambda x, w: _turned(x) * 0.5,
    lambda x, w: rl.cat([x, x * 2.0], 1),
    lambda x, w: rl.cat([x[:1], x], 0),
    lambda x, w: (x @ x.transpose(1, 2)).tanh() @ x,
    lambda x, w: x.cumsum(1) * 0.1,
    lambda x, w: x.flip(2),
    lambda x, w: rl.where(x > 0, x, x.mean()),
    lambda x, w: x + rl.arange(x.shape[1]).view(1, -1, 1).float() * 0.01,
)


def _program(seed: int):
    """A function of (batch, length) to bytes: what a random program and its gradients give."""
    draw = random.Random(seed)
    chosen = [draw.choice(_OPERATIONS) for _ in range(draw.randint(2, 6))]
    trains = draw.random() < 0.6

    def run(batch: int, length: int) -> list[bytes]:
        numbers = np.random.default_rng(batch * 100 + length)
        x = rl.tensor(numbers.standard_normal((batch, length, _WIDTH)).astype(np.float32))
        w = rl.tensor(numbers.standard_normal((_WIDTH, _WIDTH)).astype(np.float32) * 0.3)
        x.requires_grad_(trains)
        w.requires_grad_(trains)
        y = x
        for operation in chosen:
            y = operation(y, w)
        results = [y, y.sum(-1), y.mean()]
        if trains:
            results[-1].backward()
            results += [g for g in (x.grad, w.grad) if g is not None]
        return [r.detach().numpy().tobytes() for r in results]

    return run


def _sizes(seed: int) -> list[tuple[int, int]]:
    draw = random.Random(seed)
    drawn = [(draw.randint(1, 9), draw.randint(2, 40)) for _ in range(7)]
    # Sizes that are equal to one another, and to the width.
    return [*drawn, (5, 5), (6, 7), (7, 6), (2, 1500)]


@pytest.mark.parametrize("seed", range(12))
def test_new_sizes_give_the_bits_of_plans_made_for_them(seed):
    run, sizes = _program(seed), _sizes(seed)
    resized = stats.plans_resized
    found = [run(*each) for each in sizes]
    assert stats.plans_resized > resized
    for each, results in zip(sizes, found):
        forget()
        assert run(*each) == results, f"program {seed} at {each}"


def test_rows_so_long_that_they_are_reduced_in_pieces_are_told_apart():
    def program(size: int) -> bytes:
        x = rl.arange(2 * size).view(2, size).float() * 1e-3
        return rl.cat([x.sin().sum(1), x.cos().sum().view(1)]).numpy().tobytes()

    sizes = (10, 300, 70_000, 2000, 90_000, 40_000, 65_536, 65_535, 32_768)
    found = [program(size) for size in sizes]
    for size, result in zip(sizes, found):
        forget()
        assert program(size) == result


# ---- training ------------------------------------------------------------------------------------


class _Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.norm = nn.LayerNorm(8)
        self.attend = nn.Linear(8, 24)
        self.head = nn.Linear(8, 11)

    def forward(self, tokens):
        x = self.embedding(tokens)
        q, k, v = self.attend(self.norm(x)).split(8, dim=2)
        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head(F.relu(x))


def _losses(sizes, between) -> list[float]:
    rl.manual_seed(3)
    model = _Reader()
    optimizer = rl.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for batch, length in sizes:
        between()
        tokens = rl.randint(0, 11, (batch, length))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(tokens).view(-1, 11), tokens.view(-1))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_training_on_new_sizes_gives_the_losses_of_exact_plans():
    draw = random.Random(1)
    sizes = [(draw.randint(2, 9), draw.randint(2, 30)) for _ in range(24)]
    assert _losses(sizes, lambda: None) == _losses(sizes, forget)


def test_training_on_new_sizes_makes_no_plan_and_compiles_nothing():
    draw = random.Random(2)
    sizes = [(draw.randint(2, 9), draw.randint(2, 30)) for _ in range(40)]
    counts = []

    def count() -> None:
        counts.append((stats.plans_made, stats.operations_missed))

    _losses(sizes, count)
    made = [plans for plans, _ in counts]
    assert made[-1] == made[20]
    # Losses, backward and update are put on the tape as a whole.
    assert counts[-1][1] - counts[-2][1] < 30


def test_products_of_new_sizes_compile_nothing():
    weight = rl.randn(64, 96)

    def program(batch: int, length: int):
        x = rl.ones(batch, length, 64)
        y = x @ weight  # rows of every number
        scores = y @ y.transpose(1, 2)  # and columns too
        return (scores.softmax(-1) @ y).sum(-1).tolist()

    for sizes in ((4, 10), (3, 33), (5, 20), (2, 100)):
        program(*sizes)
    compiled, made = stats.kernels_compiled, stats.plans_made
    for sizes in ((2, 3), (7, 7), (9, 16), (3, 64), (4, 130), (2, 257), (20, 31)):
        program(*sizes)
    assert (stats.kernels_compiled, stats.plans_made) == (compiled, made)


def _recorded(length: int) -> list[tuple]:
    """What the steps of a program say."""
    x = rl.ones(2, length, 6)
    y = (x.transpose(1, 2).reshape(2, -1) + 1.0).view(2, 6, length)[:, :, 1:] * rl.ones(2, 1, 1)
    nodes = current_tape().nodes
    nodes.expand()
    steps = [node.step for node in nodes if hasattr(node.step, "operands")]
    said = [
        (s.primitive, s.params, s.shape, s.dtype, s.sizes, [o.shape for o in s.operands])
        for s in steps
    ]
    del y
    current_tape().drop()
    return said


def test_steps_of_known_form_say_what_steps_say_that_are_recorded_at_first():
    lengths = (5, 3, 2, 9, 5, 1, 4)
    found = [_recorded(length) for length in lengths]
    for length, said in zip(lengths, found):
        forget()
        assert _recorded(length) == said


def test_a_sequence_that_grows_makes_a_few_plans_for_all_lengths():
    model = _Reader().eval()
    with rl.no_grad():
        tokens = rl.zeros(1, 1, dtype=rl.int64)
        made = []
        for _ in range(90):
            tokens = rl.cat([tokens, model(tokens)[:, -1:].argmax(-1)], 1)
            tokens.tolist()
            made.append(stats.plans_made)
    assert made[60] == made[6]
    # From a length on attention is computed in blocks, which is another program.
    assert made[-1] == made[80]


def test_sizes_that_come_again_and_new_ones_do_not_disturb_one_another():
    def waves(*shape):
        return rl.arange(shape[0] * shape[1]).reshape(shape).sin()

    weight = waves(6, 6)

    def run(rows: int) -> np.ndarray:
        x = waves(rows, 6)
        hidden = F.gelu(x @ weight)
        return (hidden.softmax(0) @ weight.T + hidden.sum(0)).numpy()

    expected = {}
    # Each is seen often enough to be put in place as a whole, with new ones and a move of the
    # memory that they share in between.
    for rows in (5, 9, 5, 9, 5, 9, 7, 5, 30_000, 9, 5, 7, 9):
        found = run(rows)
        expected.setdefault(rows, found)
        np.testing.assert_array_equal(found, expected[rows])
    forget()
    for rows, known in expected.items():
        np.testing.assert_array_equal(run(rows), known)
        forget()


def test_an_index_out_of_bounds_is_still_named_at_new_sizes():
    table = rl.randn(5, 3)

    def program(size, last):
        index = rl.tensor([1] * size + [last])
        return (table[index] * 2.0).sum().item()

    for size in (3, 4, 5, 6):
        program(size, 2)
    with pytest.raises(IndexError):
        program(9, 7)
    assert isinstance(program(10, 2), float)


def test_which_equality_broke_is_told():
    def program(rows, columns):
        return (rl.ones(rows, 4) @ rl.ones(4, columns)).sum().item()

    for size in (3, 5, 8):
        program(size, size)
    program(9, 12)
    found = [r for r in rl.why_recompiled() if r.part == "sizes"]
    assert found[-1].before == "two sizes were always equal"
    assert found[-1].now in ("they are 9 and 12", "they are 12 and 9")


def test_a_batch_of_one_is_served_by_what_was_made_for_larger_ones():
    draw = random.Random(4)
    sizes = [(draw.randint(2, 9), draw.randint(2, 30)) for _ in range(8)]
    sizes += [(1, 12), (5, 9), (1, 7), (1, 12), (4, 4)]
    counts = []
    found = _losses(sizes, lambda: counts.append(stats.plans_made))
    assert counts[-1] == counts[8]
    assert found == _losses(sizes, forget)


def test_sizes_of_one_that_mean_something_else_get_plans_of_their_own():
    def program(rows: int, columns: int) -> list:
        x = rl.arange(rows * columns).view(rows, columns).float() + 1.0
        return [(x @ x.T).tolist(), (x / x.sum(0)).tolist(), x.softmax(0).sum(1).tolist()]

    sizes = [(5, 3), (4, 7), (6, 2), (1, 4), (3, 1), (1, 1), (1, 9), (8, 1)]
    found = [program(*each) for each in sizes]
    for each, result in zip(sizes, found):
        forget()
        assert program(*each) == result, each


def _chain(length: int, rows: int) -> float:
    """A program of a structure of its own for each length."""
    x = rl.ones(rows, 3)
    for place in range(length):
        x = (x * 1.5).sin() if place % 2 else x + 0.25
    return x.sum().item()


def test_a_program_in_use_keeps_its_template_while_others_are_forgotten(monkeypatch):
    for rows in (5, 7, 9):
        _chain(20, rows)
    monkeypatch.setattr(config, "memo_bytes", 1 << 20)
    before = stats.plans_made
    for turn in range(40):
        _chain(20, 11 + turn)
        for rows in (5, 7, 9):  # the third is served by a template
            _chain(21 + turn, rows)
        memo.trim()
        assert forms.count * FORM_BYTES + memo.code_bytes <= config.memo_bytes
        assert memo.code_bytes >= 0
    assert stats.plans_made - before == 2 * 40
    # What was forgotten is made again, with the same numbers.
    assert _chain(21, 5) == _chain(21, 5)
    reached, waiting = 0, [forms.root]
    while waiting:
        form = waiting.pop()
        reached += len(form.children)
        waiting += form.children.values()
    assert reached == forms.count


class _Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def _classified(sizes, between) -> list[float]:
    rl.manual_seed(4)
    model = _Classifier()
    optimizer = rl.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for batch, length in sizes:
        between()
        x, y = rl.randn(batch, length, 8), rl.randint(0, 5, (batch,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_batch_of_one_sequence_makes_no_plan():
    sizes = [(3, 5), (4, 7), (6, 9), (5, 8), (1, 6), (7, 4), (1, 9), (1, 3), (2, 5)]
    plans: list[int] = []
    found = _classified(sizes, lambda: plans.append(stats.plans_made))
    assert plans[-1] == plans[3]
    assert found == _classified(sizes, forget)
