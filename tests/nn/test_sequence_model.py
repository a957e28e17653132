"""A model of embedding, LSTM and transformer trains as PyTorch's, dropout and clipping included."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

STEPS = 12


def train(library: Any) -> list[float]:
    """The losses of the first steps on random sequences."""
    nn = library.nn
    library.manual_seed(0)

    class SequenceModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(20, 16)
            self.lstm = nn.LSTM(16, 16, 2, dropout=0.3, batch_first=True)
            layer = nn.TransformerEncoderLayer(16, 4, 32, 0.1, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(16, 20)

        def forward(self, x: Any) -> Any:
            states, _ = self.lstm(self.embedding(x))
            return self.head(self.encoder(states))

    model = SequenceModel()
    optimizer = library.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(STEPS):
        tokens = library.randint(0, 20, (8, 10))
        scores = model(tokens[:, :-1]).flatten(0, 1)
        loss = nn.functional.cross_entropy(scores, tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_losses_follow_torch_with_dropout_and_clipping() -> None:
    assert train(rl) == pytest.approx(train(torch), rel=1e-5)
