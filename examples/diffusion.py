"""Generation: digits out of noise, by diffusion.

    rushlight run examples/diffusion.py [PICTURE.png]

A network learns to see the noise that was added to an image.  Begin with nothing but noise, take a
little of what it sees away, many times, and a digit appears.  How good the drawings are is judged
by a classifier that was trained on real digits: how sure it is of what it sees.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.datasets import load_digits
from rushlight.progress import track

STEPS = 100
BETA = torch.linspace(1e-3, 0.12, STEPS)
KEPT = (1 - BETA).cumprod(dim=0)  # share of the image that is left after t steps


class Denoiser(nn.Module):
    def __init__(self, width=256):
        super().__init__()
        self.time = nn.Embedding(STEPS, width)
        self.label = nn.Embedding(10, width)
        self.enter = nn.Linear(64, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.leave = nn.Linear(width, 64)

    def forward(self, x, t, y):
        h = self.enter(x) + self.time(t) + self.label(y)
        for layer in self.hidden:
            h = h + layer(F.silu(h))
        return self.leave(F.silu(h))


@torch.no_grad()
def draw(model, labels):
    x = torch.randn(len(labels), 64)
    for t in reversed(range(STEPS)):
        time = torch.full((len(labels),), t)
        noise = model(x, time, labels)
        x = (x - BETA[t] / (1 - KEPT[t]).sqrt() * noise) / (1 - BETA[t]).sqrt()
        if t > 0:
            x = x + BETA[t].sqrt() * torch.randn(len(labels), 64)
    return x


def classifier(images, labels):
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(30):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
    return model


def main():
    torch.manual_seed(0)
    images, labels = map(torch.from_numpy, load_digits("train"))
    images = images.flatten(1) * 2 - 1
    model = Denoiser()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in track(range(1, 101)):
        for rows in torch.randperm(len(images)).split(128):
            x, noise = images[rows], torch.randn(len(rows), 64)
            t = torch.randint(STEPS, (len(rows),))
            kept = KEPT[t][:, None]
            seen = model(kept.sqrt() * x + (1 - kept).sqrt() * noise, t, labels[rows])
            loss = F.mse_loss(seen, noise)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 25 == 0:
            print(f"epoch {epoch}: loss {loss.item():.3f}")

    wanted = torch.arange(10).repeat(20)
    drawn = draw(model, wanted)
    judge = classifier(images, labels)
    with torch.no_grad():
        right = (judge(drawn).argmax(dim=1) == wanted).float().mean().item()
    for row in drawn[:10].clamp(-1, 1).reshape(10, 8, 8)[3].tolist():
        print("".join(" .:*#"[min(4, int((value + 1) * 2.5))] * 2 for value in row))
    print(f"drawings that the judge reads as what was asked for: {right:.4f}")
    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        rows = (drawn[:40].clamp(-1, 1).reshape(-1, 1, 8, 8) + 1) / 2
        save_image(F.interpolate(rows, scale_factor=6), sys.argv[1], nrow=10, pad_value=0.5)


if __name__ == "__main__":
    main()
