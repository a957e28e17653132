"""Custom functions: a network of plus and minus ones, with a gradient that we say ourselves.

    rushlight run examples/custom_function.py [PICTURE.png]

The sign of a number has no useful derivative.  `Sign` takes that of the identity where the number
is small (the straight-through estimate), and so a network whose hidden weights and values are all
-1 or 1 can be trained.  `gradcheck` compares a second function of ours with finite differences.
The picture: the signs of the last hidden layer for each image of the test, the images sorted by
their digit, the units by the digit that they like.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.datasets import load_digits
from rushlight.progress import track


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() <= 1)


class Softsign(torch.autograd.Function):
    """x / (1 + |x|); what the backward needs is computed once, in the forward."""

    @staticmethod
    def forward(ctx, x):
        scale = 1 / (1 + x.abs())
        ctx.save_for_backward(scale)
        return x * scale

    @staticmethod
    def backward(ctx, gradient):
        (scale,) = ctx.saved_tensors
        return gradient * scale * scale


class Binary(nn.Linear):
    def forward(self, x):
        return F.linear(x, Sign.apply(self.weight)) / self.in_features**0.5


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm1 = Binary(64, 256, bias=False), nn.BatchNorm1d(256)
        self.second, self.norm2 = Binary(256, 256, bias=False), nn.BatchNorm1d(256)
        self.last = nn.Linear(256, 10)

    def signs(self, x):
        x = Sign.apply(self.norm1(self.first(x.flatten(1) - 0.3)))
        return Sign.apply(self.norm2(self.second(x)))

    def forward(self, x):
        return self.last(self.signs(x))


def main():
    torch.manual_seed(0)
    x = torch.linspace(-2, 2, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Softsign.apply, (x,))

    images, labels = map(torch.from_numpy, load_digits("train"))
    tests, test_labels = map(torch.from_numpy, load_digits("test"))
    model = Network()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in track(range(1, 16)):
        for rows in torch.randperm(len(images)).split(64):
            loss = F.cross_entropy(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for layer in (model.first, model.second):
                layer.weight.data.clamp_(-1, 1)  # beyond, the estimate is zero for ever
        if epoch % 5 == 0:
            print(f"epoch {epoch}: loss {loss.item():.2f}")

    model.eval()
    with torch.no_grad():
        guess = model(tests).argmax(dim=1)
        signs = model.signs(tests)
    print(f"test accuracy: {(guess == test_labels).float().mean().item():.4f}")
    print(f"different values that a hidden unit takes: {signs.unique().numel():.1f}")

    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        means = torch.stack([signs[test_labels == digit].mean(dim=0) for digit in range(10)])
        sorted_signs = signs[test_labels.argsort()][:, means.argmax(dim=0).argsort()]
        save_image(sorted_signs.repeat_interleave(2, dim=1) / 2 + 0.5, sys.argv[1])


if __name__ == "__main__":
    main()
