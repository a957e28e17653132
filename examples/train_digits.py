"""Train a small convolutional network on real handwritten digits.

    rushlight run examples/train_digits.py [PICTURE.png]
    rushlight run examples/train_digits.py --epochs 3 --save digits.pt

An ordinary PyTorch script: where PyTorch is installed, `python examples/train_digits.py` runs it
there, with the same numbers.
The picture: the digits of the test that it was least sure of; those it got wrong are red.
"""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from rushlight.datasets import load_digits
from rushlight.progress import track


class DigitNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(32 * 4 * 4, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))  # (B, 16, 8, 8)
        x = F.relu(self.conv2(x))  # (B, 32, 8, 8)
        x = F.max_pool2d(x, 2)  # (B, 32, 4, 4)
        x = self.dropout(torch.flatten(x, 1))
        x = F.relu(self.fc1(x))  # (B, 64)
        return self.fc2(x)  # (B, 10)


def digits(split, batch_size, shuffle=False):
    images, labels = load_digits(split)
    dataset = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    return DataLoader(dataset, batch_size=batch_size, shuffle=shuffle)


def train(model, loader, optimizer, device):
    model.train()
    total, count = 0.0, 0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
        count += len(labels)
    return total / count


@torch.no_grad()
def accuracy(model, loader, device):
    model.eval()
    right, count = 0, 0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        right += (model(images).argmax(dim=1) == labels).sum().item()
        count += len(labels)
    return right / count


def main():
    parser = argparse.ArgumentParser(description="train a network on handwritten digits")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to train: cpu or cuda")
    parser.add_argument("picture", nargs="?", metavar="PICTURE.png", help="draw its mistakes here")
    parser.add_argument("--save", metavar="FILE", help="write the trained weights here")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    train_loader = digits("train", options.batch_size, shuffle=True)
    test_loader = digits("test", 256)
    device = torch.device(options.device)
    model = DigitNet().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=options.epochs)

    for epoch in track(range(1, options.epochs + 1)):
        loss = train(model, train_loader, optimizer, device)
        score = accuracy(model, test_loader, device)
        scheduler.step()
        print(f"epoch {epoch}: loss {loss:.4f}, test accuracy {score:.2%}")

    if options.save:
        torch.save(model.state_dict(), options.save)
        restored = DigitNet().to(device)
        restored.load_state_dict(torch.load(options.save))
        assert accuracy(restored, test_loader, device) == score
        print(f"saved to {options.save}")

    if options.picture:
        from torchvision.utils import save_image  # noqa: PLC0415

        images, labels = next(iter(test_loader))
        with torch.no_grad():
            chances = model(images.to(device)).softmax(dim=1).cpu()
        hardest = chances.gather(1, labels[:, None])[:, 0].argsort()[:36]
        wrong = (chances.argmax(dim=1) != labels)[hardest, None, None, None]
        red = torch.tensor([1.0, 0.25, 0.25])[:, None, None]
        shown = images[hardest] * torch.where(wrong, red, torch.ones(3, 1, 1))
        save_image(F.interpolate(shown, scale_factor=5), options.picture, nrow=12, pad_value=0.5)


if __name__ == "__main__":
    main()
