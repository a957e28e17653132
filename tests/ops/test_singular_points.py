"""Values and gradients at the ends of domains, at infinities, in ties and at 0: PyTorch's answers.

Where PyTorch answers NaN this library may know better; only where PyTorch has a number (or an
infinity) must there be the same one.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import rushlight
from rushlight.nn import functional as ours

torch = pytest.importorskip("torch")
theirs = torch.nn.functional

INF, NAN = math.inf, math.nan
LINE = np.array(
    [-INF, -3e38, -1e30, -100, -20.5, -3, -1, -0.5, -1e-30, -0.0, 0.0, 1e-30, 0.5, 1, 3, 6, 20, 88,
     100, 1e30, 3e38, INF]
)  # fmt: skip
COARSE = np.array([-INF, -1e30, -2.0, -0.5, -0.0, 0.0, 1.0, 2.0, 1e30, INF])
FIRST, SECOND = (axis.ravel() for axis in np.meshgrid(COARSE, COARSE))
PROBABILITIES, LABELS = (
    axis.ravel() for axis in np.meshgrid([0, 1e-30, 1e-13, 1e-8, 0.3, 0.999, 1.0], [0.0, 0.25, 1.0])
)


def _answer(lib, functional, compute, arrays, dtype: str) -> list:
    """[value, gradients…] in float64."""
    operands = [lib.tensor(array).to(getattr(lib, dtype)).requires_grad_(True) for array in arrays]
    result = compute(lib, functional, *operands)
    result.sum().backward()
    found = [result.detach(), *(x.grad for x in operands)]
    return [None if x is None else x.to(lib.float64).numpy().copy() for x in found]


def agree(
    compute, *arrays, dtype: str = "float32", but=(), tolerance: float = 2e-5, judge: str = ""
) -> None:
    """Both libraries give the same value and gradients where PyTorch gives numbers.

    but: positions in [value, gradients…] that are not compared.  judge: the dtype that PyTorch
    computes in, if not the same.
    """
    expected = _answer(torch, theirs, compute, arrays, judge or dtype)
    found = _answer(rushlight, ours, compute, arrays, dtype)
    for place, (right, given) in enumerate(zip(expected, found)):
        if place in but or right is None:
            continue
        given = np.zeros_like(right) if given is None else given
        known = ~np.isnan(right)
        np.testing.assert_allclose(
            given[known], right[known], rtol=tolerance, atol=1e-6, err_msg=f"result {place}"
        )


ACTIVATIONS = (
    "relu relu6 hardtanh leaky_relu elu selu celu gelu silu mish softplus logsigmoid softsign "
    "tanhshrink softshrink hardshrink hardswish hardsigmoid tanh sigmoid"
).split()


# PyTorch's float32 code for AVX-512 is off by 1.3e-4 at -3 and gives infinity for 3e38.
_JUDGE = {("gelu", "float32"): "float64"}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, "float32") for name in ACTIVATIONS]
    + [(name, "float16") for name in ("elu", "gelu", "silu", "mish", "softplus", "logsigmoid")],
)
def test_activations_answer_as_pytorch_everywhere(name, dtype):
    agree(
        lambda lib, functional, x: getattr(functional, name)(x),
        LINE,
        dtype=dtype,
        tolerance=2e-5 if dtype == "float32" else 4e-3,
        judge=_JUDGE.get((name, dtype), ""),
    )


def test_elu_of_nan_passes_the_cotangent_on():
    x = rushlight.tensor([NAN], requires_grad=True)
    rushlight.where(x > 0, ours.elu(x), 0.0).sum().backward()
    assert x.grad.item() == 0.0


PAIRS = {
    name: (lambda lib, functional, x, y, name=name: getattr(lib, name)(x, y))
    for name in (
        "atan2 hypot fmod remainder logaddexp logaddexp2 copysign maximum minimum fmax fmin pow "
        "add sub mul true_divide"
    ).split()
} | {
    "div trunc": lambda lib, functional, x, y: lib.div(x, y, rounding_mode="trunc"),
    "div floor": lambda lib, functional, x, y: lib.div(x, y, rounding_mode="floor"),
    "lerp": lambda lib, functional, x, y: lib.lerp(x, y, 0.3),
    "huber_loss": lambda lib, functional, x, y: functional.huber_loss(x, y, reduction="none"),
    "smooth_l1_loss": lambda lib, functional, x, y: functional.smooth_l1_loss(
        x, y, reduction="none"
    ),
    "mse_loss": lambda lib, functional, x, y: functional.mse_loss(x, y, reduction="none"),
    "l1_loss": lambda lib, functional, x, y: functional.l1_loss(x, y, reduction="none"),
    "kl_div": lambda lib, functional, x, y: functional.kl_div(x, y.abs(), reduction="none"),
    "gaussian_nll_loss": lambda lib, functional, x, y: functional.gaussian_nll_loss(
        x, lib.ones_like(x), y.abs(), reduction="none"
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_two_operands_answer_as_pytorch_everywhere(name):
    agree(PAIRS[name], FIRST, SECOND)


@pytest.mark.parametrize("name", ["xlogy", "xlog1py"])
def test_products_with_a_logarithm_answer_as_pytorch_but_at_infinity(name):
    finite = SECOND != INF  # 0 * log(inf) is 0, its slope for the first operand open
    agree(
        lambda lib, functional, x, y: getattr(lib.special, name)(x, y),
        FIRST[finite],
        SECOND[finite],
    )


def test_maximum_beside_nan_gives_both_operands_the_cotangent():
    nan, one = np.array([NAN, 1.0]), np.array([1.0, NAN])
    agree(lambda lib, functional, x, y: lib.maximum(x, y), nan, one)
    agree(lambda lib, functional, x, y: lib.minimum(x, y), nan, one)


def test_acosh_below_its_domain_has_a_finite_slope():
    agree(lambda lib, functional, x: lib.acosh(x), np.array([-100.0, -2.0, 1.5, 100.0]))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_binary_cross_entropy_has_a_bounded_slope_at_0_and_1(dtype):
    agree(
        lambda lib, functional, x, y: functional.binary_cross_entropy(x, y, reduction="none"),
        PROBABILITIES,
        LABELS,
        dtype=dtype,
        but=(2,),  # the target's slope, that of the cut logarithms here
        tolerance=2e-2 if dtype == "bfloat16" else 2e-5,
    )


def test_a_saturated_probability_leaves_the_other_gradients_alone():
    x = rushlight.tensor([0.0, 0.25, 1.0], requires_grad=True)
    ours.binary_cross_entropy(x, rushlight.tensor([0.0, 1.0, 1.0])).backward()
    assert x.grad.tolist() == [0.0, pytest.approx(-4 / 3), 0.0]


def test_second_derivative_of_binary_cross_entropy_is_that_of_its_formula():
    x = rushlight.tensor([0.25], dtype=rushlight.float64, requires_grad=True)
    value = ours.binary_cross_entropy(x, rushlight.ones_like(x))
    (slope,) = rushlight.autograd.grad(value, x, create_graph=True)
    (curvature,) = rushlight.autograd.grad(slope.sum(), x)
    assert curvature.item() == pytest.approx(16.0)


@pytest.mark.parametrize("target", [0.0, 0.25, 1.0])
def test_losses_of_logits_answer_as_pytorch_everywhere(target):
    for loss in ("binary_cross_entropy_with_logits", "poisson_nll_loss", "soft_margin_loss"):
        agree(
            lambda lib, functional, x, loss=loss: getattr(functional, loss)(
                x, lib.full_like(x, target), reduction="none"
            ),
            LINE,
        )


@pytest.mark.parametrize("target", [-1.0, 1.0])
def test_margins_count_where_they_are_just_met(target):
    agree(
        lambda lib, functional, x: functional.hinge_embedding_loss(
            x, lib.full_like(x, target), reduction="none"
        ),
        LINE,
    )
    finite = np.isfinite(FIRST) & np.isfinite(SECOND)
    agree(
        lambda lib, functional, x, y: functional.margin_ranking_loss(
            x, y, lib.full_like(x, target), reduction="none"
        ),
        FIRST[finite],
        SECOND[finite],
    )
    agree(
        lambda lib, functional, x, y: functional.cosine_embedding_loss(
            lib.stack([x, y], -1), lib.stack([y, -x], -1), lib.full_like(x, target)
        ),
        np.array([1.0, 0.5, 0.0]),
        np.array([1.0, 2.0, 0.0]),
    )


ZERO, SHORT, MIXED = (
    np.zeros((3, 4)),
    np.eye(3, 4),
    np.array([[1, 1, 1, 1], [-1, 2, -2, 2], [0, 0, 5, -5.0]]),
)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("order", [1.0, 2.0, 3.0])
def test_triplets_at_the_same_place_have_gradients(order, dtype):
    for eps, swap in ((1e-6, False), (0.0, False), (0.0, True)):
        agree(
            lambda lib, functional, x, y, z, eps=eps, swap=swap: functional.triplet_margin_loss(
                x, y, z, p=order, eps=eps, swap=swap, reduction="none"
            ),
            ZERO,
            ZERO,
            SHORT,
            dtype=dtype,
            tolerance=4e-3,
        )


@pytest.mark.parametrize("order", [0.0, 0.5, 1.0, 2.0, 3.0, INF])
def test_distances_of_equal_and_tied_points_answer_as_pytorch(order):
    for x, y in ((ZERO, ZERO), (ZERO, MIXED), (MIXED, MIXED[::-1].copy())):
        agree(lambda lib, functional, x, y: lib.cdist(x, y, order), x, y)
        agree(lambda lib, functional, x, y: functional.pairwise_distance(x, y, order), x, y)
        if order:
            agree(lambda lib, functional, x, y: lib.dist(x, y, order), x, y)
    for x in (ZERO, MIXED):
        agree(lambda lib, functional, x: functional.pdist(x, order), x)
        agree(lambda lib, functional, x: lib.linalg.vector_norm(x, order, dim=-1), x)


@pytest.mark.parametrize("order", [-INF, -1.0, -2.0])
def test_norms_of_negative_order_answer_as_pytorch(order):
    agree(lambda lib, functional, x, y: functional.pairwise_distance(x, y, order), ZERO, MIXED)
    agree(lambda lib, functional, x: lib.linalg.vector_norm(x, order, dim=-1), MIXED)


TIED = np.array(
    [[1.0, 1, 1], [2, 2, 1], [0, 0, 0], [-INF, -INF, -INF], [INF, INF, 1], [0, -0.0, 0]]
)


@pytest.mark.parametrize("name", ["amax", "amin", "max", "min", "median", "nanmedian"])
def test_equal_extrema_share_the_cotangent_as_in_pytorch(name):
    agree(lambda lib, functional, x: getattr(lib, name)(x) * 2, TIED)
    agree(lambda lib, functional, x: getattr(lib, name)(x) * 2, np.array([1.0, 1, 3, 1, 3]))
    if name.startswith("a"):
        for axes in (0, 1, (0, 1)):
            agree(lambda lib, functional, x, axes=axes: getattr(lib, name)(x, axes) * 2, TIED)
    elif "median" not in name:
        agree(lambda lib, functional, x: getattr(lib, name)(x, 1)[0] * 2, TIED)


def test_aminmax_shares_between_ties_as_in_pytorch():
    agree(lambda lib, functional, x: lib.stack(list(lib.aminmax(x))) * 2, TIED)
    agree(lambda lib, functional, x: sum(lib.aminmax(x, dim=1)), TIED)


@pytest.mark.filterwarnings("ignore:index_reduce:UserWarning")
@pytest.mark.parametrize("reduce", ["amax", "amin"])
@pytest.mark.parametrize("include_self", [True, False])
def test_ties_in_a_reducing_write_share_as_in_pytorch(reduce, include_self):
    index = [0, 0, 1, 1]

    def compute(write):
        def weighted(lib, functional, x, source):
            written = getattr(x, write)(
                0, lib.tensor(index), source, reduce, include_self=include_self
            )
            return written * lib.tensor([1.0, 2.0, 4.0])

        return weighted

    for old, source in (
        ([2.0, 2, 2], [2.0, 2, 2, 2]), ([5.0, 5, 5], [1.0, 2, 2, 2]), ([1.0, 2, 3], [1.0, 1, 2, 3]),
        ([0.0, 0, 0], [0.0, 0, 0, 1]), ([-INF, INF, 2], [-INF, -INF, INF, INF]),
    ):  # fmt: skip
        for write in ("scatter_reduce", "index_reduce"):
            agree(compute(write), np.array(old), np.array(source))


# Forward only: PyTorch's backward reads outside the image for some of these.
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample_at_no_place_answers_as_pytorch(padding):
    image = np.random.RandomState(0).randn(1, 2, 3, 3)
    volume = np.random.RandomState(1).randn(1, 2, 3, 3, 3)
    for pixels, modes in ((image, ("bilinear", "nearest", "bicubic")), (volume, ("bilinear",))):
        rank = pixels.ndim - 2
        grid = np.full((1,) * rank + (4, rank), 0.3)
        for place, beside in enumerate((NAN, INF, -INF)):
            grid[..., place, 0] = beside
        for mode in modes:
            for corners in (True, False):
                found = [
                    functional.grid_sample(
                        lib.tensor(pixels), lib.tensor(grid), mode, padding, align_corners=corners
                    ).numpy()
                    for lib, functional in ((torch, theirs), (rushlight, ours))
                ]
                np.testing.assert_allclose(found[1], found[0], rtol=1e-6, atol=1e-9)


def test_backward_from_a_place_that_is_nan_reaches_the_image():
    image = rushlight.ones(1, 1, 3, 3, requires_grad=True)
    grid = rushlight.tensor([[[[NAN, 0.1]]]], requires_grad=True)
    ours.grid_sample(image, grid, padding_mode="border", align_corners=True).sum().backward()
    assert image.grad.sum().item() == pytest.approx(1.0)
    assert grid.grad.isfinite().all()


ROWS = np.array(
    [[0, 0, 0.0], [1, 2, 3], [-INF, 0, 1], [INF, 0, 1], [-INF, -INF, -INF], [1e30, -1e30, 0]]
)


def test_log_softmax_and_cross_entropy_at_infinite_scores_answer_as_pytorch():
    for column in range(3):
        agree(lambda lib, functional, x, c=column: lib.log_softmax(x, -1)[:, c], ROWS)
        agree(lambda lib, functional, x, c=column: lib.softmax(x, -1)[:, c], ROWS)
        for smoothing in (0.0, 0.1):
            agree(
                lambda lib, functional, x, c=column, s=smoothing: functional.cross_entropy(
                    x, lib.full((len(ROWS),), c), reduction="none", label_smoothing=s
                ),
                ROWS,
            )


def test_extrema_that_are_nan_give_the_nan_elements_the_cotangent():
    scattered = np.array([[1, NAN, 3], [NAN, NAN, 1], [1.0, 2, 3]])
    for name in ("max", "min", "median", "nanmedian"):
        agree(lambda lib, functional, x, name=name: getattr(lib, name)(x) * 6, scattered)
        agree(lambda lib, functional, x, name=name: getattr(lib, name)(x, 1)[0], scattered)
    x = rushlight.tensor(scattered, requires_grad=True)
    rushlight.amax(x, 1).sum().backward()  # NaN everywhere in PyTorch
    assert x.grad.tolist() == [[0, 1, 0], [0.5, 0.5, 0], [0, 0, 1]]


@pytest.mark.parametrize("causal", [False, True])
def test_a_query_that_scores_every_key_minus_infinity_attends_to_nothing(causal):
    query, value = np.array([[[[1.0, 1.0]]]]), np.array([[[[3.0, 4.0], [5.0, 6.0]]]])
    key = np.array([[[[-INF, 1.0], [-INF, 2.0]]]])
    agree(
        lambda lib, functional, q, k, v: functional.scaled_dot_product_attention(
            q, k, v, is_causal=causal
        ),
        query,
        key,
        value,
    )


def test_what_a_strided_write_replaces_has_no_gradient():
    """PyTorch gives it to the replaced elements, and none to the others."""
    x = rushlight.zeros(3, 3, requires_grad=True)
    source = rushlight.ones(2, 2, requires_grad=True)
    written = rushlight.as_strided_scatter(x, source, (2, 2), (1, 2))
    (written * rushlight.arange(1.0, 10.0).reshape(3, 3)).sum().backward()
    assert x.grad.flatten().tolist() == [0, 0, 0, 0, 5, 6, 7, 8, 9]
    assert source.grad.tolist() == [[1, 3], [2, 4]]


# ---- special functions ---------------------------------------------------------------------------

SPREAD = np.array(
    [-INF, -1e30, -1000, -100, -89, -30, -9.5, -1, -0.0, 0.0, 1e-30, 0.5, 1, 2, 3, 9.5, 30, 89,
     100, 1000, 1e10, 1e30, INF]
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, dtype) for name in ("i0", "i1", "erfcx", "entr") for dtype in ("float32", "float64")],
)
def test_special_functions_answer_as_pytorch_where_they_overflow(name, dtype):
    x = SPREAD
    if name == "erfcx":  # far out PyTorch's slope is the difference of two equal terms
        x = x[x < 3]
    if name == "entr":  # at infinity x / x
        x = x[x < INF]
    agree(lambda lib, functional, x: getattr(lib.special, name)(x), x, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("scaled", ["", "scaled_"])
def test_bessels_k_answers_as_pytorch_to_infinity(scaled, order, dtype):
    name = f"{scaled}modified_bessel_k{order}"
    found, expected = (
        getattr(lib.special, name)(lib.tensor(SPREAD, dtype=getattr(lib, dtype))).numpy()
        for lib in (rushlight, torch)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ndtri_reaches_the_smallest_probabilities(dtype):
    x = np.array([0, 1e-44, 1e-40, 1e-30, 1e-20, 1e-14, 1e-10, 1e-8, 1e-3, 0.13, 0.14, 0.5, 0.9, 1])
    if dtype == "float64":
        x = np.append(x, [5e-324, 1e-300, 1e-100])
    agree(lambda lib, functional, x: lib.special.ndtri(x), x, dtype=dtype)


def test_ndtri_has_a_second_derivative_in_the_tail():
    x = rushlight.tensor([1e-12, 1e-40], dtype=rushlight.float64, requires_grad=True)
    found = rushlight.special.ndtri(x)
    (slope,) = rushlight.autograd.grad(found.sum(), x, create_graph=True)
    (bend,) = rushlight.autograd.grad(slope.sum(), x)
    # Of the inverse of a function with density phi: 1 / phi and found / phi squared.
    np.testing.assert_allclose(bend.numpy(), (found * slope * slope).detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e30), ("float64", 1e200)])
def test_rows_whose_variance_overflows_are_not_zeros(dtype, size):
    """PyTorch answers NaN; the rows beside them are what they were."""
    row = rushlight.tensor([1.0, 2.0, 3.0, 4.0], dtype=getattr(rushlight, dtype))
    x = rushlight.stack([row * size, row])
    theirs = torch.from_numpy(x.numpy())
    found = ours.layer_norm(x, (4,)), ours.group_norm(x, 1)
    expected = (
        torch.nn.functional.layer_norm(theirs, (4,)),
        torch.nn.functional.group_norm(theirs, 1),
    )
    for mine, other in zip(found, expected):
        assert mine[0].isnan().all() and other[0].isnan().all()
        np.testing.assert_allclose(mine[1].numpy(), other[1].numpy(), rtol=1e-5)
