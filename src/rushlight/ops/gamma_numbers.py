"""Binomial, gamma and Dirichlet numbers, and how gamma and Dirichlet numbers move with their shape.

In: tensors of parameters. Out: leaf tensors, drawn when the call is made; derivatives as values.
Level 11.
"""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import DType, float32, float64
from rushlight.base.shapes import broadcast_shapes
from rushlight.ops.beside import beside_input
from rushlight.ops.creation import value_of
from rushlight.ops.generator import Generator, engine_of
from rushlight.ops.random import _with_zero_gradient
from rushlight.ops.random_fill import scalar_name, unsupported
from rushlight.ops.spelling import spelled
from rushlight.reference.special import digamma
from rushlight.rng import rejection
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


@spelled()
@beside_input
def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of successes among `count` trials that succeed with probability `prob`.

    Shapes: those of the operands broadcast.  Dtypes: float32 and float64, the same in both.
    Raises: RuntimeError if the dtypes are unfit or differ.  Source: torch.binomial.
    """
    engine = engine_of("binomial", generator)
    for name, operand in (("count", count), ("prob", prob)):
        if not operand.dtype.is_floating_point:
            raise RuntimeError(
                f"binomial only supports floating-point dtypes for {name}, got: "
                f"{scalar_name(operand.dtype)}; convert it with .to(torch.float32)"
            )
    if count.dtype is not prob.dtype:
        raise RuntimeError(
            f"binomial: Found dtype {scalar_name(prob.dtype)} for prob but expected count's, "
            f"{scalar_name(count.dtype)}; convert one of them"
        )
    _require_single_or_double("binomial_cpu", count.dtype)
    shape = broadcast_shapes(count._node.shape, prob._node.shape)
    counts, chances = (
        np.broadcast_to(value_of(x), shape).astype(np.float64).ravel() for x in (count, prob)
    )
    values = rejection.binomial(engine, counts, chances, count.dtype.name)
    made = tensor_from_numpy(values.reshape(shape), count.dtype)
    return _with_zero_gradient(made, count, prob)


def gamma_draw(alpha: Tensor, generator: Generator | None = None) -> Tensor:
    """Gamma numbers of rate 1 with the shapes `alpha`, without history.

    Dtypes: float32, float64.  Source: torch._standard_gamma.
    """
    engine = engine_of("_standard_gamma", generator)
    _require_single_or_double("gamma_cpu", alpha.dtype)
    shapes = value_of(alpha).astype(np.float64)
    values = rejection.gamma(engine, shapes.ravel(), alpha.dtype.name)
    return tensor_from_numpy(values.reshape(shapes.shape), alpha.dtype)


def dirichlet_draw(alpha: Tensor, generator: Generator | None = None) -> Tensor:
    """Dirichlet numbers for the rows of `alpha`, without history.

    Dtypes: float32, float64.  Source: torch._sample_dirichlet.
    """
    engine = engine_of("_sample_dirichlet", generator)
    _require_single_or_double("dirichlet", alpha.dtype)
    values = rejection.dirichlet(engine, value_of(alpha).astype(np.float64), alpha.dtype.name)
    return tensor_from_numpy(values, alpha.dtype)


def _require_single_or_double(kernel: str, dtype: DType) -> None:
    if dtype not in (float32, float64):
        raise unsupported(kernel, dtype)


def _as_double(*operands: Tensor) -> list[np.ndarray]:
    arrays = np.broadcast_arrays(*(value_of(x) for x in operands))
    return [np.asarray(x, np.float64) for x in arrays]


# ---- derivatives ---------------------------------------------------------------------------------
#
# A number x drawn from a distribution with cumulative function F(x; a) moves by
# dx/da = -(dF/da) / (dF/dx) when its parameter a moves and its quantile stays.  PyTorch has no
# closed form either: it takes series near the ends, the saddle point for large shapes, and
# fitted rational functions between.  The coefficients below were fitted to its results by linear
# least squares (residual 1e-13), so that gradients agree with its own, whose error is about 1e-3.
# Source of the formulas: M. Jankowiak and F. Obermeyer 2018, "Pathwise derivatives beyond the
# reparameterization trick".

# Powers of log(x / shape) down, of log(shape) across: numerator, then denominator.
_GAMMA_NUMERATOR = np.array(
    [
        [0.16009398, -0.094634809, 0.025146376, -0.0030648343],
        [0.53487893, 0.1298071, 0.065735949, -0.0015649758],
        [0.040121004, -0.0065914022, -0.0026286047, -0.0013441777],
    ]
)
_GAMMA_DENOMINATOR = np.array(
    [
        [1.0, 0.32668115, 0.10406089, 0.0014179084],
        [0.16639465, 0.020070113, -0.0035938915, -0.00058392623],
        [0.017050642, -0.0021309326, 0.00085092367, -1.5247877e-07],
    ]
)

# Powers of log(x), of log(shape / x), of log(total * x / shape), in this order of axes.
_DIRICHLET_NUMERATOR = np.array(
    [
        [
            [1.003668233, -0.01061107488, -0.0657888334, 0.01201642863],
            [0.6336835991, -0.3557432599, 0.05486251648, -0.001465281033],
            [-0.03276231906, 0.004474107445, 0.002429354597, -0.0001557569013],
        ],
        [
            [0.221950385, -0.3187676331, 0.01799915743, 0.01074823814],
            [-0.2951249643, 0.06219954479, 0.01535556598, 0.001550077057],
            [0.02155310298, 0.004170831599, 0.001292462449, 6.976601077e-05],
        ],
        [
            [-0.05980841433, 0.008441916499, 0.01085618172, 0.002319392565],
            [0.02911413504, 0.01400243777, -0.002721828457, 0.000751041181],
            [0.005900514878, -0.001936558688, -9.495446734e-06, 5.385558597e-05],
        ],
    ]
)
_DIRICHLET_DENOMINATOR = np.array(
    [
        [
            [1.0, -0.02924021934, -0.04438342661, 0.007285809825],
            [0.6357567472, -0.3473456711, 0.05454656494, -0.002407477521],
            [-0.03301322327, 0.004845219414, 0.00231480583, -0.0002307248149],
        ],
        [
            [0.5925320577, -0.1757678135, 0.01505928619, 0.0005645152729],
            [0.1014815858, -0.06589186703, 0.01272886114, -0.0007316646956],
            [-0.007258481865, 0.001096195486, 0.0003934994223, -4.12701925e-05],
        ],
        [
            [0.06469649321, -0.0236701437, 0.002902096474, -5.896963083e-05],
            [0.001925008107, -0.002869809258, 0.0008000589141, -6.063713228e-05],
            [-0.0003477407335, 6.959756485e-05, 1.097287507e-05, -1.650964693e-06],
        ],
    ]
)


def gamma_gradient(alpha: Tensor, sample: Tensor) -> Tensor:
    """d sample / d alpha for gamma numbers of rate 1.  Source: torch._standard_gamma_grad."""
    shape, x = _as_double(alpha, sample)
    with np.errstate(all="ignore"):
        rules = (
            (x < 0.8, _gamma_by_series),
            ((shape > 8.0) & (abs(x - shape) <= 0.1 * shape), _gamma_near_its_mean),
            (shape > 8.0, _gamma_by_saddle_point),
            (np.ones(x.shape, bool), _gamma_by_fit),
        )
        slopes = _by_first_rule(rules, shape, x)
    return tensor_from_numpy(slopes.astype(alpha.dtype.numpy), alpha.dtype)


def dirichlet_gradient(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor:
    """d x / d alpha for one part x of a Dirichlet number whose shapes sum to `total`.

    Source: torch._dirichlet_grad.
    """
    part, first, sums = _as_double(x, alpha, total)
    rest = sums - first
    spread = sums * part * (1.0 - part)
    with np.errstate(all="ignore"):
        rules = (
            ((part <= 0.5) & (spread < 2.5), _beta_near_zero),
            ((part >= 0.5) & (spread < 0.75), _beta_near_one),
            ((first > 6.0) & (rest > 6.0), _beta_of_large_shapes),
            (np.ones(part.shape, bool), _beta_by_fit),
        )
        slopes = _by_first_rule(rules, part, first, rest)
    return tensor_from_numpy(slopes.astype(x.dtype.numpy), x.dtype)


def _by_first_rule(rules: tuple, *operands: np.ndarray) -> np.ndarray:
    """Each element by the first rule whose condition holds."""
    found = np.zeros(operands[0].shape)
    is_open = np.ones(operands[0].shape, bool)
    for condition, rule in rules:
        chosen = condition & is_open
        if chosen.any():
            found[chosen] = rule(*(x[chosen] for x in operands))
        is_open &= ~chosen
    return found


def _gamma_by_series(shape: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Power series of the incomplete gamma function and of its derivative."""
    factor = np.ones_like(x)
    series = 1.0 / shape
    slope_series = 1.0 / (shape * shape)
    for term in range(1, 6):
        factor = factor * (-x / term)
        series = series + factor / (shape + term)
        slope_series = slope_series + factor / (shape + term) ** 2
    power = x**shape
    slope = (np.log(x) - digamma(shape)) * (power * series) - power * slope_series
    density = x ** (shape - 1.0) * np.exp(-x)
    return np.nan_to_num(-slope / density, nan=0.0, posinf=np.inf, neginf=-np.inf)


def _gamma_near_its_mean(shape: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The saddle point formula where it is 0 / 0: its Taylor polynomial."""
    first = 1.0 + 24.0 * shape * (1.0 + 12.0 * shape)
    second = (
        1440.0 * shape * shape
        + 6.0 * x * (53.0 - 120.0 * x)
        - 65.0 * x * x / shape
        + shape * (107.0 + 3600.0 * x)
    )
    return first * second / (1244160.0 * shape**4)


def _gamma_by_saddle_point(shape: np.ndarray, x: np.ndarray) -> np.ndarray:
    root = np.sqrt(8.0 * shape)
    distance = shape - x
    logarithm = np.log(x / shape)
    tail = (x - shape - shape * logarithm) ** -1.5
    both = root / distance - np.where(x < shape, tail, -tail)
    inner = logarithm * both - np.sqrt(2.0 / shape) * (shape + x) / distance**2
    stirling = 1.0 + 1.0 / (12.0 * shape) * (1.0 + 1.0 / (24.0 * shape))
    return -stirling * x * inner / root


def _gamma_by_fit(shape: np.ndarray, x: np.ndarray) -> np.ndarray:
    u, v = np.log(x / shape), np.log(shape)
    numerator = np.polynomial.polynomial.polyval2d(u, v, _GAMMA_NUMERATOR)
    return np.exp(numerator / np.polynomial.polynomial.polyval2d(u, v, _GAMMA_DENOMINATOR))


def _beta_near_zero(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Power series at x = 0."""
    offset = digamma(alpha) - digamma(alpha + beta) - np.log(x)
    factor = np.ones_like(x)
    series = factor / alpha * (offset + 1.0 / alpha)
    for term in range(1, 11):
        factor = factor * ((term - beta) * x / term)
        series = series + factor / (alpha + term) * (offset + 1.0 / (alpha + term))
    return _without_nan(x * (1.0 - x) ** -beta * series)


def _beta_near_one(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Power series at x = 1, for the derivative by the other shape."""
    y = 1.0 - x
    offset = digamma(alpha + beta) - digamma(alpha)
    factor = np.ones_like(x)
    falling = np.ones_like(x)  # (alpha - 1)(alpha - 2)…, and its derivative
    falling_slope = np.zeros_like(x)
    series = offset / beta
    for term in range(1, 9):
        factor = factor * (-y / term)
        falling_slope = falling_slope * (alpha - term) + falling
        falling = falling * (alpha - term)
        series = series + factor / (beta + term) * (falling_slope + offset * falling)
    return -_without_nan(-(x ** (1.0 - alpha)) * series)


def _without_nan(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), 0.0, values)


def _beta_of_large_shapes(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    total = alpha + beta
    mean = alpha / total
    band = 0.1 * np.sqrt(alpha * beta / (total + 1.0)) / total
    is_near = (mean - band <= x) & (x <= mean + band)
    return np.where(is_near, _beta_near_its_mean(x, alpha, beta), _beta_saddle(x, alpha, beta))


def _beta_near_its_mean(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The saddle point formula where it is 0 / 0: its Taylor polynomial, by powers of alpha."""
    total = alpha + beta
    y = 1.0 - x
    powers = (
        47.0 * x * beta**4,
        (43.0 + 20.0 * (16.0 + 27.0 * beta) * x) * beta**3,
        3.0 * (59.0 + 180.0 * beta - 90.0 * x) * beta**2,
        (453.0 + 1620.0 * beta * y - 455.0 * x) * beta,
        8.0 * y * (135.0 * beta - 11.0),
    )
    polynomial = sum(coefficient * alpha**power for power, coefficient in enumerate(powers))
    above = (1.0 + 12.0 * alpha) * (1.0 + 12.0 * beta) / (total * total)
    below = 12960.0 * alpha**3 * beta**2 * (1.0 + 12.0 * total)
    return above / y * polynomial / below


def _beta_saddle(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    total = alpha + beta
    y = 1.0 - x
    stirling = _stirling(alpha) * _stirling(beta) / _stirling(total)
    tilt = beta * x - alpha * y
    first = (-2.0 * alpha**2 * y - alpha * beta * y - x * beta**2) / (
        np.sqrt(2.0 * alpha / beta) * total**1.5 * tilt**2
    )
    logarithm = np.log(alpha / (total * x))
    divergence = beta * np.log(beta / (total * y)) + alpha * logarithm
    tail = np.where(x < alpha / total, 1.0, -1.0) * divergence**-1.5
    second = 0.5 * logarithm * (np.sqrt(8.0 * alpha * beta / total) / tilt + tail)
    return -stirling * x / np.sqrt(2.0 * alpha * beta / total) * (first + second)


def _stirling(x: np.ndarray) -> np.ndarray:
    return 1.0 + 1.0 / (12.0 * x) + 1.0 / (288.0 * x * x)


def _beta_by_fit(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    total = alpha + beta
    u = np.log(x)
    a = np.log(alpha) - u
    b = np.log(total) - a
    estimate = x * (digamma(total) - digamma(alpha)) / beta
    numerator = np.polynomial.polynomial.polyval3d(u, a, b, _DIRICHLET_NUMERATOR)
    denominator = np.polynomial.polynomial.polyval3d(u, a, b, _DIRICHLET_DENOMINATOR)
    return numerator / denominator * estimate
