"""Special functions composed of primitives: gamma and error functions' relatives, Bessel's I, zeta.

Each states the formula it uses.  Orthogonal polynomials are in `polynomials.py`.  Level 11.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rushlight.ops.binary import product_with_log
from rushlight.ops.formats import in_rows, resulting
from rushlight.ops.promotion import as_inexact, promote, refuse, to_dtype, widened
from rushlight.ops.spelling import attach_method, spelled
from rushlight.primitives import elementwise as e
from rushlight.tensor.tensor import Tensor


def _times(x: Tensor, factor: float) -> Tensor:
    return e.mul(x, x._scalar(factor))


def _plus(x: Tensor, term: float) -> Tensor:
    return e.add(x, x._scalar(term))


def _real(name: str, x) -> Tensor:
    found = as_inexact(name, x)
    refuse(name, found, complex_=True)
    return found


def _rounded_once(name: str, x, body: Callable[[Tensor], Tensor]) -> Tensor:
    """body(x), of 16-bit floats in float32 and rounded once, as PyTorch's kernels do."""
    x = _real(name, x)
    return to_dtype(body(widened(x)), x._node.dtype)


# ---- gamma ---------------------------------------------------------------------------------------


@spelled(out=True)
def polygamma(n, input) -> Tensor:
    """The n-th derivative of digamma.  Raises: RuntimeError for a negative n.

    Source: torch.polygamma.

    >>> import rushlight as rl
    >>> rl.special.polygamma(1, rl.tensor([0.5, 1.0, 2.0]))
    tensor([4.9348, 1.6449, 0.6449])
    """
    x = _real("polygamma", input)
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return e.digamma(x) if n == 0 else e.polygamma(x, int(n))


@attach_method("polygamma")
def _polygamma_method(self, n) -> Tensor:
    """The n-th derivative of digamma."""
    return polygamma(n, self)


@attach_method("polygamma_")
def _polygamma_in_place(self, n) -> Tensor:
    """The n-th derivative of digamma, in place."""
    return self.copy_(polygamma(n, self.clone()))


@spelled(method=True, inplace=True, out=True)
@resulting(in_rows)
def mvlgamma(input, p: int) -> Tensor:
    """Logarithm of the multivariate gamma function of dimension p.

    p (p - 1) / 4 log(pi) + the sum of lgamma(x - i / 2).  Source: torch.mvlgamma.

    >>> import rushlight as rl
    >>> rl.special.multigammaln(rl.tensor([2.0, 3.0]), 2)
    tensor([0.4516, 1.5502])
    """
    x = _real("mvlgamma", input)
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    total = e.lgamma(x)
    for i in range(1, p):
        total = e.add(total, e.lgamma(_plus(x, -i / 2)))
    return _plus(total, p * (p - 1) / 4 * math.log(math.pi))


def _incomplete(name: str, primitive, what: str):
    def compute(input, other) -> Tensor:
        a, x = promote(name, input, other, floating=True)
        refuse(name, a, complex_=True)
        return primitive(a, x)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = (
        f"Regularised {what} incomplete gamma function of order `input` at `other`.  "
        f"Source: torch.{name}."
    )
    return spelled(method=True, inplace=True, out=True)(compute)


igamma = _incomplete("igamma", e.igamma, "lower")
igammac = _incomplete("igammac", e.igammac, "upper")

_ZETA_TERMS = 24
# B(2k) / (2k)! of the Euler-Maclaurin sum.
_EULER_MACLAURIN = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000,
    1 / 74724249600,
)  # fmt: skip


def zeta(input, other) -> Tensor:
    """Hurwitz's zeta function: the sum over k >= 0 of (k + other) ** -input.

    24 terms, the rest by Euler-Maclaurin; negative `other` below -24 loses digits.
    Source: torch.special.zeta.

    >>> import rushlight as rl
    >>> rl.special.zeta(rl.tensor([2.0, 3.0]), rl.tensor([1.0, 1.0]))
    tensor([1.6449, 1.2021])
    """
    s, q = promote("zeta", input, other, floating=True)
    refuse("zeta", s, complex_=True)
    exponent = e.neg(s)
    total = e.power(q, exponent)
    for k in range(1, _ZETA_TERMS):
        total = e.add(total, e.power(_plus(q, k), exponent))
    start = _plus(q, _ZETA_TERMS)
    power = e.power(start, exponent)
    tail = e.add(e.div(e.mul(power, start), _plus(s, -1)), _times(power, 0.5))
    rising = s
    power = e.div(power, start)
    square = e.mul(start, start)
    for k, coefficient in enumerate(_EULER_MACLAURIN):
        tail = e.add(tail, _times(e.mul(rising, power), coefficient))
        rising = e.mul(rising, e.mul(_plus(s, 2 * k + 1), _plus(s, 2 * k + 2)))
        power = e.div(power, square)
    found = e.add(total, tail)
    nan, infinity = s._scalar(math.nan), s._scalar(math.inf)
    pole = e.bitwise_and(e.le(q, q._scalar(0.0)), e.eq(q, e.floor(q)))
    undefined = e.bitwise_and(e.lt(q, q._scalar(0.0)), e.ne(s, e.floor(s)))
    found = e.where(pole, infinity, e.where(undefined, nan, found))
    one = s._scalar(1.0)
    return e.where(e.eq(s, one), infinity, e.where(e.lt(s, one), nan, found))


# ---- error function ------------------------------------------------------------------------------


def entr(input) -> Tensor:
    """-x log(x), 0 with an infinite slope at 0, -inf below.  Source: torch.special.entr.

    >>> import rushlight as rl
    >>> rl.special.entr(rl.tensor([0.5, 1.0, 2.0]))
    tensor([ 0.3466, -0.0000, -1.3863])
    """
    x = _real("entr", input)
    zero = x._scalar(0.0)
    positive = e.gt(x, zero)
    safe = e.where(positive, x, x._scalar(1.0))
    # A cube root has value and slope of the end point, of 0 with either sign.
    end = e.power(e.where(e.eq(x, zero), x, x._scalar(1.0)), x._scalar(1 / 3))
    found = e.where(positive, e.neg(e.mul(safe, e.log(safe))), end)
    found = e.where(e.lt(x, zero), x._scalar(-math.inf), found)
    return e.where(e.ne(x, x), x, found)


def ndtr(input) -> Tensor:
    """Distribution function of the normal distribution.  Source: torch.special.ndtr.

    >>> import rushlight as rl
    >>> rl.special.ndtr(rl.tensor([0.5, 1.0, 2.0]))
    tensor([0.6915, 0.8413, 0.9772])
    """
    return _rounded_once("ndtr", input, lambda x: _times(e.erfc(_times(x, -math.sqrt(0.5))), 0.5))


# Chebyshev coefficients, computed with 50 digits by Newton's method at 40 nodes: of
# r (r - log(r) / r + ndtri(exp(-r² / 2))) in 1 / r, for r from 2 to 8 and from 8 to 40.
_NDTRI_NEAR = (
    1.0323738340148971, 0.07255464837448264, -0.001044276659135336, -0.00011057060922319904,
    5.264914442301038e-05, -1.6126373143885156e-05, 4.24074817680432e-06, -1.035141917428997e-06,
    2.464825866558015e-07, -5.918235741573259e-08, 1.4585713938895267e-08, -3.706647235699129e-09,
    9.67966568445924e-10, -2.5822724711374293e-10, 7.002080033211766e-11, -1.923711457746276e-11,
    5.3451947625850664e-12, -1.5005386530215092e-12, 4.2525805368601176e-13,
    -1.2157759092208812e-13, 3.503610653766156e-14, -1.016977628033468e-14, 2.9712387491616964e-15,
    -8.732286753112015e-16, 2.580205353005128e-16, -7.661633112480505e-17,
)  # fmt: skip
_NDTRI_FAR = (
    0.9403940828842694, 0.01797714885093382, 0.0007204861229618141, -0.00015515924440180946,
    2.766990183752755e-05, -5.2871863320761524e-06, 1.1257975486215228e-06, -2.63130441947549e-07,
    6.598571696792872e-08, -1.7454474989197393e-08, 4.813437226308787e-09, -1.3723843993819895e-09,
    4.020765183199371e-10, -1.2049092786599042e-10, 3.680244733303348e-11, -1.1425423829283465e-11,
    3.5973396421448492e-12, -1.1466389375188485e-12, 3.694619836156521e-13, -1.2019329832370284e-13,
    3.943780055458432e-14, -1.3040352009872962e-14, 4.341972684971494e-15, -1.4548813696997355e-15,
    4.903082054921721e-16, -1.6611190668679537e-16, 5.655056658682269e-17,
)  # fmt: skip
_NDTRI_TAIL = math.exp(-2.0)  # below it r is greater than 2


def ndtri(input) -> Tensor:
    """Inverse of ndtr.  In the lower tail r = sqrt(-2 log x) less log(r) / r and a series in 1 / r.

    Source: torch.special.ndtri.

    >>> import rushlight as rl
    >>> rl.special.ndtri(rl.tensor([0.25, 0.5]))
    tensor([-0.6745,  0.0000])
    """
    x = _real("ndtri", input)
    zero = e.eq(x, x._scalar(0.0))
    tail = e.bitwise_and(e.gt(x, x._scalar(0.0)), e.lt(x, x._scalar(_NDTRI_TAIL)))
    body = e.where(e.bitwise_or(tail, zero), x._scalar(0.5), x)
    middle = _times(e.erfinv(_plus(_times(body, 2.0), -1.0)), math.sqrt(2.0))
    r = e.sqrt(_times(e.log(e.where(tail, x, x._scalar(_NDTRI_TAIL))), -2.0))
    far = e.gt(r, r._scalar(8.0))
    z = e.reciprocal(r)
    near = chebyshev_sum(_place(e.where(far, z._scalar(0.5), z), 1 / 8, 1 / 2), _NDTRI_NEAR)
    distant = chebyshev_sum(_place(e.where(far, z, z._scalar(1 / 8)), 1 / 40, 1 / 8), _NDTRI_FAR)
    series = e.where(far, distant, near)
    low = e.sub(e.mul(e.add(e.log(r), series), z), r)
    # The logarithm of 0 has value and slope of the end point.
    end = e.log(e.where(zero, x, x._scalar(1.0)))
    return e.where(zero, end, e.where(tail, low, middle))


def _place(x: Tensor, start: float, stop: float) -> Tensor:
    """x of [start, stop] on [-1, 1]."""
    return _plus(_times(x, 2 / (stop - start)), -(stop + start) / (stop - start))


def log_ndtr(input) -> Tensor:
    """log(ndtr(x)), accurate in both tails.  Source: torch.special.log_ndtr.

    >>> import rushlight as rl
    >>> rl.special.log_ndtr(rl.tensor([0.5, 1.0, 2.0]))
    tensor([-0.3689, -0.1728, -0.0230])
    """
    x = _real("log_ndtr", input)
    scaled = _times(x, math.sqrt(0.5))
    low = e.lt(x, x._scalar(-1.0))
    below = e.where(low, scaled, scaled._scalar(-1.0))
    above = e.where(low, scaled._scalar(0.0), scaled)
    tail = e.sub(e.log(_times(erfcx(e.neg(below)), 0.5)), e.mul(below, below))
    body = e.log1p(_times(e.erfc(above), -0.5))
    return e.where(low, tail, body)


# Where exp(x**2) * erfc(x) gives way to the asymptotic series, whose 16th term is then 1e-16.
_ERFCX_FAR = 8.0


def erfcx(input) -> Tensor:
    """exp(x**2) * erfc(x).  Far out 1 / (x sqrt(pi)) times 1 - 1/(2x²) + 3/(2x²)² - …

    Source: torch.special.erfcx.

    >>> import rushlight as rl
    >>> rl.special.erfcx(rl.tensor([0.5, 1.0, 2.0]))
    tensor([0.6157, 0.4276, 0.2554])
    """
    x = _real("erfcx", input)
    far = e.gt(x, x._scalar(_ERFCX_FAR))
    near = e.where(far, x._scalar(0.0), x)
    growth = e.exp(e.mul(near, near))
    body = _overflowing(growth, lambda z: e.mul(e.exp(e.mul(z, z)), e.erfc(z)), near)
    distant = e.where(far, x, x._scalar(_ERFCX_FAR))
    step = e.div(distant._scalar(-0.5), e.mul(distant, distant))
    series = distant._scalar(1.0)
    for k in range(16, 0, -1):
        series = _plus(_times(e.mul(series, step), 2 * k - 1), 1.0)
    tail = _times(e.div(series, distant), 1 / math.sqrt(math.pi))
    return e.where(far, tail, body)


def _overflowing(growth: Tensor, body, x: Tensor) -> Tensor:
    """body(x), or `growth` where that is infinite: with its slope, while the factors of the body
    are then infinity and 0, which have none.
    """
    infinite = e.eq(growth, growth._scalar(math.inf))
    return e.where(infinite, growth, body(e.where(infinite, x._scalar(0.0), x)))


def xlog1py(input, other) -> Tensor:
    """input * log1p(other), 0 where input is 0.  Source: torch.special.xlog1py.

    >>> import rushlight as rl
    >>> rl.special.xlog1py(rl.tensor([0.5, 1.0, 2.0]), rl.tensor([2.0, 1.0, 0.5]))
    tensor([0.5493, 0.6931, 0.8109])
    """
    return product_with_log("xlog1py", input, other, e.log1p, -1.0)


# ---- Bessel's I ----------------------------------------------------------------------------------

# Chebyshev coefficients, computed with 60 digits from the power series at 40 nodes: of
# exp(-x) I0(x) and exp(-x) I1(x) / x in x / 4 - 1 on [0, 8], and of exp(-x) sqrt(x) I(x) in
# 16 / x - 1 beyond.
_I0_NEAR = (
    0.33839763720473803, -0.30468267234319835, 0.17162090152220874, -0.09490109704804757,
    0.049305284239670615, -0.02373741480589936, 0.010546460394594892, -0.004324309995050557,
    0.0016394756169412772, -0.000576375574538357, 0.00018850288509606462, -5.754195010060359e-05,
    1.6448448070760514e-05, -4.416738358581363e-06, 1.1173875390790844e-06, -2.670793846526465e-07,
    6.046995024988622e-08, -1.3000250276284931e-08, 2.659822861961203e-09, -5.189788376824822e-10,
    9.675837353562145e-11, -1.7268830769809044e-11, 2.954936295651578e-12, -4.858891067271998e-13,
    7.622513731320169e-14, -1.1640688413194767e-14, 1.5321077739827161e-15,
)  # fmt: skip
_I1_NEAR = (
    0.12629359322181682, -0.17641651835783403, 0.10264365868984707, -0.05294598120809494,
    0.024726449030626475, -0.010564084894626164, 0.004156422944312849, -0.0015135724506312343,
    0.0005122859561685456, -0.0001617608158258066, 4.7815651075616694e-05, -1.327316365591913e-05,
    3.470251308124173e-06, -8.568720265333951e-07, 2.0032947532777623e-07, -4.4450590938605044e-08,
    9.381537408037488e-09, -1.887249834187088e-09, 3.6255858870681836e-10, -6.663457285949193e-11,
    1.1736300820075486e-11, -1.984251651876434e-12, 3.2231439739405233e-13, -5.0523474293129316e-14,
    7.3524519805801e-15, -1.0519363158323358e-15,
)  # fmt: skip
_I0_FAR = (
    0.40224520550705445, 0.003369116478255735, 6.889758346913938e-05, 2.8913705208799548e-06,
    2.0489185891779672e-07, 2.2666689991623914e-08, 3.3962319987562717e-09, 4.940602149616779e-10,
    1.1889124754138615e-11, -3.1499114427901985e-11, -1.3215739613769984e-11,
    -1.794120407794253e-12, 7.181904376762916e-13, 3.851696739332056e-13, 1.54005280750269e-14,
    -4.107825191113079e-14, -9.642980858259876e-15, 3.774758283725532e-15, 1.4259426972529354e-15,
)  # fmt: skip
_I1_FAR = (
    0.38928811750914005, -0.009761097491361432, -0.00011058893876264992, -3.882564808838085e-06,
    -2.512236238174509e-07, -2.6314688383877185e-08, -3.835380418468204e-09,
    -5.589743778955381e-10, -1.897498234926243e-11, 3.2526070725680255e-11, 1.4125900449357687e-11,
    2.0356605290317023e-12, -7.197086676624665e-13, -4.084510507595951e-13, -2.1015134077373434e-14,
    4.3146042294495146e-14, 1.0336176359260208e-14, -3.8524738954492935e-15,
    -2.228772721935002e-15,
)  # fmt: skip


def chebyshev_sum(t: Tensor, coefficients) -> Tensor:
    """The sum of coefficients times Chebyshev polynomials of t, by Clenshaw's recurrence."""
    twice = _times(t, 2.0)
    later, last = t._scalar(0.0), t._scalar(0.0)
    for coefficient in reversed(coefficients[1:]):
        later, last = _plus(e.sub(e.mul(twice, later), last), coefficient), later
    return _plus(e.sub(e.mul(t, later), last), coefficients[0])


def _scaled_bessel(size: Tensor, near, far) -> tuple[Tensor, Tensor, Tensor]:
    """(x > 8, exp(-x) I(x) up to 8 without I1's factor x, the same beyond) of x >= 0."""
    beyond = e.gt(size, size._scalar(8.0))
    inside = e.where(beyond, size._scalar(0.0), size)
    outside = e.where(beyond, size, size._scalar(8.0))
    first = chebyshev_sum(_plus(_times(inside, 0.25), -1.0), near)
    position = _plus(e.div(outside._scalar(16.0), outside), -1.0)
    return beyond, first, e.mul(chebyshev_sum(position, far), e.rsqrt(outside))


def i0e(input) -> Tensor:
    """exp(-|x|) I0(x).  Source: torch.special.i0e.

    >>> import rushlight as rl
    >>> rl.special.i0e(rl.tensor([0.5, 1.0, 2.0]))
    tensor([0.6450, 0.4658, 0.3085])
    """
    return _rounded_once("i0e", input, _i0e)


def _i0e(x: Tensor) -> Tensor:
    beyond, near, far = _scaled_bessel(e.absolute(x), _I0_NEAR, _I0_FAR)
    return e.where(beyond, far, near)


def i1e(input) -> Tensor:
    """exp(-|x|) I1(x).  Source: torch.special.i1e.

    >>> import rushlight as rl
    >>> rl.special.i1e(rl.tensor([0.5, 1.0, 2.0]))
    tensor([0.1564, 0.2079, 0.2153])
    """
    return _rounded_once("i1e", input, _i1e)


def _i1e(x: Tensor) -> Tensor:
    beyond, near, far = _scaled_bessel(e.absolute(x), _I1_NEAR, _I1_FAR)
    return e.where(beyond, e.mul(far, e.sign(x)), e.mul(near, x))


@spelled(method=True, inplace=True, out=True)
def i0(input) -> Tensor:
    """Modified Bessel function of the first kind of order 0.  Source: torch.i0.

    >>> import rushlight as rl
    >>> rl.special.modified_bessel_i0(rl.tensor([0.5, 1.0, 2.0]))
    tensor([1.0635, 1.2661, 2.2796])
    """
    return _rounded_once("i0", input, _i0)


def _i0(x: Tensor) -> Tensor:
    growth = e.exp(e.absolute(x))
    return _overflowing(growth, lambda z: e.mul(e.exp(e.absolute(z)), _i0e(z)), x)


def i1(input) -> Tensor:
    """Modified Bessel function of the first kind of order 1.  Source: torch.special.i1.

    >>> import rushlight as rl
    >>> rl.special.modified_bessel_i1(rl.tensor([0.5, 1.0, 2.0]))
    tensor([0.2579, 0.5652, 1.5906])
    """
    return _rounded_once("i1", input, _i1)


def _i1(x: Tensor) -> Tensor:
    growth = e.exp(e.absolute(x))
    infinite = e.eq(growth, growth._scalar(math.inf))
    safe = e.where(infinite, x._scalar(0.0), x)
    body = e.mul(e.exp(e.absolute(safe)), _i1e(safe))
    return e.where(infinite, e.mul(growth, e.sign(x)), body)


def spherical_bessel_j0(input) -> Tensor:
    """sin(x) / x, 1 at 0, 0 at infinity.  Source: torch.special.spherical_bessel_j0.

    >>> import rushlight as rl
    >>> rl.special.spherical_bessel_j0(rl.tensor([0.5, 1.0, 2.0]))
    tensor([0.9589, 0.8415, 0.4546])
    """
    x = _real("spherical_bessel_j0", input)
    zero = e.eq(x, x._scalar(0.0))
    infinite = e.eq(e.absolute(x), x._scalar(math.inf))
    safe = e.where(e.bitwise_or(zero, infinite), x._scalar(1.0), x)
    found = e.where(zero, x._scalar(1.0), e.div(e.sin(safe), safe))
    return e.where(infinite, x._scalar(0.0), found)
