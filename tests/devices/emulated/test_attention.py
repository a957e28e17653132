"""Attention in tiles: PyTorch's results, without a matrix of scores in memory."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as torch

theirs = pytest.importorskip("torch")

# batch, heads, heads of keys, queries, keys, features, features of values; causal; mask
CASES = {
    "plain": ((2, 3, 3, 5, 7, 8, 8), False, ""),
    "causal": ((1, 2, 2, 70, 70, 16, 16), True, ""),
    "more keys": ((1, 1, 1, 20, 90, 16, 8), True, ""),
    "more queries": ((1, 1, 1, 90, 20, 8, 16), True, ""),
    "grouped": ((1, 4, 2, 33, 50, 24, 8), False, "bool"),
    "added mask": ((2, 2, 2, 20, 30, 40, 32), False, "float"),
    "odd": ((1, 2, 1, 19, 30, 7, 5), True, ""),
    "wide": ((1, 1, 1, 20, 30, 104, 96), True, ""),
}
TOLERANCE = {"float32": 5e-6, "float16": 2e-3, "bfloat16": 2e-2}


def _given(case: str) -> tuple[list[np.ndarray], np.ndarray | None]:
    (b, h, k, rows, columns, width, values), _, kind = CASES[case]
    generator = np.random.default_rng(0)
    shapes = (b, h, rows, width), (b, k, columns, width), (b, k, columns, values)
    arrays = [generator.standard_normal(s).astype(np.float32) for s in shapes]
    arrays.append(generator.standard_normal((b, h, rows, values)).astype(np.float32))
    if kind == "float":
        return arrays, generator.standard_normal((h, rows, columns)).astype(np.float32)
    if kind == "bool":
        mask = generator.random((b, 1, rows, columns)) > 0.4
        mask[0, 0, 1] = False  # a row that may look nowhere
        return arrays, mask
    return arrays, None


def _attended(library, case: str, dtype: str, place: str) -> list[np.ndarray]:
    arrays, mask = _given(case)
    kind = getattr(library, dtype)
    q, k, v = (library.tensor(a).to(place).to(kind).requires_grad_() for a in arrays[:3])
    given = None if mask is None else library.tensor(mask).to(place)
    if given is not None and mask is not None and mask.dtype != bool:
        given = given.to(kind)
    grouped = q.shape[1] != k.shape[1]
    found = library.nn.functional.scaled_dot_product_attention(
        q, k, v, given, is_causal=CASES[case][1], enable_gqa=grouped
    )
    (found * library.tensor(arrays[3]).to(place).to(kind)).sum().backward()
    return [t.detach().float().cpu().numpy() for t in (found, q.grad, k.grad, v.grad)]


# What runs each time; emulated, an instruction of tensor cores is a few hundred of the CPU.
ALWAYS = {
    ("plain", "float32"), ("causal", "float32"), ("odd", "float32"), ("grouped", "float16"),
    ("more keys", "bfloat16"), ("odd", "bfloat16"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        pytest.param(case, dtype, marks=() if (case, dtype) in ALWAYS else pytest.mark.endurance)
        for case in CASES
        for dtype in TOLERANCE
    ],
)
def test_attention_and_its_gradients_are_pytorchs(case: str, dtype: str) -> None:
    expected = _attended(theirs, case, dtype, "cpu")
    before = torch.stats()["host_steps"]
    found = _attended(torch, case, dtype, "cuda")
    assert torch.stats()["host_steps"] == before
    for one, other in zip(expected, found, strict=True):
        scale = np.abs(one).max()
        np.testing.assert_allclose(other / scale, one / scale, atol=TOLERANCE[dtype], rtol=0)


def test_no_matrix_of_scores_lies_in_memory() -> None:
    rows = 192
    q, k, v = (torch.randn(1, 2, rows, 16, device="cuda", requires_grad=True) for _ in range(3))
    torch.cuda.synchronize()
    used = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    y.sum().backward()
    assert np.isfinite(q.grad.sum().item())
    assert torch.cuda.max_memory_allocated() - used < 2 * 4 * rows * rows


def test_tiles_that_a_causal_mask_hides_are_not_visited() -> None:
    """A weight of zero times NaN would be NaN."""
    q, k, v = (torch.randn(1, 1, 128, 8, device="cuda") for _ in range(3))
    v[:, :, 64:] = float("nan")
    for dtype in (torch.float32, torch.bfloat16):
        found = torch.nn.functional.scaled_dot_product_attention(
            q.to(dtype), k.to(dtype), v.to(dtype), is_causal=True
        )
        assert torch.isfinite(found[:, :, :64]).all() and found[:, :, 64:].isnan().all()


def test_further_derivatives_and_those_of_a_mask() -> None:
    found = []
    for place in ("cpu", "cuda"):
        torch.manual_seed(0)
        q, k, v, mask = (
            torch.randn(*shape).to(place).requires_grad_()
            for shape in ((1, 2, 5, 4), (1, 2, 6, 4), (1, 2, 6, 3), (5, 6))
        )
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, mask)
        (g,) = torch.autograd.grad(y.sin().sum(), q, create_graph=True)
        g.square().sum().backward()
        found.append([t.grad.cpu().numpy() for t in (q, k, v, mask)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_layer_without_weights_attends_in_tiles() -> None:
    torch.manual_seed(0)
    layer = torch.nn.MultiheadAttention(16, 2, batch_first=True)
    x = torch.randn(2, 9, 16)
    padding = torch.arange(9).expand(2, 9) > 6
    expected = layer(x, x, x, key_padding_mask=padding, need_weights=False)[0]
    there = x.cuda()
    found = layer.cuda()(there, there, there, key_padding_mask=padding.cuda(), need_weights=False)
    assert found[1] is None
    np.testing.assert_allclose(
        expected.detach().numpy(), found[0].detach().cpu().numpy(), 1e-5, 1e-6
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dropout_in_tiles_is_that_of_products_and_a_softmax(dtype: str) -> None:
    arrays = _given("causal")[0]
    kind = getattr(torch, dtype)
    given = [torch.tensor(a).cuda().to(kind).requires_grad_() for a in arrays[:3]]
    torch.cuda.manual_seed(5)
    before = torch.stats()["host_steps"]
    found = torch.nn.functional.scaled_dot_product_attention(*given, None, 0.3, True)
    found.sum().backward()
    gradients = [x.grad.float().cpu() for x in given]
    assert torch.stats()["host_steps"] == before

    judge = torch.Generator("cuda").manual_seed(5).engine
    rows = arrays[0].shape[2]
    count = 2 * rows * rows
    kept = torch.tensor(judge.kept(count, 0.7, 4, False).reshape(1, 2, rows, rows))
    q, k, v = (x.detach().float().cpu().requires_grad_() for x in given)
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    scores = scores.masked_fill(~torch.ones(rows, rows, dtype=torch.bool).tril(), -torch.inf)
    expected = scores.softmax(-1) * kept / 0.7 @ v
    expected.sum().backward()
    tolerance = {"float32": 1e-5, "bfloat16": 4e-2}[dtype]
    pairs = [
        (found.detach().float().cpu(), expected.detach()),
        *zip(gradients, (q.grad, k.grad, v.grad)),
    ]
    for x, y in pairs:
        assert torch.allclose(x, y, tolerance, tolerance)
