"""An index or a class out of range: PyTorch's type of error, with operation, index, size, place."""

from __future__ import annotations

import pytest

import rushlight
from rushlight import zeros
from rushlight.nn import CrossEntropyLoss
from rushlight.nn import functional as F

tensor = rushlight.tensor
LOSSES = {
    "cross_entropy": (lambda: F.cross_entropy(zeros(4, 3), tensor([0, 1, 3, 2])), "3", "[2]"),
    "cross_entropy of images": (
        lambda: F.cross_entropy(zeros(2, 3, 2), tensor([[0, 1], [7, 2]])), "7", "[1, 0]",
    ),
    "cross_entropy with weights": (
        lambda: F.cross_entropy(zeros(4, 3), tensor([0, -1, 1, 2]), weight=rushlight.ones(3)),
        "-1", "[1]",
    ),
    "nll_loss": (lambda: F.nll_loss(zeros(4, 3), tensor([0, 1, 2, 5])), "5", "[3]"),
    "cross_entropy as a module": (
        lambda: CrossEntropyLoss()(zeros(2, 3), tensor([3, 0])), "3", "[0]",
    ),
    "multi_margin_loss": (lambda: F.multi_margin_loss(zeros(2, 3), tensor([0, 5])), "5", "[1]"),
    "multilabel_margin_loss": (
        lambda: F.multilabel_margin_loss(zeros(1, 3), tensor([[0, 5, -1]])), "5", "[0, 1]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOSSES)
def test_a_class_out_of_range_is_named_with_its_place_and_the_number_of_classes(case):
    compute, wrong, place = LOSSES[case]
    kind = RuntimeError if "margin" in case else IndexError
    with pytest.raises(kind) as caught:
        compute().item()
    text = str(caught.value)
    assert text.startswith(
        f"{case.split()[0]}: Target {wrong} at position {place} is out of bounds"
    )
    assert "3 classes" in text


def test_a_single_class_out_of_range_needs_no_place():
    with pytest.raises(IndexError, match="Target 3 is out of bounds: the input has 3 classes"):
        F.cross_entropy(zeros(3), tensor(3)).item()


INDEXED = {
    "embedding": (lambda: F.embedding(tensor([[0, 5]]), zeros(4, 2)), IndexError, "[0, 1]", 4),
    "gather": (lambda: zeros(2, 3).gather(1, tensor([[0, 5]])), RuntimeError, "[0, 1]", 3),
    "index_select": (lambda: zeros(2, 3).index_select(1, tensor([0, 5])), RuntimeError, "[1]", 3),
    "scatter": (lambda: zeros(2, 3).scatter(1, tensor([[5]]), 1.0), RuntimeError, "[0, 0]", 3),
    "index_add": (
        lambda: zeros(2, 3).index_add(0, tensor([1, 5]), rushlight.ones(2, 3)), RuntimeError, "[1]",
        2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INDEXED)
def test_an_index_out_of_range_is_named_with_the_function_called(name):
    compute, kind, place, size = INDEXED[name]
    with pytest.raises(kind) as caught:
        compute().sum().item()
    text = str(caught.value)
    assert text.startswith(f"{name}: index 5 is out of bounds for dimension"), text
    assert f"with size {size} (at position {place} of the index)" in text


def test_one_hot_says_what_it_needs():
    with pytest.raises(RuntimeError, match="smaller than num_classes"):
        F.one_hot(tensor([0, 5]), 3).sum().item()


def test_an_index_in_brackets_out_of_range_is_named_at_once():
    with pytest.raises(IndexError, match=r"index -3 is out of bounds for dimension 0 with size 2"):
        zeros(2, 3)[tensor([0, -3])]
