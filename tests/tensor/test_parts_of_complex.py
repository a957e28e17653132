"""`real`, `imag`, `view_as_real` and `view_as_complex` are views: writes go both ways."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

Z = np.array([[1 + 2j, 3 - 1j, -2 + 0.5j], [0.5j, 2 + 0j, -1 - 1j]], np.complex64)
X = np.arange(12, dtype=np.float32).reshape(2, 3, 2)


def _write_real(m):
    z = m.tensor(Z)
    z.real.fill_(2)
    z.imag[1] = 5
    return [z]


def _write_both_ways(m):
    z = m.tensor(Z)
    pairs, imaginary = m.view_as_real(z), z.imag
    pairs[0, 1] = 7
    pairs.add_(1)
    z.mul_(2)
    imaginary[:, 0] -= 3
    return [z, pairs, imaginary, z.real]


def _write_through_views_of_views(m):
    z = m.tensor(Z)
    row = m.view_as_real(z)[1].view(-1)[1:5]
    row.mul_(10)
    z.t()[0] = 1j
    part = z.t().real
    part[2] = 9
    return [z, row, part, part.sum(0)]


def _write_complex(m):
    x = m.tensor(X)
    z = m.view_as_complex(x)
    z[0] = 3 + 1j
    z *= 2
    x[1, 2, 1] = -4
    return [x, z, m.view_as_real(z), m.view_as_complex(x[:, 1])]


def _first_half(m):
    """As many real numbers as the memory holds complex ones."""
    z = m.tensor(Z)
    half = m.view_as_real(z).view(-1)[:6]
    half += 1
    z += 1
    return [half, half.view(2, 3), z]


def _without_gradients(m):
    z = m.tensor(Z)
    with m.no_grad():
        pairs = m.view_as_real(z)
    pairs[:, 0].zero_()
    z.add_(1j)
    return [z, pairs, pairs[1]]


def _of_numpy(m):
    array = Z.copy()
    z = m.from_numpy(array)
    z.real.add_(1)
    array[0, 0] = 0
    seen = [z.real.clone(), m.view_as_real(z).clone()]
    m.view_as_real(z).numpy()[1, 1, 1] = 8
    return [*seen, z, m.tensor(array)]


def _strided(m):
    z = m.tensor(Z)
    window = z.real.as_strided((2, 2), (4, 1), 1)
    window.fill_(6)
    return [z, window, m.view_as_real(z).as_strided((3,), (5,), 0)]


def _odd_memory(m):
    x = m.arange(7.0)
    z = m.view_as_complex(x[:6].view(3, 2))
    z.mul_(1j)
    return [x, z]


def _assigned(m):
    z = m.tensor(Z)
    pairs = m.view_as_real(z)
    z.real = m.zeros(2, 3)
    z.imag = z.imag * 2
    return [z, pairs]


WORKS = [
    _write_real, _write_both_ways, _write_through_views_of_views, _write_complex, _first_half,
    _without_gradients, _of_numpy, _strided, _odd_memory, _assigned,
]  # fmt: skip


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
def test_writes_are_seen_as_in_pytorch(work) -> None:
    for found, expected in zip(work(rl), work(torch), strict=True):
        assert np.array_equal(found.detach().numpy(), expected.detach().numpy())
        assert found.stride() == expected.stride()
        assert found.storage_offset() == expected.storage_offset()


def _gradients(m, write):
    z = m.tensor(Z, requires_grad=True)
    y = z * 2
    result = write(m, y)
    (result * m.arange(result.numel()).view(result.shape)).sum().backward()
    return z.grad


GRADIENT_WORKS = {
    "real": lambda m, y: y.real.mul_(3),
    "both": lambda m, y: (y.real.add_(y.imag * 2), m.view_as_real(y))[1],
    "pairs": lambda m, y: (m.view_as_real(y)[..., 1].mul_(-2), m.view_as_real(y).square())[1],
    "base written": lambda m, y: (lambda part: (y.mul_(1j), part)[1])(y.imag),
    "absolute": lambda m, y: (y.imag.zero_(), y.abs())[1],
    "joined": lambda m, y: m.view_as_real(m.view_as_complex(m.view_as_real(y) * 1.0).mul_(1j)),
}


@pytest.mark.parametrize("write", GRADIENT_WORKS.values(), ids=GRADIENT_WORKS.keys())
def test_gradients_pass_writes_to_parts(write) -> None:
    found, expected = _gradients(rl, write), _gradients(torch, write)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)


def test_parts_share_memory_base_and_version() -> None:
    for m in (rl, torch):
        z = m.tensor(Z)
        assert z.real.data_ptr() == z.data_ptr() and z.imag.data_ptr() == z.data_ptr() + 4
        assert z.real._base is z and m.view_as_real(z)._is_view()
        part = z.imag
        part.add_(1)
        assert z._version == part._version == 1


def test_a_part_is_saved_and_copied_alone() -> None:
    z = rl.tensor(Z)
    part = z.imag
    copied = copy.deepcopy(part)
    file = io.BytesIO()
    rl.save({"part": part, "z": z}, file)
    part.zero_()
    assert np.array_equal(copied.numpy(), Z.imag)
    file.seek(0)
    loaded = torch.load(file)
    assert np.array_equal(loaded["part"].numpy(), Z.imag)
    assert np.array_equal(loaded["z"].numpy(), Z)


def test_what_does_not_lie_in_pairs_is_refused() -> None:
    for m in (rl, torch):
        x = m.zeros(4, 6)
        with pytest.raises(RuntimeError, match="last dimension with stride 1"):
            m.view_as_complex(x[:, ::3])
        with pytest.raises(RuntimeError, match="stride divisible by 2"):
            m.view_as_complex(m.zeros(3, 3)[:, :2])
        with pytest.raises(RuntimeError, match="storage_offset divisible by 2"):
            m.view_as_complex(x[:, 1:3])


def test_parts_under_vmap_and_func() -> None:
    for m in (rl, torch):
        found = m.func.vmap(lambda z, m=m: m.view_as_real(z).sum(-1) + z.real)(m.tensor(Z))
        np.testing.assert_allclose(found.numpy(), 2 * Z.real + Z.imag, rtol=1e-6)
