"""Losses, norms and recurrent layers under PyTorch's top namespace, with its signatures."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")

LOSSES = """
binary_cross_entropy_with_logits(x, y)|binary_cross_entropy_with_logits(x, y, x, y, 1)
kl_div(x, y)|kl_div(x, y, 1)|kl_div(x, y, reduction=2, log_target=True)
poisson_nll_loss(x, y, True, False, 1e-8, 0)|poisson_nll_loss(x, y, False, True, 1e-6, 2)
cosine_embedding_loss(x, y, signs)|cosine_embedding_loss(x, y, signs, 0.1, 1)
hinge_embedding_loss(x, signs[:, None])|hinge_embedding_loss(x, signs[:, None], 0.5, 2)
margin_ranking_loss(x, y, signs[:, None])|margin_ranking_loss(x, y, signs[:, None], 0.5, 1)
triplet_margin_loss(x, y, x + 1)|triplet_margin_loss(x, y, x + 1, 2.0, 1.0, 1e-6, True, 1)
ctc_loss(scores, labels, [4, 4], [2, 1])|ctc_loss(scores, labels, [4, 4], [2, 1], 0, 1, True)
batch_norm(x, None, None, None, None, True, 0.1, 0.0, False)
batch_norm(x, row, row, row, row.abs(), False, 0.1, 1e-5, True)
instance_norm(scores, None, None, None, None, True, 0.1, 1e-5, False)
layer_norm(x, [3])|layer_norm(x, [3], row, row, 0.1, False)
group_norm(x, 3, row, row)|group_norm(x, 1)
lstm_cell(x, (x[:, :2], y[:, :2]), wide[:8, :3], wide[:8, :2], wide[:8, 0], wide[:8, 1])[1]
gru_cell(x, y[:, :2], wide[:6, :3], wide[:6, :2])
rnn_tanh_cell(x, y[:, :2], wide[:2, :3], wide[:2, :2])
rnn_relu_cell(x, y[:, :2], wide[:2, :3], wide[:2, :2])
lstm(scores, (h, h), [wide[:8, :3], wide[:8, :2]], False, 1, 0.0, False, False, False)[0]
gru(scores, h, [wide[:6, :3], wide[:6, :2]], False, 1, 0.0, False, False, False)[1]
rnn_tanh(scores, h, [wide[:2, :3], wide[:2, :2]], False, 1, 0.0, False, False, False)[0]
"""


def values(lib):
    draw = np.random.default_rng(0).uniform

    def made(*shape):
        return lib.tensor(draw(0.1, 0.9, shape).astype(np.float32))

    names = {"x": made(2, 3), "y": made(2, 3), "row": made(3), "wide": made(8, 3)}
    return {
        **names, "signs": lib.tensor([1.0, -1.0]), "h": made(1, 2, 2),
        "scores": made(4, 2, 3).log_softmax(-1), "labels": lib.tensor([[1, 2], [2, 1]]),
    }  # fmt: skip


@pytest.mark.parametrize("call", [c for line in LOSSES.split("\n") for c in line.split("|") if c])
def test_a_form_of_the_top_namespace_equals_pytorchs(call):
    mine = eval(f"lib.{call}", {"lib": rushlight, **values(rushlight)})
    theirs = eval(f"lib.{call}", {"lib": torch, **values(torch)})
    assert tuple(mine.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=2e-5, atol=2e-6)


def test_a_reduction_by_name_is_refused():
    x = rushlight.ones(2)
    with pytest.raises(TypeError, match=r"nn\.functional"):
        rushlight.kl_div(x, x, "mean")
    with pytest.raises(RuntimeError, match="none of 0"):
        rushlight.kl_div(x, x, 5)


@pytest.mark.parametrize("eps", [0, -1e-3])
def test_batch_norm_in_training_refuses_an_eps_that_is_not_positive(eps):
    for lib in (rushlight, torch):
        x = lib.ones(3, 2)
        with pytest.raises(ValueError, match="eps must be positive during training"):
            lib.nn.functional.batch_norm(x, None, None, training=True, eps=eps)
        evaluated = lib.nn.functional.batch_norm(x, lib.zeros(2), lib.ones(2), eps=0)
        assert evaluated.tolist() == x.tolist()
