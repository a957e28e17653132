"""Window functions, as `torch.signal.windows`: M points, symmetric unless sym=False.  Level 12."""

from __future__ import annotations

import math

import numpy as np

from rushlight.base.dtypes import get_default_dtype, narrow
from rushlight.ops.creation import made
from rushlight.tensor.tensor import Tensor

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine",
    "general_hamming", "hamming", "hann", "kaiser", "nuttall",
]  # fmt: skip


def _window(name: str, M, weights, *, sym=True, dtype=None, **keywords) -> Tensor:  # noqa: N803
    """weights: function of (positions, number of points of the symmetric window)."""
    dtype = dtype or get_default_dtype()
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if dtype.name not in ("float32", "float64"):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    if M <= 1:
        array = np.ones(M)
    else:
        # A periodic window is a symmetric one of one more point, without its last.
        array = weights(np.arange(M, dtype=np.float64), M if sym else M + 1)
    return made(name, narrow(array, dtype), dtype, **keywords)


def exponential(M, *, center=None, tau=1.0, sym=True, **keywords) -> Tensor:  # noqa: N803
    """exp(-|n - center| / tau)."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def weights(n, points):
        middle = (points - 1) / 2 if center is None else center
        return np.exp(-np.abs(n - middle) / tau)

    return _window("exponential", M, weights, sym=sym, **keywords)


def cosine(M, *, sym=True, **keywords) -> Tensor:  # noqa: N803
    """sin(pi (n + 1/2) / points)."""
    return _window(
        "cosine", M, lambda n, points: np.sin(np.pi * (n + 0.5) / points), sym=sym, **keywords
    )


def gaussian(M, *, std=1.0, sym=True, **keywords) -> Tensor:  # noqa: N803
    """exp(-((n - middle) / std)**2 / 2)."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")

    def weights(n, points):
        return np.exp(-0.5 * ((n - (points - 1) / 2) / std) ** 2)

    return _window("gaussian", M, weights, sym=sym, **keywords)


def kaiser(M, *, beta=12.0, sym=True, **keywords) -> Tensor:  # noqa: N803
    """Kaiser's window with shape parameter beta."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")

    def weights(n, points):
        return np.i0(beta * np.sqrt(1 - (2 * n / (points - 1) - 1) ** 2)) / np.i0(beta)

    return _window("kaiser", M, weights, sym=sym, **keywords)


def general_cosine(M, *, a, sym=True, **keywords) -> Tensor:  # noqa: N803
    """Alternating sum of cosines with coefficients `a`."""
    if not isinstance(a, (list, tuple)):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")

    def weights(n, points):
        total = np.zeros_like(n)
        for order, coefficient in enumerate(a):
            total += (-1) ** order * coefficient * np.cos(2 * math.pi * order * n / (points - 1))
        return total

    return _window("general_cosine", M, weights, sym=sym, **keywords)


def general_hamming(M, *, alpha=0.54, sym=True, **keywords) -> Tensor:  # noqa: N803
    """alpha - (1 - alpha) cos(2 pi n / (points - 1))."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, **keywords)


def hamming(M, *, sym=True, **keywords) -> Tensor:  # noqa: N803
    """Hamming window."""
    return general_hamming(M, sym=sym, **keywords)


def hann(M, *, sym=True, **keywords) -> Tensor:  # noqa: N803
    """Hann window."""
    return general_hamming(M, alpha=0.5, sym=sym, **keywords)


def blackman(M, *, sym=True, **keywords) -> Tensor:  # noqa: N803
    """Blackman window."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **keywords)


def bartlett(M, *, sym=True, **keywords) -> Tensor:  # noqa: N803
    """Triangular window."""
    return _window(
        "bartlett", M, lambda n, points: 1 - np.abs(2 * n / (points - 1) - 1), sym=sym, **keywords
    )


def nuttall(M, *, sym=True, **keywords) -> Tensor:  # noqa: N803
    """Nuttall's four-term window."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **keywords)
