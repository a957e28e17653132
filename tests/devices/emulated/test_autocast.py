"""Autocast on a device: products in 16 bits, sums and losses in 32, the CPU's as they are."""

from __future__ import annotations

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import functional as F


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_products_are_in_16_bits_and_sums_in_32(dtype) -> None:
    x = torch.randn(4, 6, device="cuda")
    layer = nn.Linear(6, 3, device="cuda")
    with torch.autocast("cuda", dtype=dtype):
        y = layer(x)
        assert y.dtype is (x @ x.T).dtype is torch.mm(x, x.T).dtype is dtype
        assert y.sum().dtype is y.softmax(-1).dtype is y.exp().dtype is torch.float32
        assert F.layer_norm(y, (3,)).dtype is F.mse_loss(y, y).dtype is torch.float32
        assert torch.cat([y, y.float()]).dtype is torch.float32
        assert (x + 1).dtype is torch.float32 and F.relu(y).dtype is dtype
        assert (x.cpu() @ x.cpu().T).dtype is torch.float32, "the CPU is not under it"
        with torch.autocast("cuda", enabled=False):
            assert (x @ x.T).dtype is torch.float32
    assert (x @ x.T).dtype is torch.float32


def test_the_defaults_are_pytorchs() -> None:
    assert torch.get_autocast_dtype("cuda") is torch.float16
    with torch.autocast("cuda"):
        assert torch.is_autocast_enabled("cuda") and not torch.is_autocast_enabled("cpu")
        x = torch.ones(2, 2, device="cuda")
        assert (x @ x).dtype is torch.float16
        with torch.autocast("cpu"):
            y = x.cpu()
            assert (y @ y).dtype is torch.bfloat16 and (x @ x).dtype is torch.float16
            assert y.exp().dtype is torch.float32


def test_a_network_trains_under_a_scaler() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 3)).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda", init_scale=2.0**10)
    assert scaler.is_enabled()
    x, y = torch.randn(12, 8, device="cuda"), torch.randint(0, 3, (12,), device="cuda")
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0] and scaler.get_scale() == 2.0**10
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}


def test_an_infinite_gradient_skips_the_step() -> None:
    weight = nn.Parameter(torch.ones(2, device="cuda"))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scaler = torch.amp.GradScaler("cuda", init_scale=4.0)
    scaler.scale((weight * float("inf")).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert weight.tolist() == [1.0, 1.0] and scaler.get_scale() == 2.0
