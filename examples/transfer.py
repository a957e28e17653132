"""Transfer learning: what was learned from many 0 to 4 helps with few 5 to 9.

    rushlight run examples/transfer.py

A convolutional network learns five digits; then its layers are frozen, except a new last one, which
gets ten examples of each of the other five.
"""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.datasets import load_digits

SHOTS = 10


def network():
    body = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(),
    )  # fmt: skip
    return nn.Sequential(body, nn.Linear(32 * 16, 5))


def fit(model, parameters, images, labels, epochs, frozen=None):
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
    for _ in range(epochs):
        model.train()
        if frozen is not None:
            frozen.eval()  # its running means stay what they are
        for rows in torch.randperm(len(images)).split(32):
            optimizer.zero_grad()
            F.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()


@torch.no_grad()
def accuracy(model, images, labels):
    model.eval()
    return (model(images).argmax(dim=1) == labels).float().mean().item()


def main():
    torch.manual_seed(0)
    images, labels = map(torch.from_numpy, load_digits("train"))
    test_images, test_labels = map(torch.from_numpy, load_digits("test"))
    first = labels < 5
    model = network()
    fit(model, model.parameters(), images[first], labels[first], epochs=8)
    known = test_labels < 5
    print(f"accuracy on 0 to 4: {accuracy(model, test_images[known], test_labels[known]):.4f}")

    rows = torch.cat([(labels == digit).nonzero()[:SHOTS, 0] for digit in range(5, 10)])
    few, few_labels = images[rows], labels[rows] - 5
    tests = test_images[~known], test_labels[~known] - 5

    fresh = network()
    fit(fresh, fresh.parameters(), few, few_labels, epochs=30)
    print(f"accuracy on 5 to 9 from nothing: {accuracy(fresh, *tests):.4f}")

    transferred = copy.deepcopy(model)
    for parameter in transferred[0].parameters():
        parameter.requires_grad_(False)
    transferred[1] = nn.Linear(32 * 16, 5)
    fit(transferred, transferred[1].parameters(), few, few_labels, 30, frozen=transferred[0])
    print(f"accuracy on 5 to 9 by transfer: {accuracy(transferred, *tests):.4f}")


if __name__ == "__main__":
    main()
