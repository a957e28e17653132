"""Random numbers of devices: Philox by seed and offset, shared out as PyTorch's kernels do it."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as torch
from rushlight.rng.philox import philox

# What PyTorch prints for these seeds on a card.
UNIFORM = {0: (0.3990, 0.5167, 0.0249, 0.9401, 0.9459), 42: (0.6130, 0.0101, 0.3984)}


@pytest.mark.parametrize("seed", UNIFORM)
def test_uniform_numbers_are_those_of_pytorch(seed: int) -> None:
    torch.manual_seed(seed)
    known = UNIFORM[seed]
    drawn = torch.rand(len(known), device="cuda").cpu().numpy()
    np.testing.assert_allclose(drawn, known, atol=5e-5)


def test_the_generator_agrees_with_the_published_vectors() -> None:
    # From the known answers of Random123: key and counter of zeros, and of ones.
    zeros = philox(0, np.zeros(1, np.uint64), np.zeros(1, np.uint64))[0]
    assert [hex(w) for w in zeros] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    full = np.full(1, 2**64 - 1, np.uint64)
    ones = philox(2**64 - 1, full, full)[0]
    assert [hex(w) for w in ones] == ["0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]


def test_the_device_and_the_cpu_have_streams_of_their_own() -> None:
    torch.manual_seed(3)
    alone = torch.rand(4)
    torch.manual_seed(3)
    torch.rand(100, device="cuda")
    assert torch.equal(torch.rand(4), alone)


def test_a_state_brings_the_numbers_back() -> None:
    torch.cuda.manual_seed_all(5)
    torch.randn(7, device="cuda")
    state = torch.cuda.get_rng_state()
    first = [torch.randn(9, device="cuda").cpu(), torch.randint(0, 9, (5,), device="cuda").cpu()]
    torch.cuda.set_rng_state(state)
    again = [torch.randn(9, device="cuda").cpu(), torch.randint(0, 9, (5,), device="cuda").cpu()]
    for one, other in zip(first, again):
        assert torch.equal(one, other)


def test_the_offset_counts_calls_of_one_thread() -> None:
    generator = torch.Generator("cuda").manual_seed(1)
    torch.rand(10, device="cuda", generator=generator)
    assert generator.get_offset() == 4
    torch.rand(10, device="cuda", generator=generator, dtype=torch.float64)
    assert generator.get_offset() == 8
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, generator=generator, device="cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_distributions_look_as_they_should(dtype) -> None:
    torch.manual_seed(0)
    x = torch.empty(20000, device="cuda", dtype=dtype)
    assert abs(x.uniform_(2, 4).float().mean().item() - 3) < 0.02
    drawn = x.normal_(1, 2).float()
    assert abs(drawn.mean().item() - 1) < 0.05 and abs(drawn.std().item() - 2) < 0.05
    assert abs(x.bernoulli_(0.25).float().mean().item() - 0.25) < 0.02
    assert abs(x.exponential_(2.0).float().mean().item() - 0.5) < 0.02
    whole = torch.randint(-3, 5, (20000,), device="cuda")
    assert whole.min().item() == -3 and whole.max().item() == 4
    mask = torch.nn.functional.dropout(torch.ones(20000, device="cuda", dtype=dtype), 0.5)
    assert set(mask.unique().tolist()) == {0.0, 2.0} and mask.device.type == "cuda"
