"""Anomaly detection: a network that has seen only the digits 0 to 7 notices 8 and 9.

    rushlight run examples/anomaly_detection.py [PICTURE.png]

An autoencoder learns to redraw what is normal.  What it redraws badly is an anomaly; how well the
error of redrawing tells the two apart is the area under the ROC curve: 0.5 is chance, 1 is perfect.
The picture: the digits of the test that it finds strangest, and below them the most normal ones.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from rushlight.datasets import load_digits
from rushlight.progress import track


def area_under_curve(normal, strange):
    """The chance that something strange has a larger score than something normal."""
    return (strange[:, None] > normal[None, :]).float().mean().item()


def main():
    torch.manual_seed(0)
    images, labels = map(torch.from_numpy, load_digits("train"))
    test_images, test_labels = map(torch.from_numpy, load_digits("test"))
    known = images[labels < 8].flatten(1)
    model = nn.Sequential(
        nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10), nn.ReLU(), nn.Linear(10, 48), nn.ReLU(),
        nn.Linear(48, 64), nn.Sigmoid(),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    loader = DataLoader(TensorDataset(known), batch_size=64, shuffle=True)
    for epoch in track(range(1, 61)):
        for (batch,) in loader:
            loss = F.mse_loss(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 15 == 0:
            print(f"epoch {epoch}: error of redrawing a batch {loss.item():.4f}")

    model.eval()
    with torch.no_grad():
        flat = test_images.flatten(1)
        errors = ((model(flat) - flat) ** 2).mean(dim=1)
    normal, strange = errors[test_labels < 8], errors[test_labels >= 8]
    print(f"mean error of normal digits: {normal.mean().item():.4f}")
    print(f"mean error of strange digits: {strange.mean().item():.4f}")
    print(f"area under the curve: {area_under_curve(normal, strange):.4f}")
    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        order = errors.argsort(descending=True)
        shown = test_images[torch.cat([order[:14], order[-14:]])]
        save_image(F.interpolate(shown, scale_factor=5), sys.argv[1], nrow=14, pad_value=0.5)


if __name__ == "__main__":
    main()
