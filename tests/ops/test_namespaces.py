"""`fft`, `special`, `masked` and `signal` against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from tests.ops.both import assert_agree, gradients

torch = pytest.importorskip("torch")

REAL = [[1.0, -2.0, 0.5, 3.0, 4.0], [0.25, 1.5, -1.0, 2.0, -3.0]]
NAN, INF = float("nan"), float("inf")

TRANSFORMS = {
    "fft": lambda f, x: f.fft(x),
    "fft cut": lambda f, x: f.fft(x, 3),
    "fft filled": lambda f, x: f.fft(x, 8, norm="ortho"),
    "ifft": lambda f, x: f.ifft(x, dim=0),
    "fft2": lambda f, x: f.fft2(x, norm="forward"),
    "rfft": lambda f, x: f.rfft(x),
    "rfftn": lambda f, x: f.rfftn(x, s=(3, 4)),
    "irfft": lambda f, x: f.irfft(x),
    "irfft odd": lambda f, x: f.irfft(x, 7),
    "hfft": lambda f, x: f.hfft(x, norm="ortho"),
    "ihfft": lambda f, x: f.ihfft(x, 6),
    "irfftn": lambda f, x: f.irfftn(x),
    "fftshift": lambda f, x: f.fftshift(x),
}


def as_real(t, x):
    """Real and imaginary parts, so that both kinds of result have real gradients."""
    return t.view_as_real(x.resolve_conj()) if x.is_complex() else x


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_and_their_slopes_agree_with_torch(name: str) -> None:
    assert_agree(lambda t: gradients(t, lambda x: as_real(t, TRANSFORMS[name](t.fft, x)), REAL))


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.fft.fft(t.ones(3), 0),
        lambda t: t.fft.rfft(t.ones(3, dtype=t.complex64)),
        lambda t: t.fft.fft(t.ones(3), norm="half"),
        lambda t: t.fft.fftn(t.ones(3, 3), dim=(0, 0)),
        lambda t: (t.fft.fftfreq(5, 0.5), t.fft.rfftfreq(4)),
    ],
)
def test_arguments_of_transforms_are_checked_as_by_torch(call) -> None:
    assert_agree(call)


POINTS = [-9.0, -2.5, -0.5, 0.0, 0.3, 1.0, 4.0, 30.0]
SPECIAL = "entr erfcx i0e i1 i1e log_ndtr ndtr spherical_bessel_j0".split()


@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions_agree_with_torch(name: str) -> None:
    assert_agree(lambda t: getattr(t.special, name)(t.tensor(POINTS, dtype=t.float64)), rtol=1e-11)
    assert_agree(lambda t: getattr(t.special, name)(t.tensor([NAN])))


@pytest.mark.parametrize("name", ["entr", "erfcx", "i0e", "i1", "i1e", "log_ndtr", "ndtr"])
def test_slopes_of_special_functions_are_those_of_torch(name: str) -> None:
    points = [0.3, 1.0, 4.0, 12.0]
    assert_agree(lambda t: gradients(t, getattr(t.special, name), points), rtol=1e-9)


PAIRS = {
    "zeta": lambda s, x, y: s.zeta(x.abs() + 1.5, y.abs()),
    "xlog1py": lambda s, x, y: s.xlog1py(x, y.abs()),
    "gammainc": lambda s, x, y: s.gammainc(x.abs(), y.abs()),
    "gammaincc": lambda s, x, y: s.gammaincc(x.abs(), y.abs()),
    "chebyshev": lambda s, x, y: s.chebyshev_polynomial_t(x, y),
    "hermite": lambda s, x, y: s.hermite_polynomial_he(x, 4),
    "laguerre": lambda s, x, y: s.laguerre_polynomial_l(x, 3),
    "legendre": lambda s, x, y: s.legendre_polynomial_p(x, y),
}


@pytest.mark.parametrize("name", PAIRS)
def test_special_functions_of_two_tensors_agree_with_torch(name: str) -> None:
    def case(t):
        x = t.tensor([0.0, 0.5, -0.75, 2.0, 3.5], dtype=t.float64)
        y = t.tensor([1.0, 3.0, 0.0, 2.0, 5.0], dtype=t.float64)
        return PAIRS[name](t.special, x, y)

    assert_agree(case, rtol=1e-10)


MASKED = {
    name: lambda m, x, mask, name=name: getattr(m, name)(x, 1, mask=mask)
    for name in "sum prod mean amax amin argmax median var std softmax cumsum logsumexp".split()
} | {
    "norm": lambda m, x, mask: m.norm(x, 2.0, 1, mask=mask),
    "normalize": lambda m, x, mask: m.normalize(x, 2.0, 1, mask=mask),
    "everything": lambda m, x, mask: m.sum(x, mask=mask),
    "repeated axis": lambda m, x, mask: m.sum(x, (0, 0), mask=mask),
}


@pytest.mark.parametrize("name", MASKED)
def test_masked_reductions_agree_with_torch(name: str) -> None:
    mask = [[True, False, True, True, False], [False] * 5]
    masked = torch.masked

    def case(t):
        module = masked if t is torch else t.masked
        return MASKED[name](module, t.tensor(REAL), t.tensor(mask))

    assert_agree(case)


@pytest.mark.parametrize(
    "name", "bartlett blackman cosine exponential gaussian hamming hann kaiser nuttall".split()
)
@pytest.mark.parametrize("symmetric", [True, False])
def test_windows_agree_with_torch(name: str, symmetric: bool) -> None:
    assert_agree(
        lambda t: [getattr(t.signal.windows, name)(M, sym=symmetric) for M in (0, 1, 2, 7)]
    )


@pytest.mark.parametrize("options", [{}, {"hop_length": 3, "normalized": True}, {"center": False}])
def test_short_time_spectra_agree_with_torch_and_lead_back(options) -> None:
    signal = [0.5, -1.0, 2.0, 0.25, 3.0, -2.0, 1.0, 0.0, 1.5, -0.5, 2.5, 1.0, -1.5, 0.75, 0.1, 2.0]

    def forward(t):
        window = t.hann_window(8, dtype=t.float64) + 0.1
        x = t.tensor(signal, dtype=t.float64)
        return t.stft(x, 8, window=window, return_complex=True, **options), window

    def back(t):
        spectra, window = forward(t)
        return t.istft(spectra, 8, window=window, length=16, **options)

    assert_agree(lambda t: forward(t)[0])
    assert_agree(back)


BESSEL = (
    "bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_k0 modified_bessel_k1 "
    "scaled_modified_bessel_k0 scaled_modified_bessel_k1"
).split()


@pytest.mark.parametrize("name", BESSEL)
def test_bessel_functions_agree_with_torch(name: str) -> None:
    points = [0.0, 1e-3, 0.3, 1.0, 2.0, 2.5, 5.0, 9.0, 15.0, 24.9, 25.1, 100.0, -3.0, NAN]
    # PyTorch's J and Y have seven correct digits: J0(5) is -0.17759677131…, PyTorch gives …78.
    assert_agree(lambda t: getattr(t.special, name)(t.tensor(points, dtype=t.float64)), rtol=2e-7)


def test_airy_ai_agrees_with_torch() -> None:
    points = [*np.linspace(-40, 40, 401), 0.0, 1.5, -7.0, 60.0, 103.0, 200.0, NAN]
    # PyTorch's has six correct digits: Ai(-2.2) is 0.0961453780…, PyTorch gives 0.0961469….
    for dtype in ("float64", "float32"):
        assert_agree(
            lambda t, dtype=dtype: t.special.airy_ai(t.tensor(points, dtype=getattr(t, dtype))),
            rtol=1e-5,
        )


def test_airy_ai_has_all_digits_where_torch_lacks_some() -> None:
    known = {
        -10.0: 0.04024123848644319, -5.0: 0.3507610090241143, 0.0: 0.3550280538878172,
        1.0: 0.13529241631288142, 5.0: 0.00010834442813607442,
    }  # fmt: skip
    found = rushlight.special.airy_ai(rushlight.tensor([*known], dtype=rushlight.float64)).numpy()
    np.testing.assert_allclose(found, [*known.values()], rtol=2e-12)


def test_bessel_j0_has_all_digits_where_torch_lacks_some() -> None:
    found = rushlight.special.bessel_j0(rushlight.tensor(5.0, dtype=rushlight.float64)).item()
    assert abs(found + 0.17759677131433830435) < 1e-15
