"""Floats of eight bits: the codes are PyTorch's, and so is what may be done with them."""

from __future__ import annotations

import io

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

NAMES = [
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_code_means_pytorchs_number_and_every_number_gets_its_code(name: str) -> None:
    dtype, theirs = getattr(rl, name), getattr(torch, name)
    codes = np.arange(256, dtype=np.uint8)
    wide = torch.from_numpy(codes).view(theirs).float().numpy()
    mine = rl.from_numpy(codes.copy()).view(dtype).float().numpy()
    np.testing.assert_array_equal(mine, wide)
    generator = np.random.default_rng(0)
    finite = wide[np.isfinite(wide)].astype(np.float64)
    numbers = np.concatenate([
        generator.standard_normal(4000) * np.exp2(generator.integers(-20, 20, 4000)),
        np.clip((finite[:-1] + finite[1:]) / 2, -3e38, 3e38),  # ties
        [0.0, -0.0, np.inf, -np.inf, np.nan, 448.0, 464.0, 465.0, 57344.0, 61440.0],
    ]).astype(np.float32)  # fmt: skip
    narrow = torch.from_numpy(numbers).to(theirs).view(torch.uint8).numpy()
    np.testing.assert_array_equal(rl.from_numpy(numbers).to(dtype).view(rl.uint8).numpy(), narrow)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_moved_and_printed_as_pytorch_does(name: str) -> None:
    def of(module):
        x = module.tensor([1.0, 2.5, -3.0, 4.0]).to(getattr(module, name))
        y = module.cat([x, module.full((2,), 2.0, dtype=x.dtype)])[1:].reshape(5, 1).t()
        limits = module.finfo(x.dtype)
        return (
            str(y), y.float().tolist(), (x == x).tolist(), x.tolist(), x.type(), x.element_size(),
            module.zeros(2, dtype=x.dtype).view(module.uint8).tolist(), limits.max, limits.eps,
            limits.tiny, limits.min, x.to(module.bfloat16).float().tolist(),
        )  # fmt: skip

    mine, theirs = of(rl), of(torch)
    if name != "float8_e8m0fnu":  # which PyTorch prints with its zeros, as it cannot find them
        assert mine[0] == theirs[0]
    assert mine[1:] == theirs[1:]


def test_no_other_dtype_is_common_with_one() -> None:
    x = rl.ones(2).to(rl.float8_e5m2)
    with pytest.raises(RuntimeError, match="Promotion for Float8 Types is not supported"):
        x * rl.ones(2)
    with pytest.raises(TypeError, match="Got unsupported ScalarType Float8_e5m2"):
        x.numpy()


@pytest.mark.parametrize("writer", ["rushlight", "torch"])
def test_they_are_saved_in_pytorchs_format(writer: str) -> None:
    first, second = (rl, torch) if writer == "rushlight" else (torch, rl)
    file = io.BytesIO()
    first.save({"w": first.tensor([1.0, -2.5]).to(first.float8_e4m3fn)}, file)
    file.seek(0)
    found = second.load(file)["w"]
    assert found.dtype is second.float8_e4m3fn and found.float().tolist() == [1.0, -2.5]
