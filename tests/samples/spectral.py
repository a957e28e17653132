"""Samples of the discrete Fourier transform."""

from __future__ import annotations

import torch

from tests.samples.row import COMPLEX, Row


def _transformed(x, axes, inverse):
    if inverse:
        return torch.fft.ifftn(x, dim=axes, norm="forward")
    return torch.fft.fftn(x, dim=axes)


def _axes(shapes: tuple) -> list:
    rank = len(shapes[0])
    return [(axes, flag) for axes in {(0,), (rank - 1,), tuple(range(rank))} for flag in (0, 1)]


ROWS = (
    Row(
        "dft", _transformed, (((5,),), ((4, 3),), ((2, 1, 4),)),
        lambda shapes: [(axes, bool(flag)) for axes, flag in sorted(_axes(shapes))], COMPLEX,
        tolerance={"complex64": 2e-5}, reason="sums of up to twelve terms in another order",
    ),
)  # fmt: skip
