"""Transfer learning: what was learned from many 0 to 4 helps with few 5 to 9.

    rushlight run examples/transfer.py [PICTURE.png]

A convolutional network learns five digits; then its layers are frozen, except a new last one, which
gets ten examples of each of the other five.
The picture: which digit (down) was taken for which (across), without and with what was learned
before.
"""

import copy
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.datasets import load_digits
from rushlight.progress import track

SHOTS = 10


def network():
    body = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(),
    )  # fmt: skip
    return nn.Sequential(body, nn.Linear(32 * 16, 5))


def fit(model, parameters, images, labels, epochs, frozen=None):
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
    for _ in track(range(epochs)):
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


@torch.no_grad()
def draw(models, images, labels, path):
    """For each model how often which digit (down) was taken for which (across)."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    side = 72
    image = Image.new("RGB", (1000, 560), "white")
    pen = ImageDraw.Draw(image)
    for left, (title, model) in zip((100, 580), models.items()):
        pairs = torch.stack([labels, model.eval()(images).argmax(dim=1)])
        pen.text((left + 180, 20), title, "#333333", font_size=26, anchor="ma")
        for row in range(5):
            for column in range(5):
                count = ((pairs[0] == row) & (pairs[1] == column)).sum().item()
                shade = int(255 - 200 * min(count / 30, 1))
                ground = (
                    (shade, 255 - (255 - shade) // 3, shade)
                    if row == column
                    else (255, shade, shade)
                )
                x, y = left + side * column, 110 + side * row
                pen.rectangle([x, y, x + side, y + side], ground, "#cccccc", 2)
                at = (x + side / 2, y + side / 2)
                pen.text(at, str(count), "#333333", font_size=26, anchor="mm")
            for at in ((left - 24, 146 + side * row), (left + 36 + side * row, 88)):
                pen.text(at, str(5 + row), "#888888", font_size=26, anchor="mm")
    image.resize((500, 280), Image.Resampling.LANCZOS).quantize(64).save(path)


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

    if len(sys.argv) > 1:
        draw({"from nothing": fresh, "by transfer": transferred}, *tests, sys.argv[1])


if __name__ == "__main__":
    main()
