"""Unsupervised learning: principal components of digits, and what a network adds.

    rushlight run examples/principal_components.py [PICTURE.png]

Two numbers for each image: those along which the images differ most (PCA, by a singular value
decomposition), and those that an autoencoder chooses.  The better pair redraws the image better.
The picture: digits, how principal components redraw them, and how the autoencoder does.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.datasets import load_digits
from rushlight.progress import track

COMPONENTS = 2


def main():
    torch.manual_seed(0)
    images = torch.from_numpy(load_digits("train")[0]).flatten(1)
    test = torch.from_numpy(load_digits("test")[0]).flatten(1)
    mean = images.mean(dim=0)
    _, spread, axes = torch.linalg.svd(images - mean, full_matrices=False)
    axes = axes[:COMPONENTS]
    redrawn = (test - mean) @ axes.T @ axes + mean
    share = (spread[:COMPONENTS] ** 2).sum() / (spread**2).sum()
    print(f"share of the variance along {COMPONENTS} axes: {share.item():.4f}")
    print(f"error of the mean image: {F.mse_loss(mean.expand_as(test), test).item():.4f}")
    print(f"error of principal components: {F.mse_loss(redrawn, test).item():.4f}")

    model = nn.Sequential(
        nn.Linear(64, 64), nn.ELU(), nn.Linear(64, COMPONENTS),
        nn.Linear(COMPONENTS, 64), nn.ELU(), nn.Linear(64, 64),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in track(range(1, 81)):
        for rows in torch.randperm(len(images)).split(64):
            loss = F.mse_loss(model(images[rows]), images[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 20 == 0:
            print(f"epoch {epoch}: loss {loss.item():.4f}")
    with torch.no_grad():
        drawn = model(test)
    print(f"error of the autoencoder: {F.mse_loss(drawn, test).item():.4f}")
    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        rows = torch.cat([test[:14], redrawn[:14], drawn[:14]]).clamp(0, 1).reshape(-1, 1, 8, 8)
        save_image(F.interpolate(rows, scale_factor=5), sys.argv[1], nrow=14, pad_value=0.5)


if __name__ == "__main__":
    main()
