"""The operations of random programs that round: smooth functions, kept where they are tame.

A rule is (when it applies, function of the library, operands and two integers), as in
`operations.py`.  Arguments are first brought where the function and its derivatives are moderate,
so that what one library rounds otherwise than another stays a small difference.
"""

from __future__ import annotations

from typing import Any

from tests.fuzz.operations import (
    Rule,
    always,
    axis_of,
    filled,
    has_rows,
    long,
    matrix,
    ranked,
    two_elements,
    two_rows,
)

MOST_ROWS = 6


def convolved_with_its_start(t: Any, x: Any, a: int, b: int) -> Any:
    signal = x.reshape(1, 1, -1)
    return t.nn.functional.conv1d(signal, signal[..., :2], padding=1).reshape(-1)


def convolved_in_plane(t: Any, x: Any, a: int, b: int) -> Any:
    plane = x.reshape(1, 1, -1, x.shape[-1])
    kernel = x.reshape(-1)[:2].reshape(1, 1, 1, 2)
    return t.nn.functional.conv2d(plane, kernel, stride=1 + a % 2, padding=(0, 1))[0, 0]


def averaged_in_pairs(t: Any, x: Any, a: int, b: int) -> Any:
    return t.nn.functional.avg_pool1d(x.reshape(1, 1, -1), 2, 1)[0, 0]


def normalized(t: Any, x: Any, a: int, b: int) -> Any:
    return t.nn.functional.layer_norm(x, x.shape[-1:], eps=0.1)


def normalized_with_weights(t: Any, x: Any, a: int, b: int) -> Any:
    weight = x.reshape(-1, x.shape[-1])[0]
    return t.nn.functional.layer_norm(x, x.shape[-1:], weight, weight * 2, eps=0.1)


def scaled_rows(t: Any, x: Any, a: int, b: int) -> Any:
    return t.nn.functional.rms_norm(x, x.shape[-1:], eps=0.1)


def normalized_columns(t: Any, x: Any, a: int, b: int) -> Any:
    return t.nn.functional.batch_norm(x.reshape(x.shape[0], -1), None, None, training=True, eps=0.1)


def classified(t: Any, x: Any, a: int, b: int) -> Any:
    rows = x.reshape(-1, x.shape[-1])
    labels = t.arange(rows.shape[0]) * (a + 1) % rows.shape[1]
    smoothing = b % 2 / 10
    reduction = ("mean", "sum", "none")[b % 3]
    return t.nn.functional.cross_entropy(
        rows, labels, reduction=reduction, label_smoothing=smoothing
    )


def attended(t: Any, x: Any, a: int, b: int) -> Any:
    rows = x.reshape(1, -1, x.shape[-1])[:, :MOST_ROWS].tanh()
    return t.nn.functional.scaled_dot_product_attention(
        rows, rows * 0.5, rows + 0.25, is_causal=bool(a % 2)
    )


def positive_definite(t: Any, x: Any) -> Any:
    rows = x.reshape(-1, x.shape[-1])[:3].tanh()
    return rows @ rows.mT * 0.25 + t.eye(rows.shape[0], dtype=x.dtype)


def sum_of_eigenvalues(t: Any, x: Any, a: int, b: int) -> Any:
    return t.linalg.eigvals(positive_definite(t, x).detach()).real.sum()


def incomplete_gamma(t: Any, x: Any, a: int, b: int) -> Any:
    order = t.ones_like(x).detach() * (1.5 + a % 3)
    return (t.igamma if b % 2 else t.igammac)(order, x * x + 0.5)


def spectrum(t: Any, x: Any, a: int, b: int) -> Any:
    waves = t.fft.rfft(x, dim=axis_of(x, a))
    return waves.real * 0.5 + waves.imag


def linear_with_bias(t: Any, x: Any, a: int, b: int) -> Any:
    weight = x.reshape(-1, x.shape[-1])[:3]
    return t.nn.functional.linear(x.tanh(), weight, weight.sum(-1)).tanh()


def batched(t: Any, x: Any, a: int, b: int) -> Any:
    stack = x.reshape(-1, x.shape[-2], x.shape[-1])
    return t.bmm(stack, stack.mT) if a % 2 else t.bmm(stack.mT, stack)


def gelu_in_both_forms(t: Any, x: Any, a: int, b: int) -> Any:
    return t.nn.functional.gelu(x, approximate=("none", "tanh")[a % 2])


SMOOTH_UNARY: dict[str, Rule] = {
    "exp": (always, lambda t, x, a, b: (-(x * x)).exp()),
    "exp2": (always, lambda t, x, a, b: (-(x * x)).exp2()),
    "expm1": (always, lambda t, x, a, b: x.tanh().expm1()),
    "log": (always, lambda t, x, a, b: (x * x + 0.5).log()),
    "log2": (always, lambda t, x, a, b: (x * x + 0.5).log2()),
    "log10": (always, lambda t, x, a, b: (x * x + 0.5).log10()),
    "log1p": (always, lambda t, x, a, b: (x * x).log1p()),
    "sqrt": (always, lambda t, x, a, b: (x * x + 0.25).sqrt()),
    "rsqrt": (always, lambda t, x, a, b: (x * x + 0.25).rsqrt()),
    "reciprocal": (always, lambda t, x, a, b: (x * x + 0.5).reciprocal()),
    "sin": (always, lambda t, x, a, b: x.sin()),
    "cos": (always, lambda t, x, a, b: x.cos()),
    "tan": (always, lambda t, x, a, b: x.tanh().tan()),
    "asin": (always, lambda t, x, a, b: (x.tanh() * 0.75).asin()),
    "acos": (always, lambda t, x, a, b: (x.tanh() * 0.75).acos()),
    "atan": (always, lambda t, x, a, b: x.atan()),
    "sinh": (always, lambda t, x, a, b: x.tanh().sinh()),
    "cosh": (always, lambda t, x, a, b: x.tanh().cosh()),
    "tanh": (always, lambda t, x, a, b: x.tanh()),
    "asinh": (always, lambda t, x, a, b: x.asinh()),
    "acosh": (always, lambda t, x, a, b: (x * x + 1.5).acosh()),
    "atanh": (always, lambda t, x, a, b: (x.tanh() * 0.75).atanh()),
    "sigmoid": (always, lambda t, x, a, b: x.sigmoid()),
    "log_sigmoid": (always, lambda t, x, a, b: t.nn.functional.logsigmoid(x)),
    "erf": (always, lambda t, x, a, b: x.erf()),
    "erfc": (always, lambda t, x, a, b: x.tanh().erfc()),
    "erfinv": (always, lambda t, x, a, b: (x.tanh() * 0.75).erfinv()),
    "lgamma": (always, lambda t, x, a, b: (x * x + 1).lgamma()),
    "digamma": (always, lambda t, x, a, b: (x * x + 1).digamma()),
    "gelu": (always, gelu_in_both_forms),
    "silu": (always, lambda t, x, a, b: t.nn.functional.silu(x)),
    "mish": (always, lambda t, x, a, b: t.nn.functional.mish(x)),
    "softplus": (always, lambda t, x, a, b: t.nn.functional.softplus(x)),
    "softsign": (always, lambda t, x, a, b: (x.tanh() + 2) / (1 + (x.tanh() + 2))),
    "power": (always, lambda t, x, a, b: x.tanh() ** (a % 4)),
    "root": (always, lambda t, x, a, b: (x * x + 0.5) ** (a % 5 / 2 - 1)),
    "scale": (always, lambda t, x, a, b: x * (a % 7 - 3) / 3),
    "mean": (filled, lambda t, x, a, b: x.mean(axis_of(x, a), keepdim=bool(b % 2))),
    "softmax": (always, lambda t, x, a, b: x.softmax(axis_of(x, a))),
    "log_softmax": (always, lambda t, x, a, b: x.log_softmax(axis_of(x, a))),
    "logsumexp": (always, lambda t, x, a, b: x.logsumexp(axis_of(x, a))),
    "prod": (always, lambda t, x, a, b: (x.tanh() * 0.25 + 1).prod(axis_of(x, a))),
    "cumprod": (always, lambda t, x, a, b: (x.tanh() * 0.25 + 1).cumprod(axis_of(x, a))),
    "logcumsumexp": (always, lambda t, x, a, b: x.logcumsumexp(axis_of(x, a))),
    "var": (filled, lambda t, x, a, b: x.var(axis_of(x, a), correction=0)),
    "std": (two_rows, lambda t, x, a, b: (x * x + t.arange(x.shape[-1])).std(correction=0)),
    "norm": (always, lambda t, x, a, b: (x * x + 1).norm(dim=axis_of(x, a))),
    "unit": (has_rows, lambda t, x, a, b: t.nn.functional.normalize(x * x + 1, dim=axis_of(x, a))),
    "layer_norm": (has_rows, normalized),
    "affine_norm": (has_rows, normalized_with_weights),
    "rms_norm": (has_rows, scaled_rows),
    "batch_norm": (two_rows, normalized_columns),
    "cross_entropy": (has_rows, classified),
    "attention": (has_rows, attended),
    "linear": (has_rows, linear_with_bias),
    "gram": (matrix, lambda t, x, a, b: x @ x.mT),
    "bmm": (matrix, batched),
    "contract": (ranked, lambda t, x, a, b: t.einsum("i...,j...->ij", x, x)),
    "conv": (two_elements, convolved_with_its_start),
    "conv_plane": (long, convolved_in_plane),
    "avg_pool": (two_elements, averaged_in_pairs),
    "cholesky": (has_rows, lambda t, x, a, b: t.linalg.cholesky(positive_definite(t, x))),
    "inverse": (has_rows, lambda t, x, a, b: t.linalg.inv(positive_definite(t, x))),
    "det": (has_rows, lambda t, x, a, b: t.linalg.det(positive_definite(t, x))),
    "spectrum": (has_rows, spectrum),
    "eigvalsh": (has_rows, lambda t, x, a, b: t.linalg.eigvalsh(positive_definite(t, x))),
    "eigvals": (has_rows, sum_of_eigenvalues),
    "svdvals": (has_rows, lambda t, x, a, b: t.linalg.svdvals(positive_definite(t, x))),
    "qr": (has_rows, lambda t, x, a, b: t.linalg.qr(positive_definite(t, x))[1]),
    "igamma": (always, incomplete_gamma),
}  # fmt: skip
# What costs PyTorch and us alike most, or is found in few programs: drawn less often.
RARE = {
    "cholesky", "inverse", "det", "spectrum", "eigvalsh", "eigvals", "svdvals", "qr", "igamma",
    "lgamma", "digamma", "attention",
}  # fmt: skip

SMOOTH_BINARY: dict[str, Rule] = {
    "divide": (always, lambda t, x, y, a, b: x / (y * y + 0.5)),
    "logaddexp": (always, lambda t, x, y, a, b: t.logaddexp(x, y)),
    "atan2": (always, lambda t, x, y, a, b: t.atan2(x, y * y + 0.5)),
    "hypot": (always, lambda t, x, y, a, b: t.hypot(x, y * y + 0.5)),
    "outer": (always, lambda t, x, y, a, b: t.outer(x.reshape(-1)[:6], y.reshape(-1)[:6])),
    "dot": (always, lambda t, x, y, a, b: (x * y).sum()),
    "mse": (always, lambda t, x, y, a, b: t.nn.functional.mse_loss(*t.broadcast_tensors(x, y))),
    "xlogy": (always, lambda t, x, y, a, b: t.xlogy(x, y * y + 0.5)),
    "pow": (always, lambda t, x, y, a, b: (x * x + 0.5) ** y.tanh()),
    "addcdiv": (always, lambda t, x, y, a, b: t.addcdiv(x, x, y * y + 0.5, value=0.3)),
    "huber": (always, lambda t, x, y, a, b: t.nn.functional.smooth_l1_loss(
        *t.broadcast_tensors(x.tanh(), y.tanh() + 8))),
    "gate": (always, lambda t, x, y, a, b: x * y.sigmoid()),
}  # fmt: skip
