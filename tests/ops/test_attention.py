"""Embeddings, attention and distances, against PyTorch: values, gradients, errors."""

from __future__ import annotations

import pytest

from tests.ops.both import assert_agree
from tests.ops.test_images import wave


def indices(t):
    return t.tensor([[0, 2, 1], [2, 2, 3]])


EMBEDDINGS = {
    "plain": lambda t, F, w: F.embedding(indices(t), w),
    "int32": lambda t, F, w: F.embedding(indices(t).int(), w),
    "0-d index": lambda t, F, w: F.embedding(t.tensor(1), w),
    "no indices": lambda t, F, w: F.embedding(t.zeros(0, dtype=t.int64), w),
    "padding": lambda t, F, w: F.embedding(indices(t), w, padding_idx=2),
    "negative padding": lambda t, F, w: F.embedding(indices(t), w, padding_idx=-1),
    "padding out of range": lambda t, F, w: F.embedding(indices(t), w, padding_idx=9),
    "by frequency": lambda t, F, w: F.embedding(indices(t), w, scale_grad_by_freq=True),
    "out of range": lambda t, F, w: F.embedding(t.tensor([7]), w).tolist(),
    "float indices": lambda t, F, w: F.embedding(t.tensor([1.0]), w),
    "bag of rows": lambda t, F, w: F.embedding_bag(indices(t), w),
    "bags by offsets": lambda t, F, w: F.embedding_bag(
        t.tensor([0, 1, 2, 3]), w, t.tensor([0, 1, 1]), mode="sum"
    ),
    "largest of bags": lambda t, F, w: F.embedding_bag(
        t.tensor([0, 1, 2, 3]), w, t.tensor([0, 3, 3]), mode="max"
    ),
    "weighted bags": lambda t, F, w: F.embedding_bag(
        indices(t), w, mode="sum", per_sample_weights=wave(t, 2, 3)
    ),
    "bags without padding": lambda t, F, w: F.embedding_bag(indices(t), w, padding_idx=2),
}


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embeddings_and_their_gradients_agree(name):
    def case(t):
        w = wave(t, 4, 3).requires_grad_()
        y = EMBEDDINGS[name](t, t.nn.functional, w)
        (y * wave(t, *y.shape)).sum().backward()
        return y, w.grad

    assert_agree(case)


def test_long_rows_are_scaled_down_in_place():
    def case(t):
        w = wave(t, 4, 3) * 3
        y = t.nn.functional.embedding(indices(t), w, max_norm=1.0)
        return y, w

    assert_agree(case, rtol=1e-6)


def test_one_hot_rows():
    for count in (-1, 6, 2):
        assert_agree(lambda t, n=count: t.nn.functional.one_hot(indices(t), n))


def qkv(t, heads=2, kv_heads=2):
    q = wave(t, 2, heads, 4, 3).requires_grad_()
    k = (wave(t, 2, kv_heads, 5, 3) - 0.3).requires_grad_()
    v = (wave(t, 2, kv_heads, 5, 6) + 0.2).requires_grad_()
    return [x.detach().requires_grad_() for x in (q, k, v)]


ATTENTION = {
    "plain": lambda t: {},
    "causal": lambda t: {"is_causal": True},
    "scaled": lambda t: {"scale": 0.3},
    "bool mask": lambda t: {"attn_mask": wave(t, 4, 5) > 0.2},
    "mask that hides a whole row": lambda t: {
        "attn_mask": t.tensor([[False] * 5, [True] * 5, [True] * 5, [True] * 5])
    },
    "additive mask": lambda t: {"attn_mask": wave(t, 2, 1, 4, 5)},
    "mask and causal": lambda t: {"attn_mask": wave(t, 4, 5) > 0, "is_causal": True},
    "no dropout": lambda t: {"dropout_p": 0.0},
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_and_its_gradients_agree(name):
    def case(t):
        q, k, v = qkv(t)
        y = t.nn.functional.scaled_dot_product_attention(q, k, v, **ATTENTION[name](t))
        (y * wave(t, *y.shape)).sum().backward()
        return y, q.grad, k.grad, v.grad

    assert_agree(case, rtol=1e-8)


def test_grouped_queries_share_keys_and_values():
    def case(t):
        q, k, v = qkv(t, 4, 2)
        return t.nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    assert_agree(case)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("masked", ["nothing", "keys", "pairs"])
def test_multi_head_attention_agrees(need_weights, masked):
    def case(t):
        t.manual_seed(3)
        layer = t.nn.MultiheadAttention(6, 2, dtype=t.float64)
        x, y = wave(t, 4, 3, 6), wave(t, 5, 3, 6) - 0.5
        options = {}
        if masked == "keys":
            options["key_padding_mask"] = wave(t, 3, 5) > 0.6
        if masked == "pairs":
            options["attn_mask"] = wave(t, 4, 5) > 0.8
        out, weights = layer(x, y, y, need_weights=need_weights, **options)
        (out * wave(t, 4, 3, 6)).sum().backward()
        return out, weights, [p.grad for p in layer.parameters()]

    assert_agree(case, rtol=1e-8)


DISTANCES = {
    "pairwise": lambda t, x, y: t.nn.functional.pairwise_distance(x, y),
    "pairwise of order 1": lambda t, x, y: t.nn.functional.pairwise_distance(x, y, 1, keepdim=True),
    "cosine": lambda t, x, y: t.nn.functional.cosine_similarity(x, y, -1),
    "cosine of zeros": lambda t, x, y: t.nn.functional.cosine_similarity(x * 0, y),
    "all pairs": lambda t, x, y: t.cdist(x, y),
    "all pairs of order 3": lambda t, x, y: t.cdist(x, y, 3.0),
    "all pairs of the largest": lambda t, x, y: t.cdist(x, y, float("inf")),
    "all pairs of wrong sizes": lambda t, x, y: t.cdist(x, y[:, :2]),
    "equal points": lambda t, x, y: t.cdist(x, x + 0),
    "within": lambda t, x, y: t.nn.functional.pdist(x),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_and_their_gradients_agree(name):
    def case(t):
        x, y = wave(t, 4, 3).requires_grad_(), (wave(t, 4, 3) * 0.5 - 0.4)
        found = DISTANCES[name](t, x, y)
        (found * wave(t, *found.shape)).sum().backward()
        return found, x.grad

    assert_agree(case, rtol=1e-7)
