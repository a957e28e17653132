"""Packed and padded sequences, and recurrent layers over them, equal PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn.utils import rnn

torch = pytest.importorskip("torch")

from tests.nn.matching import array, assert_same_start, to_rushlight, uniform  # noqa: E402

LENGTHS = [2, 4, 1]


def sequences() -> list[Any]:
    return [uniform(length, 3, grad=False) for length in LENGTHS]


def test_packing_and_padding_equal_torch() -> None:
    theirs = torch.nn.utils.rnn
    items = sequences()
    padded = rnn.pad_sequence(to_rushlight(items), batch_first=True, padding_value=7.0)
    expected = theirs.pad_sequence(items, batch_first=True, padding_value=7.0)
    np.testing.assert_array_equal(array(padded), array(expected))
    ours = rnn.pack_sequence(to_rushlight(items), enforce_sorted=False)
    packed = theirs.pack_sequence(items, enforce_sorted=False)
    for found, wanted in zip(ours, packed):
        np.testing.assert_array_equal(array(found), array(wanted))
    again, lengths = rnn.pad_packed_sequence(ours, padding_value=-1.0, total_length=6)
    wanted, wanted_lengths = theirs.pad_packed_sequence(packed, padding_value=-1.0, total_length=6)
    np.testing.assert_array_equal(array(again), array(wanted))
    assert lengths.tolist() == wanted_lengths.tolist() == LENGTHS
    for found, item in zip(rnn.unpack_sequence(ours), items):
        np.testing.assert_array_equal(array(found), array(item))


def test_unsorted_lengths_are_refused_unless_allowed() -> None:
    with pytest.raises(RuntimeError, match=r"`lengths` array must be sorted in decreasing order"):
        rnn.pack_sequence(to_rushlight(sequences()))
    with pytest.raises(RuntimeError, match=r"Length of all samples has to be greater than 0"):
        rnn.pack_padded_sequence(rl.zeros(3, 2, 1), [3, 0])
    with pytest.raises(ValueError, match=r"total_length=1"):
        packed = rnn.pack_sequence(to_rushlight(sequences()), enforce_sorted=False)
        rnn.pad_packed_sequence(packed, total_length=1)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_packed_runs_equal_torch(name: str) -> None:
    ours, theirs = assert_same_start(lambda lib: getattr(lib, name)(3, 4, 2, bidirectional=True))
    ours, theirs = ours.double(), theirs.double()
    items = sequences()
    found, state = ours(rnn.pack_sequence(to_rushlight(items), enforce_sorted=False))
    packed = torch.nn.utils.rnn.pack_sequence(items, enforce_sorted=False)
    wanted, wanted_state = theirs(packed)
    np.testing.assert_allclose(array(found.data), array(wanted.data), rtol=1e-10)
    pairs = zip(state, wanted_state) if name == "LSTM" else [(state, wanted_state)]
    for part, expected in pairs:
        np.testing.assert_allclose(array(part), array(expected), rtol=1e-10)
    (found.data**2).sum().backward()
    (wanted.data**2).sum().backward()
    for (key, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters()):
        np.testing.assert_allclose(array(p.grad), array(q.grad), rtol=1e-8, err_msg=key)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"input_size": 0, "hidden_size": 2}, ValueError, "input_size must be greater than zero"),
        ({"input_size": 1.5, "hidden_size": 2}, TypeError, "input_size should be of type int"),
        ({"input_size": 1, "hidden_size": 2, "bias": 1}, TypeError, "bias should be of type bool"),
        (
            {"input_size": 1, "hidden_size": 2, "dropout": 2},
            ValueError,
            "dropout should be a number",
        ),
        (
            {"input_size": 1, "hidden_size": 2, "proj_size": 2},
            ValueError,
            "proj_size has to be smaller",
        ),
    ],
)
def test_bad_sizes_of_recurrent_layers_are_refused(arguments, kind, message) -> None:
    with pytest.raises(kind, match=message):
        nn.LSTM(**arguments)


def test_wrong_inputs_of_recurrent_layers_are_refused() -> None:
    layer = nn.GRU(3, 4)
    with pytest.raises(RuntimeError, match=r"Expected 3, got 5"):
        layer(rl.zeros(2, 1, 5))
    with pytest.raises(RuntimeError, match=r"Expected hidden size \(1, 1, 4\), got \[1, 1, 9\]"):
        layer(rl.zeros(2, 1, 3), rl.zeros(1, 1, 9))
    with pytest.raises(RuntimeError, match=r"For batched 3-D input, hx should also be 3-D"):
        layer(rl.zeros(2, 1, 3), rl.zeros(1, 4))
    with pytest.raises(ValueError, match=r"does not match weight dtype"):
        layer(rl.zeros(2, 1, 3, dtype=rl.float64))
    with pytest.warns(UserWarning, match=r"dropout option adds dropout after all but last"):
        nn.GRU(3, 4, dropout=0.5)
