"""Self-supervised learning: paint what is missing in a picture.

    rushlight run examples/inpainting.py [PICTURE.png]

A square of 4 x 4 pixels is cut out of each digit; a convolutional network, which is also told where
the hole is, paints it again from what stands around.  With a name, a picture of before, painted and
true is saved there (which needs Pillow, and torchvision on PyTorch).
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.datasets import load_digits
from rushlight.progress import track

HOLE = 4


def cut(images):
    """The pictures with their holes in them, and where those are: both (N, 1, 8, 8)."""
    corner = torch.randint(0, 8 - HOLE + 1, (2, len(images), 1))
    place = torch.arange(8)
    down, right = ((corner <= place) & (place < corner + HOLE)).unbind()
    hole = (down[:, :, None] & right[:, None, :])[:, None].float()
    return images * (1 - hole), hole


def network():
    return nn.Sequential(
        nn.Conv2d(2, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=2, dilation=2), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=2, dilation=2), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 1, 3, padding=1), nn.Sigmoid(),
    )  # fmt: skip


def paint(model, rest, hole):
    painted = model(torch.cat([rest, hole], dim=1))
    return rest + painted * hole  # what was there stays as it was


def error(painted, images, hole):
    """Mean squared error within the holes."""
    return ((painted - images) ** 2 * hole).sum() / hole.sum()


def main():
    torch.manual_seed(0)
    train = torch.from_numpy(load_digits("train")[0])
    test = torch.from_numpy(load_digits("test")[0])
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in track(range(1, 13)):
        for rows in torch.randperm(len(train)).split(64):
            images = train[rows]
            rest, hole = cut(images)
            loss = error(paint(model, rest, hole), images, hole)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 4 == 0:
            print(f"epoch {epoch}: loss {loss.item():.4f}")

    rest, hole = cut(test)
    with torch.no_grad():
        painted = paint(model, rest, hole)
    mean = rest + train.mean(dim=0) * hole
    print(f"error in the hole: {error(painted, test, hole).item():.4f}")
    print(f"error of painting the mean picture: {error(mean, test, hole).item():.4f}")
    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        rows = torch.cat([part[:12] for part in (rest, painted, test)])
        save_image(F.interpolate(rows, scale_factor=6), sys.argv[1], nrow=12, pad_value=0.5)


if __name__ == "__main__":
    main()
