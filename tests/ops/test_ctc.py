"""The CTC loss and its gradient equal PyTorch's, impossible alignments included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")


def losses(log_probs: np.ndarray, targets: Any, *arguments: Any, **keywords: Any) -> list[Any]:
    """[loss, gradient] in rushlight and in PyTorch."""
    found = []
    for library in (rl, torch):
        scores = library.from_numpy(log_probs.copy()).requires_grad_()
        loss = library.nn.functional.ctc_loss(
            scores, library.tensor(targets), *arguments, **keywords
        )
        loss.sum().backward()
        found.append([loss.detach().numpy(), scores.grad.numpy()])
    return found


def log_probs(times: int = 7, batch: int = 3, classes: int = 5) -> np.ndarray:
    raw = np.random.default_rng(0).normal(size=(times, batch, classes))
    return raw - np.log(np.exp(raw).sum(2, keepdims=True))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("targets", [[[1, 2, 2], [3, 1, 4], [4, 4, 1]], [1, 2, 2, 3, 1]])
def test_losses_and_gradients_equal_torch(reduction: str, targets: Any) -> None:
    ours, theirs = losses(log_probs(), targets, (7, 6, 5), (3, 2, 0), reduction=reduction)
    for found, expected in zip(ours, theirs):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_a_target_too_long_for_its_input_is_infinite_or_zero() -> None:
    arguments = (log_probs(3, 1), [[1, 1, 2]], (3,), (3,))
    assert losses(*arguments, reduction="none")[0][0].tolist() == [np.inf]
    ours, theirs = losses(*arguments, reduction="none", zero_infinity=True)
    assert ours[0].tolist() == theirs[0].tolist() == [0.0]
    assert not ours[1].any() and not theirs[1].any()


def test_without_a_batch_the_loss_is_a_number() -> None:
    ours, theirs = losses(log_probs()[:, 0], [1, 3], (7,), (2,), blank=4)
    assert ours[0].shape == theirs[0].shape == ()
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((7, 7, 8), (1, 1, 1)), "input_lengths to have value at most 7, but got value 8"),
        (((7, 7), (1, 1, 1)), "input_lengths must be of size batch_size 3, got 2"),
        (((7, 7, 7), (1, 1, 9)), "size at least 9 at dimension 1"),
        (((7, 7, 7), (1, 1, 1), 5), "blank must be in label range"),
    ],
)
def test_lengths_and_blank_that_do_not_fit_are_refused(arguments: Any, message: str) -> None:
    scores, targets = rl.from_numpy(log_probs()), rl.tensor([[1, 2], [1, 2], [1, 2]])
    with pytest.raises(RuntimeError, match=message):
        rl.nn.functional.ctc_loss(scores, targets, *arguments)
