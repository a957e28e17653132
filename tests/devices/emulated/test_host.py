"""What has no kernel goes through the host: with the CPU's values, counted, and named."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest

import rushlight as torch
from rushlight.base.stats import stats
from rushlight.nn import functional as F
from tests.devices.emulated.places import LAST


def _matrix(place: str) -> torch.Tensor:
    torch.manual_seed(0)
    x = torch.randn(4, 4, dtype=torch.float64)
    return (x @ x.mT + 4 * torch.eye(4, dtype=torch.float64)).to(place)


# Operations that make constants of their own, on a tensor of a device that is not the default one.
OPERATIONS = {
    "inv": torch.linalg.inv,
    "solve": lambda A: torch.linalg.solve(A, A[:, :2]),
    "pinv": torch.linalg.pinv,
    "cholesky": torch.linalg.cholesky,
    "cholesky_inverse": lambda A: torch.cholesky_inverse(torch.linalg.cholesky(A)),
    "det": torch.linalg.det,
    "slogdet": lambda A: torch.linalg.slogdet(A)[1],
    "qr": lambda A: torch.linalg.qr(A)[1].abs(),
    "eigvalsh": torch.linalg.eigvalsh,
    "svdvals": torch.linalg.svdvals,
    "matrix_exp": lambda A: torch.linalg.matrix_exp(A / 10),
    "matrix_power": lambda A: torch.linalg.matrix_power(A, 3),
    "matrix_rank": torch.linalg.matrix_rank,
    "lu": lambda A: torch.lu_unpack(*torch.linalg.lu_factor(A))[0],
    "lu_solve": lambda A: torch.linalg.lu_solve(*torch.linalg.lu_factor(A), A),
    "lstsq": lambda A: torch.linalg.lstsq(A, A[:, :1]).solution,
    "householder": lambda A: torch.linalg.householder_product(*torch.geqrf(A)),
    "triangular": lambda A: torch.linalg.solve_triangular(A.tril(), A, upper=False),
    "fft": lambda A: torch.fft.fft(A).abs(),
    "rfft": lambda A: torch.fft.irfft(torch.fft.rfft(A), 4),
    "fftshift": lambda A: torch.fft.fftshift(torch.fft.fft2(A)).real,
    "complex": lambda A: (torch.complex(A, A) * 2j).angle(),
    "stft": lambda A: torch.stft(
        A.flatten(), 8, window=torch.hann_window(8, device=A.device).double(), return_complex=True
    ).abs(),
    "cov": torch.cov,
    "cdist": lambda A: torch.cdist(A, A + 1),
    "grid": lambda A: F.grid_sample(
        A[None, None], F.affine_grid(A[None, :2, :3] / 10, [1, 1, 3, 3], align_corners=False),
        align_corners=False,
    ),
    "interpolate": lambda A: F.interpolate(A[None, None], scale_factor=2, mode="bilinear"),
    "segment_reduce": lambda A: torch.segment_reduce(
        A[0], "sum", lengths=torch.tensor([1, 3], device=A.device)
    ),
    "histc": lambda A: torch.histc(A, 4, -1, 8),
    "bucketize": lambda A: torch.bucketize(A, A[0].sort().values),
    "quantile": lambda A: A.quantile(0.3, dim=1),
    "vander": lambda A: torch.vander(A[0]),
    "block_diag": lambda A: torch.block_diag(A, A),
    "kron": lambda A: torch.kron(A, A[:2]),
    "one_hot": lambda A: F.one_hot(A[0].long().abs() % 3, 4),
    "tril": lambda A: A.tril(1) + A.triu(2),
    "trapezoid": lambda A: torch.trapezoid(A, dx=0.5),
    "positions": lambda A: torch.nonzero(A > 0).sum(0),
    "renorm": lambda A: A.renorm(2, 0, 1.0),
    "einsum": lambda A: torch.einsum("ij,kj->ik", A, A),
    "unfold": lambda A: F.unfold(A[None, None], 2),
    "embedding_bag": lambda A: F.embedding_bag(
        torch.tensor([[0, 1], [2, 3]], device=A.device), A, mode="mean"
    ),
    "ctc": lambda A: F.ctc_loss(
        A.log_softmax(-1)[:, None], torch.tensor([[1, 2]], device=A.device), [4], [2]
    ),
    "attention": lambda A: F.scaled_dot_product_attention(
        A[None, None], A[None, None], A[None, None], is_causal=True
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_constants_of_an_operation_go_where_its_operand_is(name: str) -> None:
    operation = OPERATIONS[name]
    here, there = operation(_matrix("cpu")), operation(_matrix(LAST))
    assert there.device == torch.device(LAST)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (lambda A: torch.fft.fft(A).abs().sum(), "dft"),
        (lambda A: torch.linalg.solve(A, A).sum(), "solve"),
        (lambda A: torch.linalg.eigvalsh(A).sum(), "eigh"),
        (lambda A: torch.linalg.cholesky(A).sum(), "cholesky"),
        (lambda A: torch.complex(A, A).mul(2j).abs().sum(), "complex"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_goes_through_the_host_is_counted_and_named(operation, named: str) -> None:
    A = _matrix("cuda")
    A.sum().item()
    stats.reset()
    operation(A).item()
    assert stats.host_steps > 0
    reasons = [r for r in stats.fallback_reasons if r.startswith("through the host: ")]
    assert any(named in reason for reason in reasons), reasons
    printed = io.StringIO()
    with redirect_stdout(printed):
        print(torch.explain(operation, A))
    assert "through the host" in printed.getvalue() or named in printed.getvalue()


def test_what_has_kernels_does_not() -> None:
    A = _matrix("cuda").float()
    stats.reset()
    (F.gelu(A) @ A).softmax(1).cumsum(0).sort(1).values.sum().item()
    assert stats.host_steps == 0, stats.fallback_reasons
