"""Supervised learning of your own pictures: a folder of pictures for each kind of thing.

    rushlight run examples/pictures.py [FOLDER] [PICTURE.png]

Give a folder in which each kind has a folder of its own, as `pets/cats/1.jpg` and
`pets/dogs/1.jpg`; sizes and formats may differ.  Every fifth picture is kept for the test, and the
trained network is saved beside the folder.  Without one, crosses and rings are drawn and learned.
The picture: those of the test; a frame says whether they were recognised (green) or not (red).
"""

import sys
import tempfile
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.utils import make_grid, save_image

from rushlight.progress import track

SIDE = 32


def draw(folder, count=60):
    """Crosses and rings of many sizes at many places, in a folder each."""
    for kind in ("crosses", "rings"):
        (folder / kind).mkdir()
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    for number in range(count):
        place = 14 + 20 * torch.rand(2)
        size = 6 + 7 * torch.rand(1)
        across, along = (x - place[0]).abs(), (y - place[1]).abs()
        cross = (torch.minimum(across, along) < 2) & (torch.maximum(across, along) < size)
        ring = ((across.square() + along.square()).sqrt() - size).abs() < 2
        for kind, shape in (("crosses", cross), ("rings", ring)):
            picture = 0.4 * shape + 0.3 * torch.rand(3, 1, 1) + 0.2 * torch.rand(3, 48, 48)
            save_image(picture, folder / kind / f"{number}.png")


def network(classes):
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(32 * 16, classes),
    )  # fmt: skip


def main(folder, saved=None):
    prepare = transforms.Compose([transforms.Resize((SIDE, SIDE)), transforms.ToTensor()])
    pictures = ImageFolder(folder, prepare)
    tests = Subset(pictures, range(0, len(pictures), 5))
    train = Subset(pictures, [i for i in range(len(pictures)) if i % 5])
    print(f"{len(train)} pictures to learn from: {', '.join(pictures.classes)}")
    model = network(len(pictures.classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in track(range(1, 11)):
        total = 0.0
        for images, labels in DataLoader(train, batch_size=16, shuffle=True):
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        if epoch % 2 == 0:
            print(f"epoch {epoch}: loss {total / len(train):.3f}")
    model.eval()
    right, framed = 0, []
    with torch.no_grad():
        for images, labels in DataLoader(tests, batch_size=64):
            known = model(images).argmax(dim=1) == labels
            right += known.sum().item()
            color = torch.where(known[:, None], *torch.tensor([[0.2, 0.8, 0.2], [0.9, 0.1, 0.1]]))
            frame = color[:, :, None, None].repeat(1, 1, SIDE + 6, SIDE + 6)
            frame[:, :, 3:-3, 3:-3] = images
            framed.append(frame)
    print(f"test accuracy: {right / len(tests):.4f}")
    if saved:
        save_image(make_grid(torch.cat(framed)[:64], nrow=8, pad_value=1.0), saved)
    return model


if __name__ == "__main__":
    torch.manual_seed(0)
    drawing = sys.argv.pop() if sys.argv[-1].endswith(".png") else None
    if len(sys.argv) > 1:
        trained = main(sys.argv[1], drawing)
        path = Path(sys.argv[1]).resolve().with_suffix(".pt")
        torch.save(trained.state_dict(), path)
        print(f"saved to {path}")
    else:
        with tempfile.TemporaryDirectory() as made:
            draw(Path(made))
            main(made, drawing)
