"""Unsupervised learning: squeeze 64 pixels through 8 numbers and get the picture back.

rushlight run examples/autoencoder.py [PICTURE.png]
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from rushlight.datasets import load_digits
from rushlight.progress import track


class Autoencoder(nn.Module):
    def __init__(self, code_size=8):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, code_size)
        )
        self.decoder = nn.Sequential(
            nn.Linear(code_size, 64), nn.GELU(), nn.Linear(64, 64), nn.Sigmoid()
        )

    def forward(self, x):
        return self.decoder(self.encoder(x)).reshape(x.shape)


def main():
    torch.manual_seed(0)
    train_images = torch.from_numpy(load_digits("train")[0])
    test_images = torch.from_numpy(load_digits("test")[0])
    loader = DataLoader(TensorDataset(train_images), batch_size=64, shuffle=True)

    model = Autoencoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in track(range(1, 21)):
        total = 0.0
        for (images,) in loader:
            loss = F.mse_loss(model(images), images)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        if epoch % 5 == 0:
            print(f"epoch {epoch}: loss {total / len(loader):.4f}")

    with torch.no_grad():
        error = F.mse_loss(model(test_images), test_images).item()
        mean_picture = train_images.mean(dim=0, keepdim=True).expand_as(test_images)
        baseline = F.mse_loss(mean_picture, test_images).item()
    print(f"test error: {error:.4f}")
    print(f"error of always drawing the mean picture: {baseline:.4f}")
    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        with torch.no_grad():
            rows = torch.cat([test_images[:12], model(test_images[:12])]).reshape(-1, 1, 8, 8)
        save_image(F.interpolate(rows, scale_factor=6), sys.argv[1], nrow=12, pad_value=0.5)


if __name__ == "__main__":
    main()
