"""In a notebook tensors show their text, a few facts and, where they are pictures, those."""

from __future__ import annotations

import base64
import re

import pytest

import rushlight as rl
from rushlight import nn


@pytest.mark.parametrize(
    ("shape", "pictures"),
    [
        ((), 0), ((9,), 0), ((9, 9), 1), ((1, 9, 9), 1), ((3, 9, 9), 1), ((4, 9, 9), 0),
        ((5, 1, 9, 9), 5), ((50, 3, 9, 9), 32), ((2, 9), 0), ((9, 900), 0), ((0, 9), 0),
        ((0, 3, 9, 9), 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [rl.float32, rl.bfloat16, rl.uint8, rl.bool, rl.complex64])
def test_what_is_a_picture_is_shown_as_one(shape, pictures, dtype):
    text = rl.ones(shape, dtype=dtype)._repr_html_()
    found = re.findall(r"data:image/png;base64,([^\"]*)", text)
    assert len(found) == (0 if dtype is rl.complex64 else pictures)
    assert all(base64.b64decode(file).startswith(b"\x89PNG") for file in found)


def test_the_text_is_escaped_and_the_facts_are_those_of_the_finite_values():
    x = rl.tensor([[1.0, float("nan")], [-2.0, float("inf")]], requires_grad=True) * 2
    text = x._repr_html_()
    assert "grad_fn=&lt;MulBackward0&gt;" in text
    assert "2 × 2, torch.float32, -4 to 2, mean -1, 2 not finite" in text


def test_values_of_any_range_and_of_none_make_a_picture():
    for x in (rl.full((5, 5), 3.0), rl.randn(5, 5), rl.full((5, 5), float("nan")), rl.arange(25)):
        assert "<img" in x.view(5, 5)._repr_html_()


def test_a_tensor_without_values_shows_its_text():
    assert rl.empty(5, 5, device="meta")._repr_html_() == (
        "<pre>tensor(..., device=&#x27;meta&#x27;, size=(5, 5))</pre>"
    )
    assert nn.Parameter(rl.ones(2))._repr_html_().startswith("<pre>Parameter containing:")


def test_a_module_is_a_tree_with_its_numbers_of_parameters():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 1)))
    model[0].requires_grad_(False)
    text = model._repr_html_()
    assert text.count("<details") == 2 and text.count(" open>") == 1
    assert "21 parameters, 16 frozen" in text
    assert "(0): Linear(in_features=3, out_features=4, bias=True)" in text
