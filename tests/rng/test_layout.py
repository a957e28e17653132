"""Strided destinations are filled in PyTorch's order."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch")

from rushlight.rng.continuous import uniform  # noqa: E402
from rushlight.rng.layout import arrange, is_contiguous  # noqa: E402
from tests.rng.streams import assert_same_bits, pair  # noqa: E402


def strided(name: str) -> torch.Tensor:
    base = torch.zeros(4, 3, 6, 5)
    views = {
        "slices": base[::2, :, 1:6:2, 1:],
        "channels_last": base.contiguous(memory_format=torch.channels_last),
        "sizes_of_one": torch.zeros(1, 4, 1, 6).transpose(1, 3),
        "equal_strides": torch.zeros(200).as_strided((3, 1, 4, 5), (20, 20, 5, 1)),
        "row_of_a_transposed": base.permute(3, 2, 1, 0)[1:4, ::2],
        "empty": torch.zeros(3, 0, 5).transpose(0, 2),
        "number": torch.zeros(()),
    }
    return views[name]


NAMES = [
    "slices",
    "channels_last",
    "sizes_of_one",
    "equal_strides",
    "row_of_a_transposed",
    "empty",
    "number",
]


def check(target: torch.Tensor) -> None:
    theirs, ours = pair(2)
    target.uniform_(generator=theirs)
    shape = tuple(target.shape)
    flat = uniform(ours, target.numel(), "float32")
    assert is_contiguous(shape, target.stride()) == target.is_contiguous()
    assert_same_bits(target, arrange(flat, shape, target.stride()))


@pytest.mark.parametrize("name", NAMES)
def test_a_strided_destination_is_filled_as_in_pytorch(name):
    check(strided(name))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_permuted_destination_is_filled_in_memory_order(order):
    check(torch.zeros(2, 3, 4, 5).permute(order))
    check(torch.zeros(2, 1, 4, 1).permute(order))
    check(torch.zeros(4, 3, 4, 6)[:, ::2, 1:].permute(order))
