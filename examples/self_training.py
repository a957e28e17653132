"""Semi-supervised learning: 60 labeled digits, and 1,382 without a label.

    rushlight run examples/self_training.py [PICTURE.png]

Self-training: the network learns from the few labels, then labels the rest itself, keeps the
labels that it is sure of, and learns again from all of them.
The picture: a row for each label that it gave, the surest pictures on the left; those that are
wrong are red.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from rushlight.datasets import load_digits
from rushlight.progress import track

LABELED = 60
SURE = 0.9
ROUNDS = 6


def fit(images, labels, epochs):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    loader = DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True)
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@torch.no_grad()
def accuracy(model, images, labels):
    return (model(images).argmax(dim=1) == labels).float().mean().item()


def main():
    torch.manual_seed(0)
    train_images, train_labels = map(torch.from_numpy, load_digits("train"))
    test_images, test_labels = map(torch.from_numpy, load_digits("test"))
    order = torch.randperm(len(train_images))
    known, unknown = order[:LABELED], order[LABELED:]
    known_images, known_labels = train_images[known], train_labels[known]
    unlabeled = train_images[unknown]

    model = fit(known_images, known_labels, epochs=60)
    before = accuracy(model, test_images, test_labels)
    for number in track(range(1, ROUNDS + 1)):
        with torch.no_grad():
            sureness, guess = torch.softmax(model(unlabeled), dim=1).max(dim=1)
        keep = sureness > SURE
        images = torch.cat([known_images, unlabeled[keep]])
        labels = torch.cat([known_labels, guess[keep]])
        model = fit(images, labels, epochs=15)
        score = accuracy(model, test_images, test_labels)
        print(f"round {number}: {keep.sum().item()} labels of its own, test accuracy {score:.4f}")

    print(f"accuracy with {LABELED} labels: {before:.4f}")
    print(f"accuracy after self-training: {score:.4f}")

    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        rows = []
        for digit in range(10):  # those that it called so, the surest first
            chosen = torch.where(guess == digit, sureness, 0.0).topk(24).indices
            wrong = (train_labels[unknown][chosen] != digit)[:, None, None, None]
            red = torch.tensor([1.0, 0.25, 0.25])[:, None, None]
            rows.append(unlabeled[chosen] * torch.where(wrong, red, torch.ones(3, 1, 1)))
        shown = F.interpolate(torch.cat(rows), scale_factor=2)
        save_image(shown, sys.argv[1], nrow=24, padding=1, pad_value=0.3)


if __name__ == "__main__":
    main()
