"""Semi-supervised learning: 60 labeled digits, and 1,382 without a label.

    rushlight run examples/self_training.py

Self-training: the network learns from the few labels, then labels the rest itself, keeps the
labels that it is sure of, and learns again from all of them.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from rushlight.datasets import load_digits

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
    for number in range(1, ROUNDS + 1):
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


if __name__ == "__main__":
    main()
