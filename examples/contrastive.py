"""Self-supervised learning: features of digits without a single label, by contrast.

    rushlight run examples/contrastive.py [PICTURE.png]

Two distorted copies of an image should get features that are close, and far from those of all
other images (SimCLR's loss).  A linear classifier on the features, trained with 30 labels, then
beats the same classifier on the pixels.  The picture: a test image on the left of each row, then
the training images whose features are nearest.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.datasets import load_digits
from rushlight.progress import track

LABELED = 30
TEMPERATURE = 0.3


def distorted(images):
    """Shifted by up to a pixel, scaled in brightness, with noise."""
    n = len(images)
    padded = F.pad(images, (1, 1, 1, 1))
    down, right = torch.randint(3, (2,)).tolist()
    moved = padded[:, :, down : down + 8, right : right + 8]
    return moved * (0.7 + 0.6 * torch.rand(n, 1, 1, 1)) + 0.1 * torch.randn(n, 1, 8, 8)


def contrast(a, b):
    features = F.normalize(torch.cat([a, b]), dim=1)
    likeness = features @ features.T / TEMPERATURE
    likeness = likeness.masked_fill(torch.eye(len(likeness), dtype=torch.bool), float("-inf"))
    partner = torch.arange(len(likeness)).roll(len(a))
    return F.cross_entropy(likeness, partner)


def linear_accuracy(train, labels, test, test_labels):
    layer = nn.Linear(train.shape[1], 10)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2, weight_decay=1e-3)
    for _ in range(300):
        optimizer.zero_grad()
        F.cross_entropy(layer(train), labels).backward()
        optimizer.step()
    return (layer(test).argmax(dim=1) == test_labels).float().mean().item()


def main():
    torch.manual_seed(0)
    images, labels = map(torch.from_numpy, load_digits("train"))
    test_images, test_labels = map(torch.from_numpy, load_digits("test"))
    encoder = nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 48, 3, stride=2, padding=1),
        nn.ReLU(), nn.Flatten(), nn.Linear(48 * 16, 96), nn.ReLU(),
    )  # fmt: skip
    head = nn.Linear(96, 32)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2e-3)
    for epoch in track(range(1, 21)):
        order = torch.randperm(len(images))
        for start in range(0, len(order) - 127, 128):
            batch = images[order[start : start + 128]]
            loss = contrast(head(encoder(distorted(batch))), head(encoder(distorted(batch))))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 5 == 0:
            print(f"epoch {epoch}: loss {loss.item():.3f}")

    chosen = torch.randperm(len(images))[:LABELED]
    with torch.no_grad():
        few, test = encoder(images[chosen]), encoder(test_images)
    pixels = linear_accuracy(
        images[chosen].flatten(1), labels[chosen], test_images.flatten(1), test_labels
    )
    print(f"accuracy on pixels with {LABELED} labels: {pixels:.4f}")
    features = linear_accuracy(few, labels[chosen], test, test_labels)
    print(f"accuracy on features with {LABELED} labels: {features:.4f}")
    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        with torch.no_grad():
            known = F.normalize(encoder(images), dim=1)
            asked = F.normalize(test[:6], dim=1)
        nearest = (asked @ known.T).topk(9, dim=1).indices
        rows = torch.cat([test_images[:6, None], images[nearest]], dim=1).flatten(0, 1)
        shown = F.interpolate(rows, scale_factor=5)
        save_image(shown, sys.argv[1], nrow=10, normalize=True, pad_value=0.5)


if __name__ == "__main__":
    main()
