"""A query all of whose keys are masked attends to nothing: zeros, and no NaN in any gradient.

PyTorch answers so in training and wherever it uses scaled_dot_product_attention; with
need_weights=True, and in its inference shortcut, it answers NaN.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning")

BATCH, LENGTH, FEATURES, HEADS = 2, 4, 8, 2
ROW = np.zeros((LENGTH, LENGTH), bool)
ROW[1] = True
FUTURE = np.triu(np.ones((LENGTH, LENGTH), bool), 1)
HEAD = np.zeros((BATCH * HEADS, LENGTH, LENGTH), bool)
HEAD[0, 2] = True
SAMPLE = np.zeros((BATCH, LENGTH), bool)
SAMPLE[1] = True
FIRST = np.zeros((BATCH, LENGTH), bool)
FIRST[:, 0] = True


def _added(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, -math.inf, 0.0).astype(np.float32)


MASKS = {
    "row": {"attn_mask": ROW},
    "added row": {"attn_mask": _added(ROW)},
    "row of one head": {"attn_mask": HEAD},
    "padded sample": {"key_padding_mask": SAMPLE},
    "added padding": {"key_padding_mask": _added(SAMPLE)},
    "causal and padded first": {"attn_mask": FUTURE, "key_padding_mask": FIRST},
    "both added": {"attn_mask": _added(FUTURE), "key_padding_mask": _added(FIRST)},
    "one added": {"attn_mask": _added(FUTURE), "key_padding_mask": FIRST},
    "causal hint": {"attn_mask": FUTURE, "key_padding_mask": FIRST, "is_causal": True},
}
INPUT = np.random.RandomState(0).randn(BATCH, LENGTH, FEATURES).astype(np.float32)


def _as(lib, masks: dict) -> dict:
    return {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in masks.items()}


def _same_parameters(theirs, ours) -> None:
    ours.load_state_dict({k: rushlight.tensor(v.numpy()) for k, v in theirs.state_dict().items()})


def _compare(found, expected) -> None:
    assert not np.isnan(expected.detach().numpy()).any()
    np.testing.assert_allclose(
        found.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MASKS)
def test_attention_without_weights_is_pytorchs_forward_and_backward(name, training):
    theirs = torch.nn.MultiheadAttention(FEATURES, HEADS, batch_first=True).train(training)
    ours = rushlight.nn.MultiheadAttention(FEATURES, HEADS, batch_first=True).train(training)
    _same_parameters(theirs, ours)
    results = []
    for lib, module in ((torch, theirs), (rushlight, ours)):
        x = lib.tensor(INPUT, requires_grad=True)
        out, _ = module(x, x, x, need_weights=False, **_as(lib, MASKS[name]))
        out.square().sum().backward()
        results.append([out, x.grad, *(p.grad for p in module.parameters())])
    for expected, found in zip(*results):
        _compare(found, expected)


@pytest.mark.parametrize("name", MASKS)
def test_attention_with_weights_gives_the_same_and_weights_of_zero(name):
    module = rushlight.nn.MultiheadAttention(FEATURES, HEADS, batch_first=True)
    x = rushlight.tensor(INPUT, requires_grad=True)
    masks = _as(rushlight, MASKS[name])
    out, weights = module(x, x, x, average_attn_weights=False, **masks)
    plain, _ = module(x, x, x, need_weights=False, **masks)
    assert rushlight.equal(out, plain)
    sums = weights.sum(-1).detach().numpy()
    assert (np.isclose(sums, 1.0) | (sums == 0.0)).all()
    assert (sums == 0.0).any()
    (out.square().sum() + weights.square().sum()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in module.parameters())
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_encoders_are_pytorchs_forward_and_backward(training, norm_first):
    modules = []
    for lib in (torch, rushlight):
        layer = lib.nn.TransformerEncoderLayer(
            FEATURES, HEADS, 16, 0.0, batch_first=True, norm_first=norm_first
        )
        encoder = lib.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        modules.append(encoder.train(training))
    _same_parameters(*modules)
    for masks in MASKS.values():
        named = {"attn_mask": "mask", "key_padding_mask": "src_key_padding_mask"}
        results = []
        for lib, module in zip((torch, rushlight), modules):
            x = lib.tensor(INPUT, requires_grad=True)
            given = {named.get(k, k): v for k, v in _as(lib, masks).items()}
            module.zero_grad()
            out = module(x, **given)
            out.square().sum().backward()
            results.append([out, x.grad, *(p.grad for p in module.parameters())])
        for expected, found in zip(*results):
            np.testing.assert_allclose(
                found.detach().numpy(), expected.detach().numpy(), rtol=1e-3, atol=1e-4
            )


def test_scaled_dot_product_attention_is_pytorchs():
    rows = np.random.RandomState(1).randn(2, 2, LENGTH, 4).astype(np.float32)
    for mask in (~ROW, _added(ROW), np.zeros((LENGTH, LENGTH), bool), (~ROW)[:, :1].copy()):
        results = []
        for lib in (torch, rushlight):
            operands = [lib.tensor(rows, requires_grad=True) for _ in range(3)]
            out = lib.nn.functional.scaled_dot_product_attention(
                *operands, attn_mask=lib.tensor(mask)
            )
            out.square().sum().backward()
            results.append([out, *(x.grad for x in operands)])
        for expected, found in zip(*results):
            _compare(found, expected)
