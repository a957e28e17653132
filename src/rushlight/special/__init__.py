"""PyTorch's `torch.special`: names for the spellings of `ops`; computes nothing.  Level 12."""

from rushlight.ops import (
    activation,
    airy,
    bessel,
    binary,
    complex,
    pointwise,
    polynomials,
    reduction,
    special,
)
from rushlight.ops.spelling import with_out as _with_out

digamma = psi = pointwise.digamma
erf = pointwise.erf
erfc = pointwise.erfc
erfinv = pointwise.erfinv
exp2 = pointwise.exp2
expit = pointwise.sigmoid
expm1 = pointwise.expm1
gammainc = special.igamma
gammaincc = special.igammac
gammaln = pointwise.lgamma
i0 = special.i0
log1p = pointwise.log1p
log_softmax = activation.log_softmax_of_top
logit = pointwise.logit
logsumexp = reduction.logsumexp
multigammaln = special.mvlgamma
polygamma = special.polygamma
round = pointwise.round  # noqa: A001 - PyTorch's name
sinc = complex.sinc
softmax = activation.softmax_of_top
xlogy = binary.xlogy

entr = _with_out(special.entr)
erfcx = _with_out(special.erfcx)
i0e = _with_out(special.i0e)
i1 = _with_out(special.i1)
i1e = _with_out(special.i1e)
log_ndtr = _with_out(special.log_ndtr)
modified_bessel_i0 = _with_out(special.i0)
modified_bessel_i1 = _with_out(special.i1)
ndtr = _with_out(special.ndtr)
ndtri = _with_out(special.ndtri)
spherical_bessel_j0 = _with_out(special.spherical_bessel_j0)
xlog1py = _with_out(special.xlog1py)
zeta = _with_out(special.zeta)

chebyshev_polynomial_t = _with_out(polynomials.chebyshev_polynomial_t)
chebyshev_polynomial_u = _with_out(polynomials.chebyshev_polynomial_u)
chebyshev_polynomial_v = _with_out(polynomials.chebyshev_polynomial_v)
chebyshev_polynomial_w = _with_out(polynomials.chebyshev_polynomial_w)
hermite_polynomial_h = _with_out(polynomials.hermite_polynomial_h)
hermite_polynomial_he = _with_out(polynomials.hermite_polynomial_he)
laguerre_polynomial_l = _with_out(polynomials.laguerre_polynomial_l)
legendre_polynomial_p = _with_out(polynomials.legendre_polynomial_p)
shifted_chebyshev_polynomial_t = _with_out(polynomials.shifted_chebyshev_polynomial_t)
shifted_chebyshev_polynomial_u = _with_out(polynomials.shifted_chebyshev_polynomial_u)
shifted_chebyshev_polynomial_v = _with_out(polynomials.shifted_chebyshev_polynomial_v)
shifted_chebyshev_polynomial_w = _with_out(polynomials.shifted_chebyshev_polynomial_w)

airy_ai = _with_out(airy.airy_ai)
bessel_j0 = _with_out(bessel.bessel_j0)
bessel_j1 = _with_out(bessel.bessel_j1)
bessel_y0 = _with_out(bessel.bessel_y0)
bessel_y1 = _with_out(bessel.bessel_y1)
modified_bessel_k0 = _with_out(bessel.modified_bessel_k0)
modified_bessel_k1 = _with_out(bessel.modified_bessel_k1)
scaled_modified_bessel_k0 = _with_out(bessel.scaled_modified_bessel_k0)
scaled_modified_bessel_k1 = _with_out(bessel.scaled_modified_bessel_k1)
