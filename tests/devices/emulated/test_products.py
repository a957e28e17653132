"""Matrix products on the emulated device give the bits of the CPU, however the operands lie."""

from __future__ import annotations

import pytest

import rushlight as torch

SHAPES = (
    ((5, 7), (7, 9)),
    ((70, 600), (600, 66)),  # more than one block of k, and tiles beyond the edges
    ((3, 5, 20), (3, 20, 6)),
    ((1, 70), (70, 9)),
    ((9, 70), (70, 1)),
    ((1, 70), (4, 70, 1)),
)


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_a_product_has_the_bits_of_the_cpu(shapes, dtype) -> None:
    torch.manual_seed(0)
    x, y = (torch.randn(*shape) for shape in shapes)
    before = torch.stats()["host_steps"]
    for turned_x in (False, True):
        for turned_y in (False, True):
            a = (x.mT.contiguous().mT if turned_x else x).to(dtype)
            b = (y.mT.contiguous().mT if turned_y else y).to(dtype)
            assert torch.equal(a @ b, (a.cuda() @ b.cuda()).cpu())
    assert torch.stats()["host_steps"] == before
