"""Attention long enough for kernels that take it block by block: against PyTorch, and the judge."""

from __future__ import annotations

import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.base.config import config
from rushlight.base.stats import stats
from rushlight.ops import attention
from rushlight.tape.tape import current_tape
from tests.fuzz.outcome import forget
from tests.lowering.executors import compare, run
from tests.ops.both import assert_agree, torch

# Queries, keys: one block and a part of another, as many and as few as there are in one, keys that
# no query sees, and rows of queries before the last block of keys.
LENGTHS = [(48, 48), (60, 300), (300, 60), (130, 257)]


@pytest.fixture(autouse=True)
def blocks_of_any_length(monkeypatch):
    """Few rows are left to products, which are faster; here they are not."""
    monkeypatch.setattr(attention, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(attention, "_FEWEST_CAUSAL", 1)


def wave(t, *shape):
    """Bounded values without symmetry or ties: of large scores, nothing but the largest is left."""
    count = 1
    for n in shape:
        count *= n
    at = t.arange(count, dtype=t.float64)
    return ((at * 0.7).sin() + (at * at * 0.013).cos()).reshape(shape)


def operands(t, rows, columns, heads=2, shared=2, width=5, wide=7):
    q = wave(t, 2, heads, rows, width)
    k = wave(t, 2, shared, columns, width) - 0.3
    v = wave(t, 2, shared, columns, wide) + 0.2
    return [x.detach().requires_grad_() for x in (q, k, v)]


def trained(t, q, k, v, **options):
    y = t.nn.functional.scaled_dot_product_attention(q, k, v, **options)
    (y * wave(t, *y.shape)).sum().backward()
    return y, q.grad, k.grad, v.grad


MASKS = {
    "nothing": lambda t, rows, columns: {},
    "causal": lambda t, rows, columns: {"is_causal": True},
    "pairs": lambda t, rows, columns: {"attn_mask": wave(t, rows, columns) > 0.2},
    "keys of a batch": lambda t, rows, columns: {"attn_mask": wave(t, 2, 1, 1, columns) > 0.2},
    "added": lambda t, rows, columns: {"attn_mask": wave(t, 2, rows, columns), "scale": 0.3},
}


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("name", MASKS)
def test_attention_and_its_gradients_agree(name, lengths):
    assert_agree(lambda t: trained(t, *operands(t, *lengths), **MASKS[name](t, *lengths)),
                 rtol=1e-8)  # fmt: skip


@pytest.mark.parametrize("shared", [1, 2])
def test_heads_that_share_keys_add_up_their_gradients(shared):
    assert_agree(lambda t: trained(t, *operands(t, 60, 300, 4, shared), enable_gqa=True), rtol=1e-8)


@pytest.mark.parametrize("width", [1, 32, 33, 256])
def test_any_number_of_features(width):
    assert_agree(
        lambda t: trained(t, *operands(t, 50, 100, width=width, wide=width), is_causal=True),
        rtol=1e-8,
    )


def test_a_row_that_may_look_nowhere_gives_zeros():
    def case(t):
        mask = wave(t, 60, 300) > 0.2
        mask[3], mask[55] = False, False
        return trained(t, *operands(t, 60, 300), attn_mask=mask)

    assert_agree(case, rtol=1e-8)


def test_infinite_and_missing_scores():
    def case(t):
        added = wave(t, 60, 300)
        added[:, :280] = -float("inf")
        added[7] = -float("inf")
        q, k, v = operands(t, 60, 300)
        y = t.nn.functional.scaled_dot_product_attention(q * 30, k * 30, v, attn_mask=added)
        return y, y.isnan().any()

    assert_agree(case, rtol=1e-8)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_narrow_numbers_are_rounded_once(dtype):
    def case(t):
        q, k, v = [x.detach().to(getattr(t, dtype)) for x in operands(t, 60, 300)]
        y = t.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y.float(), y.dtype

    assert_agree(case, rtol={"float32": 1e-5}.get(dtype, 2e-2))


@pytest.mark.parametrize("name", ["nothing", "causal", "pairs"])
def test_dropout_leaves_out_what_pytorch_leaves_out(name):
    def case(t):
        t.manual_seed(5)
        found = trained(t, *operands(t, 60, 300), dropout_p=0.3, **MASKS[name](t, 60, 300))
        return *found, t.rand(3)

    assert_agree(case, rtol=1e-7)


def test_dropout_in_multi_head_attention():
    def case(t):
        t.manual_seed(3)
        layer = t.nn.MultiheadAttention(6, 2, dropout=0.4, dtype=t.float64)
        x = wave(t, 70, 3, 6)
        out, _ = layer(x, x, x, need_weights=False)
        (out * wave(t, 70, 3, 6)).sum().backward()
        return out, [p.grad for p in layer.parameters()]

    assert_agree(case, rtol=1e-7)


def test_a_mask_that_is_learned_has_a_gradient():
    def case(t):
        q, k, v = operands(t, 60, 70)
        mask = wave(t, 60, 70).requires_grad_()
        y = t.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        (y * wave(t, *y.shape)).sum().backward()
        return mask.grad, q.grad

    assert_agree(case, rtol=1e-8)


def test_gradients_of_gradients_agree():
    def case(t):
        q, k, v = operands(t, 50, 40)
        y = t.nn.functional.scaled_dot_product_attention(q, k, v)
        (g,) = t.autograd.grad((y * y).sum(), q, create_graph=True)
        (g * wave(t, *g.shape)).sum().backward()
        return k.grad, v.grad

    # PyTorch's own kernels have no second derivative.
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert_agree(case, rtol=1e-7)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_judge_agrees(name, dtype):
    def program():
        q, k, v = [x.detach().to(getattr(rl, dtype)).requires_grad_() for x in
                   operands(rl, 70, 530, 4, 2, 40, 24)]  # fmt: skip
        options = MASKS[name](rl, 70, 530)
        if name == "added":
            options["attn_mask"] = options["attn_mask"].to(getattr(rl, dtype))[:, None]
        elif name == "pairs":
            options["attn_mask"] = options["attn_mask"][None]
        return trained(rl, q, k, v, enable_gqa=True, **options)

    tolerance = 2e-5 if dtype == "float32" else 1e-12
    compare(program, rtol=tolerance, atol=tolerance)


def test_the_matrix_of_scores_is_not_in_memory():
    def program():
        q, k, v = [x.float().detach().requires_grad_() for x in operands(rl, 1024, 1024, 4, 4)]
        return trained(rl, q, k, v, is_causal=True)

    _, plans = run(program, "compiled")
    scores = 2 * 4 * 1024 * 1024
    kept = [value.numel for plan in plans for value in plan.schedule.program.values.values()]
    assert kept
    assert max(kept) < scores


def test_new_lengths_compile_nothing(monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    forget()

    def step(rows, columns):
        q, k, v = [x.detach().requires_grad_() for x in operands(rl, rows, columns)]
        found = trained(rl, q, k, v, is_causal=rows == columns)
        return [float(x.sum()) for x in found]

    for lengths in ((60, 60), (64, 64), (60, 200), (64, 210)):
        step(*lengths)
    before = stats.kernels_compiled, stats.fallbacks
    for lengths in ((61, 61), (340, 340), (77, 600), (300, 90)):
        step(*lengths)
    assert (stats.kernels_compiled, stats.fallbacks) == before


@pytest.mark.parametrize("causal", [True, False])
def test_few_queries_are_left_to_products(monkeypatch, causal):
    monkeypatch.undo()

    def recorded(rows):
        forget()
        q, k, v = operands(rl, rows, 300)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        nodes = current_tape().nodes
        nodes.expand()
        names = {str(node.primitive) for node in nodes}
        del y
        return "attention" in names

    assert not recorded(1)
    assert recorded(300)
