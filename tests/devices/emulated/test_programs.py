"""Training on the emulated device gives the bits of the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import functional as F


class _Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 20)

    def forward(self, x):
        return self.head(self.layer(self.words(x))).flatten(0, 1)


def _digits(generator):
    x = generator.standard_normal((32, 64)).astype(np.float32)
    return torch.tensor(x), torch.tensor(generator.integers(0, 10, 32))


def _images(generator):
    x = generator.standard_normal((4, 3, 8, 8)).astype(np.float32)
    return torch.tensor(x), torch.tensor(generator.integers(0, 10, 4))


def _words(generator):
    x = torch.tensor(generator.integers(0, 20, (4, 6)))
    return x, x.flatten()


def _perceptron():
    return nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.LayerNorm(48), nn.Linear(48, 10))


def _convolutional():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(128, 10),
    )  # fmt: skip


PROGRAMS = {
    "momentum": (_perceptron, _digits, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    "adam": (_perceptron, _digits, lambda p: torch.optim.AdamW(p, 1e-2)),
    "images": (_convolutional, _images, lambda p: torch.optim.Adam(p, 1e-2)),
    # A bias of keys has no gradient but rounding: it is not to be made large.
    "language": (_Language, _words, lambda p: torch.optim.AdamW(p, 1e-2, eps=1e-3)),
}


def _trained(name: str, place: str) -> tuple[list[float], list[np.ndarray]]:
    make, draw, optimizer_of = PROGRAMS[name]
    torch.manual_seed(0)
    model = make().to(place)
    optimizer = optimizer_of(model.parameters())
    losses = []
    for step in range(3):
        x, y = (t.to(place) for t in draw(np.random.default_rng(step)))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        assert loss.device.type == place
        losses.append(loss.item())
    return losses, [p.detach().cpu().numpy() for p in model.parameters()]


@pytest.mark.parametrize("name", PROGRAMS)
def test_training_gives_the_bits_of_the_cpu(name: str) -> None:
    losses, parameters = _trained(name, "cpu")
    emulated_losses, emulated_parameters = _trained(name, "cuda")
    # Attention in tiles adds up in another order.
    tolerance = 2e-5 if name == "language" else 0.0
    np.testing.assert_allclose(losses, emulated_losses, rtol=tolerance)
    for one, other in zip(parameters, emulated_parameters):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
