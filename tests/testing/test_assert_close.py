"""assert_close says the same as PyTorch's: passes, fails, and names what differs."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight

CASES = {
    "one element": lambda t: t.testing.assert_close(t.tensor([1.0, 2]), t.tensor([1.0, 2.5])),
    "integers": lambda t: t.testing.assert_close(t.tensor([1, 2]), t.tensor([1, 4])),
    "0-d": lambda t: t.testing.assert_close(t.tensor(1.0), t.tensor(1.25)),
    "numbers": lambda t: t.testing.assert_close(1.0, 1.25),
    "kinds of numbers": lambda t: t.testing.assert_close(1, 1.0),
    "booleans": lambda t: t.testing.assert_close(True, False),
    "dtype": lambda t: t.testing.assert_close(t.tensor([1]), t.tensor([1.0])),
    "shape": lambda t: t.testing.assert_close(t.tensor([1]), t.tensor([[1]])),
    "in a list": lambda t: t.testing.assert_close([t.tensor([1])], [t.tensor([2])]),
    "lengths": lambda t: t.testing.assert_close([1], [1, 2]),
    "in dictionaries": lambda t: t.testing.assert_close({"a": {"c": 1}}, {"a": {"c": 2}}),
    "keys": lambda t: t.testing.assert_close({"a": 1}, {"b": 1}),
    "one tolerance": lambda t: t.testing.assert_close(1.0, 1.0, rtol=1.0),
    "own message": lambda t: t.testing.assert_close(1, 2, msg=lambda text: f"so: {text}"),
    "nan": lambda t: t.testing.assert_close(t.tensor([np.nan]), t.tensor([np.nan])),
    "equal nan": lambda t: t.testing.assert_close(
        t.tensor([np.nan]), t.tensor([np.nan]), equal_nan=True
    ),
    "16 bits": lambda t: t.testing.assert_close(
        t.tensor([1.0]).bfloat16(), t.tensor([1.01]).bfloat16()
    ),
    "arrays": lambda t: t.testing.assert_close(np.ones(2), np.ones(2)),
    "mixed": lambda t: t.testing.assert_close(
        t.tensor([1.0]), t.tensor([1.0]).double(), check_dtype=False
    ),
}


def _outcome(library, case) -> tuple[str, str]:
    try:
        case(library)
    except Exception as error:
        return type(error).__name__, str(error)
    return "passes", ""


@pytest.mark.parametrize("name", CASES)
def test_assert_close_gives_pytorchs_verdict_and_words(name: str) -> None:
    torch = pytest.importorskip("torch")
    assert _outcome(rushlight, CASES[name]) == _outcome(torch, CASES[name])


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bool", "complex64"])
def test_make_tensor_stays_in_its_range(dtype: str) -> None:
    made = rushlight.testing.make_tensor((3, 20), dtype=getattr(rushlight, dtype), device="cpu")
    assert made.dtype is getattr(rushlight, dtype) and made.shape == (3, 20)
    values = made.abs().float() if dtype != "bool" else made.float()
    assert 0 < float(values.max()) <= 13
    other = rushlight.testing.make_tensor(
        2, 3, dtype=rushlight.float32, device="cpu", low=1, high=2, noncontiguous=True
    )
    assert not other.is_contiguous() and bool(((other >= 1) & (other < 2)).all())


def test_make_tensor_refuses_empty_ranges() -> None:
    with pytest.raises(ValueError, match="less than"):
        rushlight.testing.make_tensor(2, dtype=rushlight.float32, device="cpu", low=3, high=1)
